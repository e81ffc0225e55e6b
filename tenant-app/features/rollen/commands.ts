import { z } from "zod";
import { isDuplicate, isReferenced, isRefusedBy, type Transaction } from "../../ground/database/database.ts";
import { plainLetters } from "../../ground/database/search.ts";
import { forbidden } from "../../ground/gate/refusal.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import type { Values } from "../../ground/journal/write.ts";
import { InputProblem } from "../../ground/pages/input.ts";
import { StaleForm } from "../../ground/pages/stale.ts";
import { bewahreAdministrator, Rolle } from "./public.ts";
import { ladeRolle, type Recht, type Rolle as Rollenzeile } from "./queries.ts";

export const rollenname = z
  .string()
  .trim()
  .min(1, "Bitte geben Sie der Rolle einen Namen.")
  .max(60, "Der Name darf höchstens 60 Zeichen lang sein.")
  .regex(/^[^\p{Cc}\p{Cf}\p{Co}\p{Cn}]*$/u, "Der Name enthält unzulässige Zeichen.")
  .transform((text) => text.normalize("NFC"));

/** What a form says of a role. */
export interface Rollenangaben {
  readonly name: string;
  readonly aktiv: boolean;
  readonly ansprechbar: boolean;
  readonly zweitfaktor: boolean;
  readonly rechte: readonly Recht[];
}

const taken = () => new InputProblem({ field: "name", text: "Eine Rolle mit diesem Namen gibt es schon." });

/** Creates a role without rights; returns its id, made from its name. Throws InputProblem when the name is taken. */
export async function legeRolleAn(visit: PersonVisit, name: string): Promise<string> {
  const base =
    plainLetters(name)
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-+|-+$/g, "")
      .slice(0, 35) || "rolle";
  try {
    return await visit.transaction(async (tx) => {
      const rows = await tx.all<{ id: string }>("SELECT id FROM rolle");
      const known = new Set(rows.map((row) => row.id));
      let id = base;
      for (let number = 2; known.has(id); number += 1) {
        id = `${base}-${number}`;
      }
      await tx.run("INSERT INTO rolle (id, name) VALUES ($1, $2)", [id, name]);
      await journal(tx, visit, "anlegen", id, { neu: { name } });
      return id;
    });
  } catch (error) {
    throw isDuplicate(error) ? taken() : error;
  }
}

const keyOf = ({ ressource, aktion }: Recht) => `${ressource} ${aktion}`;

/**
 * Gives a role exactly these name, marks and rules. Row-level security refuses a rule that the person does not hold; the page does not
 * offer them.
 * @param version of the role that the form was filled in from
 * @throws StaleForm when it has been changed since; InputProblem when the name is taken
 */
export async function aendereRolle(
  visit: PersonVisit,
  id: string,
  version: number,
  angaben: Rollenangaben,
): Promise<void> {
  try {
    await bewahreAdministrator(() =>
      visit.transaction(async (tx) => {
        const before = await ladeRolle(tx, id);
        if (before === undefined) {
          throw new StaleForm();
        }
        await schreibeRolle(tx, before, version, angaben);
        await journal(tx, visit, "bearbeiten", id, { alt: withoutCount(before), neu: angaben });
      }),
    );
  } catch (error) {
    if (isRefusedBy(error, "CM002")) {
      const text =
        "Diese Rolle gäbe mehr Rechte, als Sie selbst haben. Jemand, der sie hat, kann sie in Gebrauch nehmen.";
      throw new InputProblem({ field: "aktiv", text });
    }
    throw isDuplicate(error, "rolle_name_key") ? taken() : error;
  }
}

/**
 * All in one statement: what somebody may is judged by what was so before it, also when they take a right from themselves in it.
 * @throws StaleForm when the role has been changed; Refused when not all of it was allowed
 */
async function schreibeRolle(
  tx: Transaction,
  before: Rollenzeile,
  version: number,
  angaben: Rollenangaben,
): Promise<void> {
  const scopeNow = new Map(before.rechte.map((recht) => [keyOf(recht), recht.umfang]));
  const kept = new Set(angaben.rechte.map(keyOf));
  const fresh = angaben.rechte.filter((recht) => !scopeNow.has(keyOf(recht)));
  const other = angaben.rechte.filter((recht) => (scopeNow.get(keyOf(recht)) ?? recht.umfang) !== recht.umfang);
  const gone = before.rechte.filter((recht) => !kept.has(keyOf(recht)));
  const rows = (parameter: string) =>
    `json_to_recordset(${parameter}::json) AS x (ressource text, aktion text, umfang text)`;
  const same = "r.rolle_id = g.id AND r.ressource = x.ressource AND r.aktion = x.aktion";
  const done = await tx.one<{ rolle: number; gegeben: number; umgestellt: number; genommen: number }>(
    `WITH g AS (UPDATE rolle SET name = $3, aktiv = $4, ansprechbar = $5, zweitfaktor = $9 WHERE id = $1 AND version = $2 RETURNING id),
       gegeben AS (INSERT INTO recht (rolle_id, ressource, aktion, umfang)
                   SELECT g.id, x.ressource, x.aktion, x.umfang FROM g, ${rows("$6")} RETURNING 1),
       umgestellt AS (UPDATE recht r SET umfang = x.umfang FROM g, ${rows("$7")} WHERE ${same} RETURNING 1),
       genommen AS (DELETE FROM recht r USING g, ${rows("$8")} WHERE ${same} RETURNING 1)
     SELECT (SELECT count(*)::int FROM g) AS rolle, (SELECT count(*)::int FROM gegeben) AS gegeben,
            (SELECT count(*)::int FROM umgestellt) AS umgestellt, (SELECT count(*)::int FROM genommen) AS genommen`,
    [
      before.id,
      version,
      angaben.name,
      angaben.aktiv,
      angaben.ansprechbar,
      ...[fresh, other, gone].map((list) => JSON.stringify(list)),
      angaben.zweitfaktor,
    ],
  );
  if (done?.rolle !== 1) {
    throw new StaleForm();
  }
  if (done.gegeben !== fresh.length || done.umgestellt !== other.length || done.genommen !== gone.length) {
    throw forbidden();
  }
}

/** Removes a role of the school's own that nobody has. Throws InputProblem when somebody has it. */
export async function loescheRolle(visit: PersonVisit, rolle: Rollenzeile): Promise<void> {
  const stillGiven = () =>
    new InputProblem({ field: "", text: "Diese Rolle ist noch jemandem zugewiesen. Nehmen Sie sie dort zuerst weg." });
  try {
    await visit.transaction(async (tx) => {
      const gone = await tx.run(
        "DELETE FROM rolle r WHERE r.id = $1 AND NOT EXISTS (SELECT FROM konto_rolle kr WHERE kr.rolle_id = r.id)",
        [rolle.id],
      );
      if (gone === 0) {
        throw stillGiven();
      }
      await journal(tx, visit, "loeschen", rolle.id, { alt: withoutCount(rolle) });
    });
  } catch (error) {
    // Somebody gave it in the same moment.
    throw isReferenced(error) ? stillGiven() : error;
  }
}

function withoutCount({ name, aktiv, ansprechbar, zweitfaktor, rechte }: Rollenzeile): Rollenangaben {
  return { name, aktiv, ansprechbar, zweitfaktor, rechte };
}

function journal(
  tx: Transaction,
  visit: PersonVisit,
  deed: "anlegen" | "bearbeiten" | "loeschen",
  object: string,
  values: Values,
): Promise<void> {
  return visit.record(tx, { resource: Rolle, deed, object, values });
}
