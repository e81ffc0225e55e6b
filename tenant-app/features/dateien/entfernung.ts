import { z } from "zod";
import type { App } from "../../ground/app.ts";
import { UnreadableField } from "../../ground/crypto/fields.ts";
import { type PersonalKeys, personalKeys, sealUnlessErased } from "../../ground/crypto/personal.ts";
import type { Transaction } from "../../ground/database/database.ts";
import { command } from "../../ground/operator/command.ts";
import { forgetOlder } from "../../ground/work/forget.ts";
import { vermerke, zugriff } from "../betreiber/public.ts";
import { Datei, oeffneDatei } from "./public.ts";

/** Files that the operator took down after a notice (R25): gone for everybody, and their owners are told which, when and why. */

const place = (id: string) => ({ table: "datei_entfernung", column: "verschlossen", row: id });
/** Null for a name that did not open. */
const inhalt = z.strictObject({ name: z.string().nullable(), grund: z.string() });

/** So long a notice is kept that its owner has taken note of; milliseconds. */
const keptMs = 30 * 24 * 60 * 60 * 1000;

export interface Entfernung {
  readonly id: string;
  readonly name: string;
  readonly grund: string;
  readonly entfernt_am: Date;
}

/** What one's files and the reasons were, of those one has not taken note of; the newest first. */
export async function neueEntfernungen(tx: Transaction, app: App, ich: string): Promise<readonly Entfernung[]> {
  const rows = await tx.all<{ id: string; verschlossen: Buffer; entfernt_am: Date }>(
    `SELECT e.id, e.verschlossen, e.entfernt_am FROM datei_entfernung e
      WHERE e.besitzer_id = $1 AND e.gelesen_am IS NULL ORDER BY e.entfernt_am DESC, e.id LIMIT 100`,
    [ich],
  );
  const keys = await personalKeys(tx, app.fieldKey, rows.length > 0 ? [ich] : []);
  return rows.map(({ id, verschlossen, entfernt_am }) => {
    const { name, grund } = oeffneEntfernung(keys, ich, id, verschlossen) ?? { name: null, grund: "Nicht lesbar" };
    return { id, name: name ?? "Name nicht lesbar", grund, entfernt_am };
  });
}

/** Name and reason; undefined if they do not open. */
export function oeffneEntfernung(keys: PersonalKeys, besitzer: string, id: string, verschlossen: Buffer) {
  try {
    return inhalt.parse(JSON.parse(keys.open(besitzer, place(id), verschlossen).toString("utf8")));
  } catch (error) {
    if (error instanceof UnreadableField) return undefined;
    throw error;
  }
}

/** Notes that their owner knows of these. */
export async function nimmZurKenntnis(tx: Transaction, ich: string, ids: readonly string[], now: Date): Promise<void> {
  await tx.run(
    "UPDATE datei_entfernung SET gelesen_am = $3 WHERE besitzer_id = $1 AND id::text = ANY ($2::text[]) AND gelesen_am IS NULL",
    [ich, ids, now],
  );
}

/** Removes notices that were taken note of long ago; returns how many. */
export const raeumeEntfernungenAb = (app: App): Promise<number> => forgetOlder(app, "entfernungen_abraeumen", keptMs);

export const takeDownFile = command({
  name: "take-down-file",
  purpose:
    "Makes a file unreadable for everybody, for good, after a notice: its row and key go at once, its ciphertext a day later. Its owner, if there still is one, is told which, when and why; the school is shown that it was done. Says neither its name nor whose it is. `removed` is false if it is gone already: since when, if it was taken down.",
  input: z.strictObject({
    ...zugriff,
    file: z.uuid(),
    notice: z.string().trim().min(3).max(200),
    ownerReason: z.string().trim().min(10).max(1000),
  }),
  output: z.strictObject({ file: z.uuid(), removed: z.boolean(), since: z.iso.datetime().optional() }),
  run: (input, tools) =>
    tools.database.as({}, async (tx) => {
      const { file, notice } = input;
      const row = await tx.one<{ besitzer_id: string | null; schluessel: Buffer; name: Buffer }>(
        "DELETE FROM datei d WHERE d.id = $1 RETURNING d.besitzer_id, d.schluessel, d.name",
        [file],
      );
      if (!row) {
        const vorher = await tx.one<{ entfernt_am: Date }>(
          "SELECT e.entfernt_am FROM datei_entfernung e WHERE e.id = $1",
          [file],
        );
        const was = vorher ? "war schon entfernt" : "gab es nicht oder nicht mehr";
        await vermerke(tx, tools.now, `Datei ${file} sollte entfernt werden und ${was} (Meldung ${notice})`, input);
        return { file, removed: false, ...(vorher ? { since: vorher.entfernt_am.toISOString() } : {}) };
      }
      // Whose account is gone is told nothing, and the file goes all the same.
      const besitzer = row.besitzer_id ?? undefined;
      const seal = besitzer === undefined ? undefined : await sealUnlessErased(tx, tools.fieldKey, besitzer, tools.now);
      if (seal) {
        const text = inhalt.parse({
          name: nameOderNichts(tools.fieldKey, { id: file, ...row }),
          grund: input.ownerReason,
        });
        await tx.run(
          "INSERT INTO datei_entfernung (id, besitzer_id, verschlossen, entfernt_am) VALUES ($1, $2, $3, $4)",
          [file, besitzer, seal(place(file), JSON.stringify(text)), tools.now],
        );
      }
      await tools.record(tx, {
        resource: Datei,
        deed: "entfernen",
        object: file,
        ...(besitzer === undefined ? {} : { person: besitzer }),
      });
      await vermerke(tx, tools.now, `Datei ${file} entfernt (Meldung ${notice})`, input);
      return { file, removed: true };
    }),
});

function nameOderNichts(...args: Parameters<typeof oeffneDatei>): string | null {
  try {
    return oeffneDatei(...args).name;
  } catch (error) {
    if (error instanceof UnreadableField) return null;
    throw error;
  }
}
