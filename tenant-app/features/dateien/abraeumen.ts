import type { App } from "../../ground/app.ts";
import type { Database } from "../../ground/database/database.ts";
import { type BlobStore, removeFile, type StoredBlob } from "./blobs.ts";

/** Ciphertext stays so long after its key is gone, so that a backup's database and blobs match; milliseconds. */
export const keepMs = 24 * 60 * 60 * 1000;

export interface Abgeraeumt {
  /** Blobs whose file was deleted in the app. */
  readonly deleted: number;
  /** Blobs and half-written ones that never got a row: uploads that broke off. */
  readonly orphans: number;
  readonly bytes: number;
}

/**
 * Removes the ciphertext of files deleted more than a day ago, and what broken uploads left. Works for the app, which
 * sees only its own rows, and for the owner: which blobs still have a row is asked of the database, never guessed.
 */
export async function raeumeAb(database: Database, blobs: BlobStore, now: Date): Promise<Abgeraeumt> {
  const limit = new Date(now.getTime() - keepMs);
  let orphans = 0;
  let bytes = 0;
  const due = await database.as({}, (tx) =>
    tx.all<{ id: string }>("SELECT id FROM datei_abraum WHERE geloescht_am <= $1", [limit]),
  );
  const waiting = await database.as({}, (tx) => tx.all<{ id: string }>("SELECT id FROM datei_abraum"));
  const noted = new Set(waiting.map((row) => row.id));
  for (const { id } of due) {
    await blobs.remove(id);
    await database.as({}, (tx) => tx.run("DELETE FROM datei_abraum WHERE id = $1", [id]));
  }
  for await (const batch of inBatches(blobs.list(), 500)) {
    const old = batch.filter((blob) => blob.modified < limit && !noted.has(blob.id));
    const present = await database.as({}, (tx) =>
      tx.all<{ id: string }>("SELECT id FROM dateien_vorhanden($1::uuid[]) AS id", [old.map((blob) => blob.id)]),
    );
    const kept = new Set(present.map((row) => row.id));
    for (const blob of old.filter((candidate) => !kept.has(candidate.id))) {
      await removeFile(blob.path);
      orphans += 1;
      bytes += blob.bytes;
    }
  }
  for await (const half of blobs.leftovers()) {
    if (half.modified < limit) {
      await removeFile(half.path);
      orphans += 1;
      bytes += half.bytes;
    }
  }
  return { deleted: due.length, orphans, bytes };
}

/** Files whose owner was erased and that nobody reads any more. */
export async function raeumeHerrenloseAb({ database, now }: App): Promise<Record<string, number>> {
  const row = await database.as({ jetzt: now() }, (tx) =>
    tx.one<{ anzahl: number }>("SELECT herrenlose_dateien_loeschen(500) AS anzahl"),
  );
  return row && row.anzahl > 0 ? { ownerlessFiles: row.anzahl } : {};
}

async function* inBatches(blobs: AsyncIterable<StoredBlob>, size: number): AsyncGenerator<StoredBlob[]> {
  let batch: StoredBlob[] = [];
  for await (const blob of blobs) {
    batch.push(blob);
    if (batch.length === size) {
      yield batch;
      batch = [];
    }
  }
  if (batch.length > 0) {
    yield batch;
  }
}
