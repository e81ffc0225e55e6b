import { statfs } from "node:fs/promises";
import type { App } from "../../ground/app.ts";
import type { Transaction } from "../../ground/database/database.ts";
import { Refused } from "../../ground/gate/refusal.ts";
import { fileSize } from "../../ground/pages/views.ts";

/** Room for files: nobody fills the school's volume alone, and all together leave the database its part. */

/** Of the volume, for one person. */
const anteilJePerson = 1 / 20;
const mindestensJePerson = 100 * 1024 * 1024;
/** Of the volume, that files leave free: the database, which lies on the same one, must never stand still for them. */
const freizuhalten = 0.15;

export interface Speicher {
  /** Bytes that a person's files take, and may take. */
  readonly belegt: number;
  readonly erlaubt: number;
}

/** What a person's files take and may take. Deleting one frees its bytes at once. */
export async function speicherVon(tx: Transaction, app: App, kontoId: string): Promise<Speicher> {
  const row = await tx.one<{ belegt: number }>(
    "SELECT coalesce(sum(d.groesse), 0)::float8 AS belegt FROM datei d WHERE d.besitzer_id = $1",
    [kontoId],
  );
  return { belegt: row?.belegt ?? 0, erlaubt: app.config.personQuota ?? (await anteil(app.config.filesDir)) };
}

async function anteil(filesDir: string): Promise<number> {
  const { blocks, bsize } = await statfs(filesDir);
  return Math.max(mindestensJePerson, Math.floor(blocks * bsize * anteilJePerson));
}

/** @throws Refused (507) that says whose room is full */
export async function pruefePlatz(app: App, { belegt, erlaubt }: Speicher): Promise<void> {
  if (belegt >= erlaubt) {
    throw new Refused(
      507,
      "Ihr Speicher ist voll",
      `Ihre Dateien belegen ${fileSize(belegt)} von ${fileSize(erlaubt)}. Die neue wurde nicht gespeichert. Löschen Sie Dateien, die Sie nicht mehr brauchen: Das macht sofort Platz.`,
      { hangUp: true },
    );
  }
  const { blocks, bavail, bsize } = await statfs(app.config.filesDir);
  if (bavail * bsize < Math.min(blocks * bsize * freizuhalten, mostKeptFree)) {
    throw schuleVoll();
  }
}
/** On a large volume no more than this is kept free; bytes. */
const mostKeptFree = 5 * 1024 * 1024 * 1024;

/** Nobody can store anything. */
export function schuleVoll(): Refused {
  return new Refused(
    507,
    "Der Speicher der Schule ist voll",
    "Die Datei wurde nicht gespeichert. Bitte informieren Sie die Administration.",
    { hangUp: true },
  );
}
