import { randomUUID } from "node:crypto";
import { newRowKey, seal } from "../../ground/crypto/fields.ts";
import { Refused } from "../../ground/gate/refusal.ts";
import type { PersonVisit, UploadVisit } from "../../ground/gate/visit.ts";
import { alleGewaehlten } from "../adressbuch/public.ts";
import { blobsOf, StorageFull } from "./blobs.ts";
import { safeFileName } from "./name.ts";
import { beimHochladen } from "./plaetze.ts";
import { Datei, place } from "./public.ts";
import { freigaben, type LesbareDatei } from "./queries.ts";
import { pruefePlatz, schuleVoll, speicherVon } from "./speicher.ts";

/**
 * Stores an uploaded file under a key of its own; its owner is whoever the session says (R20). The blob is written
 * first and the row after it: a row never lacks its content. Returns the file's id.
 */
export async function nimmDateiAn(visit: UploadVisit): Promise<string> {
  const { app, person, upload } = visit;
  const name = safeFileName(upload.name);
  if (name === undefined) {
    upload.content.destroy();
    throw new Refused(422, "Der Dateiname ist zu lang", "Bitte geben Sie der Datei einen kürzeren Namen.", {
      hangUp: true,
    });
  }
  try {
    return await beimHochladen(app, person.accountId, () => speichere(visit, name));
  } catch (error) {
    upload.content.destroy();
    throw error;
  }
}

async function speichere(
  { app, person, now, upload, transaction, record }: UploadVisit,
  name: string,
): Promise<string> {
  const id = randomUUID();
  const { rowKey, wrapped } = newRowKey(app.fieldKey, place("schluessel", id));
  try {
    const broken = upload.failure();
    if (broken) throw broken;
    await pruefePlatz(app, await transaction((tx) => speicherVon(tx, app, person.accountId)));
    const groesse = await blobsOf(app).write(id, rowKey, upload.content);
    const sealedName = seal(rowKey, place("name", id), name);
    await transaction(async (tx) => {
      await tx.run(
        `INSERT INTO datei (id, besitzer_id, schluessel, name, groesse, hochgeladen_am) VALUES ($1, $2, $3, $4, $5, $6)`,
        [id, person.accountId, wrapped, sealedName, groesse, now],
      );
      const values = { neu: { groesse } };
      await record(tx, { resource: Datei, deed: "anlegen", object: id, values });
    });
    return id;
  } catch (error) {
    // A blob without a row stays for now: after an unanswered COMMIT the row may exist. If not, it is collected.
    throw upload.failure() ?? (error instanceof StorageFull ? schuleVoll() : error);
  }
}

/** Deletes a file: row and key are gone with this transaction, the ciphertext is collected a day later (R18). */
export function loescheDatei(visit: PersonVisit, datei: LesbareDatei): Promise<void> {
  return visit.transaction(async (tx) => {
    await tx.run("DELETE FROM datei WHERE id = $1", [datei.id]);
    await visit.record(tx, { resource: Datei, deed: "loeschen", object: datei.id });
  });
}

/**
 * Lets exactly these people read the file, and nobody else by sharing (R22: reading only).
 * @throws InputProblem that says who stands in the way; then nothing changes
 */
export function gibFrei(visit: PersonVisit, datei: LesbareDatei, an: readonly string[]): Promise<void> {
  return visit.transaction(async (tx, jetzt) => {
    const vorher = await freigaben(tx, datei.id);
    // Whoever had it already keeps it if still ticked, even when no longer to be found in the address book.
    const bleibt = vorher.filter((id) => an.includes(id));
    const neu = await alleGewaehlten(tx, jetzt, an, bleibt);
    const nachher = [...bleibt, ...neu.map((person) => person.id)];
    await tx.run("DELETE FROM datei_freigabe WHERE datei_id = $1 AND konto_id <> ALL ($2::uuid[])", [
      datei.id,
      nachher,
    ]);
    await tx.run(
      `INSERT INTO datei_freigabe (datei_id, konto_id, freigegeben_am)
       SELECT $1, wer, $3 FROM unnest($2::uuid[]) AS wer ON CONFLICT DO NOTHING`,
      [datei.id, nachher, visit.now],
    );
    const values = { alt: vorher, neu: nachher };
    await visit.record(tx, { resource: Datei, deed: "freigeben", object: datei.id, values });
  });
}
