import { randomUUID } from "node:crypto";
import { z } from "zod";
import { textOrUnreadable } from "../../ground/crypto/damaged.ts";
import { PersonErased, personalKeys, sealFor } from "../../ground/crypto/personal.ts";
import type { Transaction } from "../../ground/database/database.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { InputProblem } from "../../ground/pages/input.ts";

/** Drafts of messages: sealed with the key of whoever writes them. */

const gespeichert = z.object({
  betreff: z.string(),
  inhalt: z.string(),
  an: z.array(z.string()),
  dateien: z.array(z.string()),
});

/** What of a message is kept while it is written. */
export type Entwurfsinhalt = z.infer<typeof gespeichert>;

export interface Entwurf extends Entwurfsinhalt {
  readonly id: string;
  readonly version: number;
  readonly geaendert_am: Date;
}

interface Zeile {
  readonly id: string;
  readonly verschlossen: Buffer;
  readonly geaendert_am: Date;
  readonly version: number;
}

/** Nobody keeps more. */
export const hoechstens = 50;
export const platzDesEntwurfs = (id: string) => ({ table: "nachricht_entwurf", column: "verschlossen", row: id });
const leer: Entwurfsinhalt = { betreff: "", inhalt: "", an: [], dateien: [] };

/** One's own drafts, the newest first; one that does not decrypt is empty and says so in its subject. */
export async function eigeneEntwuerfe(tx: Transaction, visit: PersonVisit, id?: string): Promise<readonly Entwurf[]> {
  const { app, person } = visit;
  const rows = await tx.all<Zeile & Record<string, unknown>>(
    `SELECT e.id, e.verschlossen, e.geaendert_am, e.version FROM nachricht_entwurf e
      WHERE e.person_id = $1 AND ($2::uuid IS NULL OR e.id = $2) ORDER BY e.geaendert_am DESC, e.id DESC LIMIT ${hoechstens}`,
    [person.accountId, id ?? null],
  );
  const keys = await personalKeys(tx, app.fieldKey, rows.length > 0 ? [person.accountId] : []);
  return rows.map(({ verschlossen, ...row }) => {
    const text = textOrUnreadable(app.log, () =>
      keys.open(person.accountId, platzDesEntwurfs(row.id), verschlossen).toString("utf8"),
    );
    const inhalt = text.startsWith("{") ? gespeichert.parse(JSON.parse(text)) : { ...leer, betreff: text };
    return { ...row, ...inhalt };
  });
}

/**
 * Keeps a draft. One that was changed elsewhere since the form was filled in is left alone, and this one kept beside it.
 * @param version of the draft that the form was filled in from; 0 for none
 * @returns whether it was kept beside another
 * @throws InputProblem when there is nothing to keep, or too much
 */
export function speichereEntwurf(
  visit: PersonVisit,
  id: string,
  version: number,
  inhalt: Entwurfsinhalt,
): Promise<{ readonly daneben: boolean }> {
  pruefe(inhalt);
  const { app, person, now } = visit;
  return visit.transaction(async (tx) => {
    const seal = await sealFor(tx, app.fieldKey, person.accountId, now).catch((error: unknown) => {
      const text = "Für Sie wird nichts Vertrauliches mehr gespeichert.";
      throw error instanceof PersonErased ? new InputProblem({ field: "inhalt", text }) : error;
    });
    const { betreff, inhalt: body, an, dateien } = inhalt;
    const text = JSON.stringify({ betreff, inhalt: body, an, dateien });
    const changed = await tx.run(
      "UPDATE nachricht_entwurf SET verschlossen = $4, geaendert_am = $5 WHERE id = $1 AND version = $2 AND person_id = $3",
      [id, version, person.accountId, seal(platzDesEntwurfs(id), text), now],
    );
    if (changed > 0) {
      return { daneben: false };
    }
    const count = await tx.one<{ zahl: number }>(
      "SELECT count(*)::int AS zahl FROM nachricht_entwurf WHERE person_id = $1",
      [person.accountId],
    );
    if ((count?.zahl ?? 0) >= hoechstens) {
      const zuViele = `Sie haben schon ${hoechstens} Entwürfe. Löschen Sie einen, dann ist wieder Platz. Dieser wurde nicht gespeichert.`;
      throw new InputProblem({ field: "", text: zuViele });
    }
    const insert = (as: string) =>
      tx.run(
        `INSERT INTO nachricht_entwurf (id, person_id, verschlossen, geaendert_am) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING`,
        [as, person.accountId, seal(platzDesEntwurfs(as), text), now],
      );
    if ((await insert(id)) > 0) {
      return { daneben: false };
    }
    await insert(randomUUID());
    return { daneben: true };
  });
}

function pruefe({ betreff, inhalt, an, dateien }: Entwurfsinhalt): void {
  if ([betreff, inhalt].every((text) => text.trim() === "") && an.length === 0 && dateien.length === 0) {
    throw new InputProblem({ field: "inhalt", text: "Hier steht noch nichts, was sich speichern ließe." });
  }
  if (betreff.length > 200) {
    throw new InputProblem({ field: "betreff", text: "Der Betreff darf höchstens 200 Zeichen lang sein." });
  }
  if (inhalt.length > 20_000) {
    throw new InputProblem({ field: "inhalt", text: "Der Text darf höchstens 20.000 Zeichen lang sein." });
  }
  if (an.length > 500 || dateien.length > 500) {
    throw new InputProblem({
      field: "suche",
      text: "Das sind mehr als 500 Personen oder Dateien. Es wurde nichts gespeichert.",
    });
  }
}

/** Takes a draft away: its message was sent, or it is not wanted any more. */
export async function loescheEntwurf(tx: Transaction, visit: PersonVisit, id: string): Promise<void> {
  await tx.run("DELETE FROM nachricht_entwurf WHERE id = $1 AND person_id = $2", [id, visit.person.accountId]);
}
