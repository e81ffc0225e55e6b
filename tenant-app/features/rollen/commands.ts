import { z } from "zod";
import { isDuplicate, type Transaction } from "../../ground/database/database.ts";
import { plainLetters } from "../../ground/database/search.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { writeJournal } from "../../ground/journal/write.ts";
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
    throw isDuplicate(error, "rolle_name_key") ? taken() : error;
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
        const { name, aktiv, ansprechbar } = angaben;
        const before = await ladeRolle(tx, id);
        const changed = await tx.run(
          "UPDATE rolle SET name = $3, aktiv = $4, ansprechbar = $5 WHERE id = $1 AND version = $2",
          [id, version, name, aktiv, ansprechbar],
        );
        if (changed === 0 || before === undefined) {
          throw new StaleForm();
        }
        await setzeRechte(tx, id, before.rechte, angaben.rechte);
        await journal(tx, visit, "bearbeiten", id, { alt: withoutCount(before), neu: angaben });
      }),
    );
  } catch (error) {
    throw isDuplicate(error, "rolle_name_key") ? taken() : error;
  }
}

/** Brings the rules of a role to the wanted ones. Given before taken: a right that one takes from oneself cannot be given any more. */
async function setzeRechte(
  tx: Transaction,
  id: string,
  stored: readonly Recht[],
  wanted: readonly Recht[],
): Promise<void> {
  const scopeNow = new Map(stored.map((recht) => [keyOf(recht), recht.umfang]));
  const kept = new Set(wanted.map(keyOf));
  const json = (rechte: readonly Recht[]) => JSON.stringify(rechte);
  await tx.run(
    `INSERT INTO recht (rolle_id, ressource, aktion, umfang)
     SELECT $1, x.ressource, x.aktion, x.umfang FROM json_to_recordset($2::json) AS x (ressource text, aktion text, umfang text)`,
    [id, json(wanted.filter((recht) => !scopeNow.has(keyOf(recht))))],
  );
  await tx.run(
    `UPDATE recht r SET umfang = x.umfang FROM json_to_recordset($2::json) AS x (ressource text, aktion text, umfang text)
      WHERE r.rolle_id = $1 AND r.ressource = x.ressource AND r.aktion = x.aktion AND r.umfang <> x.umfang`,
    [id, json(wanted)],
  );
  await tx.run(
    `DELETE FROM recht r USING json_to_recordset($2::json) AS x (ressource text, aktion text)
      WHERE r.rolle_id = $1 AND r.ressource = x.ressource AND r.aktion = x.aktion`,
    [id, json(stored.filter((recht) => !kept.has(keyOf(recht))))],
  );
}

/** Removes a role of the school's own that nobody has. Throws InputProblem when somebody has it. */
export async function loescheRolle(visit: PersonVisit, rolle: Rollenzeile): Promise<void> {
  await visit.transaction(async (tx) => {
    const gone = await tx.run(
      "DELETE FROM rolle r WHERE r.id = $1 AND NOT EXISTS (SELECT FROM konto_rolle kr WHERE kr.rolle_id = r.id)",
      [rolle.id],
    );
    if (gone === 0) {
      throw new InputProblem({
        field: "",
        text: "Diese Rolle ist noch jemandem zugewiesen. Nehmen Sie sie dort zuerst weg.",
      });
    }
    await journal(tx, visit, "loeschen", rolle.id, { alt: withoutCount(rolle) });
  });
}

function withoutCount({ name, aktiv, ansprechbar, rechte }: Rollenzeile): Rollenangaben {
  return { name, aktiv, ansprechbar, rechte };
}

function journal(
  tx: Transaction,
  visit: PersonVisit,
  deed: "anlegen" | "bearbeiten" | "loeschen",
  object: string,
  values: object,
): Promise<void> {
  return writeJournal(tx, visit.now, { by: visit.person.accountId, resource: Rolle, deed, object, values });
}
