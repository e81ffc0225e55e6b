import { isDuplicate, type Transaction } from "../../ground/database/database.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { InputProblem } from "../../ground/pages/input.ts";
import { nachNamen, Person, personenname } from "./public.ts";

/** Parents and children. */

export interface Angehoerig {
  readonly id: string;
  readonly name: string;
}

export interface Familie {
  readonly eltern: readonly Angehoerig[];
  readonly kinder: readonly Angehoerig[];
}

/** As far as the person who asks may see them. */
export async function familieVon(tx: Transaction, id: string): Promise<Familie> {
  const these = (wer: "elternteil_id" | "kind_id", von: "elternteil_id" | "kind_id") =>
    tx.all<Angehoerig & Record<string, unknown>>(
      `SELECT p.id, ${personenname} AS name FROM elternschaft e JOIN person p ON p.id = e.${wer}
        WHERE e.${von} = $1 ORDER BY ${nachNamen}`,
      [id],
    );
  return { eltern: await these("elternteil_id", "kind_id"), kinder: await these("kind_id", "elternteil_id") };
}

/** Notes that somebody is a child's mother or father. @throws InputProblem when they cannot be, or are already */
export async function trageElternteilEin(
  tx: Transaction,
  visit: PersonVisit,
  kind: string,
  elternteil: string,
): Promise<void> {
  if (kind === elternteil) {
    throw new InputProblem({
      field: "suche",
      text: "Niemand ist das eigene Kind. Bitte wählen Sie eine andere Person.",
    });
  }
  if (elternteil === visit.person.accountId) {
    const text = "Sich selbst kann niemand als Elternteil eintragen. Bitten Sie jemand anderen darum.";
    throw new InputProblem({ field: "suche", text });
  }
  const circle = await tx.one("SELECT 1 AS da FROM elternschaft WHERE elternteil_id = $1 AND kind_id = $2", [
    kind,
    elternteil,
  ]);
  if (circle) {
    throw new InputProblem({ field: "suche", text: "Diese Person ist als Kind eingetragen." });
  }
  const made = await tx.run(
    `INSERT INTO elternschaft (elternteil_id, kind_id, seit) SELECT p.id, $2, heute() FROM person p WHERE p.id::text = $1`,
    [elternteil, kind],
  );
  if (made === 0) {
    throw new InputProblem({ field: "suche", text: "Bitte suchen und wählen Sie eine Person." });
  }
  const values = { neu: { elternteil } };
  await visit.record(tx, { resource: Person, deed: "elternteil-eintragen", object: kind, person: kind, values });
}

/** What the database says about it, in words. */
export function schonEingetragen(error: unknown): InputProblem | undefined {
  return isDuplicate(error, "elternschaft_pkey")
    ? new InputProblem({ field: "suche", text: "Diese Person ist schon eingetragen." })
    : undefined;
}

/** Takes that back. One's own stays: somebody else does that. */
export async function nimmElternteilWeg(
  tx: Transaction,
  visit: PersonVisit,
  kind: string,
  elternteil: string,
): Promise<void> {
  const gone = await tx.run("DELETE FROM elternschaft WHERE kind_id = $1 AND elternteil_id::text = $2", [
    kind,
    elternteil,
  ]);
  if (gone === 0) {
    throw new InputProblem({
      field: "suche",
      text: "Dieser Eintrag lässt sich nicht entfernen, oder es gibt ihn nicht mehr.",
    });
  }
  const values = { alt: { elternteil } };
  await visit.record(tx, { resource: Person, deed: "elternteil-entfernen", object: kind, person: kind, values });
}
