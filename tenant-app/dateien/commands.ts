import { randomUUID } from "node:crypto";
import { erreichbare } from "../adressbuch/queries.ts";
import { newRowKey, seal } from "../crypto/felder.ts";
import { Refused } from "../gate/refusal.ts";
import type { PersonVisit, UploadVisit } from "../gate/visit.ts";
import { journalisiere } from "../journal/schreiben.ts";
import { safeFileName } from "./name.ts";
import { type Datei, freigaben, place } from "./queries.ts";

/**
 * Stores an uploaded file under a key of its own; its owner is whoever the session says (R20). The blob is written
 * first and the row after it: a row never lacks its content. Returns the file's id.
 */
export async function nimmDateiAn(visit: UploadVisit): Promise<string> {
  const { app, person, now, upload } = visit;
  const release = app.uploads.enter(person.kontoId);
  if (!release) {
    upload.content.destroy();
    throw new Refused(429, "Es läuft schon ein Upload", "Bitte warten Sie, bis Ihre vorige Datei hochgeladen ist.", {
      retryAfter: 10,
      hangUp: true,
    });
  }
  const id = randomUUID();
  const { rowKey, wrapped } = newRowKey(app.fieldKey, place("schluessel", id));
  try {
    const groesse = await app.blobs.write(id, rowKey, upload.content);
    const name = seal(rowKey, place("name", id), safeFileName(upload.name));
    await visit.transaction(async (tx) => {
      await tx.run(
        `INSERT INTO datei (id, besitzer_id, schluessel, name, groesse, hochgeladen_am) VALUES ($1, $2, $3, $4, $5, $6)`,
        [id, person.kontoId, wrapped, name, groesse, now],
      );
      const werte = { neu: { groesse } };
      await journalisiere(tx, now, {
        kontoId: person.kontoId,
        ressource: "Datei",
        aktion: "anlegen",
        objekt: id,
        werte,
      });
    });
    return id;
  } catch (error) {
    // A blob without a row stays for now: after an unanswered COMMIT the row may exist. If not, it is collected.
    throw upload.failure() ?? error;
  } finally {
    release();
  }
}

/** Deletes a file: row and key are gone with this transaction, the ciphertext is collected a day later (R18). */
export function loescheDatei(visit: PersonVisit, datei: Datei): Promise<void> {
  return visit.transaction(async (tx) => {
    await tx.run("SELECT set_config('classmind.jetzt', $1, true)", [visit.now.toISOString()]);
    await tx.run("DELETE FROM datei WHERE id = $1", [datei.id]);
    const { kontoId } = visit.person;
    await journalisiere(tx, visit.now, { kontoId, ressource: "Datei", aktion: "loeschen", objekt: datei.id });
  });
}

/** Lets exactly these people read the file, and nobody else by sharing (R22: reading only). */
export function gibFrei(visit: PersonVisit, datei: Datei, an: readonly string[]): Promise<void> {
  return visit.transaction(async (tx) => {
    const vorher = await freigaben(tx, datei.id);
    const erlaubt = (await erreichbare(tx, visit, an)).map((person) => person.id);
    // Whoever had it already keeps it if still ticked, even when no longer to be found in the address book.
    const nachher = [...new Set([...erlaubt, ...vorher.filter((id) => an.includes(id))])];
    await tx.run("DELETE FROM datei_freigabe WHERE datei_id = $1 AND konto_id <> ALL ($2::uuid[])", [
      datei.id,
      nachher,
    ]);
    await tx.run(
      `INSERT INTO datei_freigabe (datei_id, konto_id, freigegeben_am)
       SELECT $1, wer, $3 FROM unnest($2::uuid[]) AS wer ON CONFLICT DO NOTHING`,
      [datei.id, nachher, visit.now],
    );
    const werte = { alt: vorher, neu: nachher };
    await journalisiere(tx, visit.now, {
      kontoId: visit.person.kontoId,
      ressource: "Datei",
      aktion: "freigeben",
      objekt: datei.id,
      werte,
    });
  });
}
