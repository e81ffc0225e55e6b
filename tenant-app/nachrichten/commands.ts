import { z } from "zod";
import { erreichbare } from "../adressbuch/queries.ts";
import type { PersonVisit } from "../gate/visit.ts";
import { journalisiere } from "../journal/schreiben.ts";
import { Eingabeproblem } from "../pages/eingaben.ts";
import { verschliesse } from "./inhalt.ts";
import type { Nachricht } from "./queries.ts";

export const nachrichtangaben = z.object({
  betreff: z
    .string()
    .trim()
    .min(1, "Bitte geben Sie einen Betreff an.")
    .max(200, "Der Betreff darf höchstens 200 Zeichen lang sein.")
    .transform((text) => text.replace(/\p{Cc}+/gu, " ")),
  inhalt: z
    .string()
    .transform((text) => text.replace(/\r\n?/g, "\n").trimEnd())
    .pipe(
      z
        .string()
        .min(1, "Bitte schreiben Sie einen Text.")
        .max(20_000, "Der Text darf höchstens 20.000 Zeichen lang sein."),
    ),
});

export interface NeueNachricht {
  readonly id: string;
  readonly betreff: string;
  readonly inhalt: string;
  readonly an: readonly string[];
  /** Own files to attach. */
  readonly dateien: readonly string[];
}

/**
 * Sends a message to all recipients or to none. Throws Eingabeproblem when nobody is left to send it to, and a
 * violation of `nachricht_pkey` when the same form was sent before.
 */
export function sende(visit: PersonVisit, neu: NeueNachricht): Promise<void> {
  const { app, person, now } = visit;
  return visit.transaction(async (tx) => {
    const empfaenger = await erreichbare(tx, visit, neu.an);
    if (empfaenger.length === 0) {
      throw new Eingabeproblem({ feld: "suche", text: "Bitte wählen Sie mindestens eine Person aus." });
    }
    const { schluessel, betreff, inhalt } = verschliesse(app.fieldKey, neu.id, neu);
    await tx.run(
      "INSERT INTO nachricht (id, absender_id, schluessel, betreff, inhalt, gesendet_am) VALUES ($1, $2, $3, $4, $5, $6)",
      [neu.id, person.kontoId, schluessel, betreff, inhalt, now],
    );
    await tx.run(
      `INSERT INTO nachricht_empfaenger (nachricht_id, konto_id, gesendet_am)
       SELECT $1, wer, $3 FROM unnest($2::uuid[]) AS wer`,
      [neu.id, empfaenger.map((one) => one.id), now],
    );
    const own = neu.dateien.filter((id) => /^[0-9a-f-]{36}$/.test(id)).slice(0, 20);
    await tx.run(
      `INSERT INTO nachricht_datei (nachricht_id, datei_id)
       SELECT $1, d.id FROM datei d WHERE d.id::text = ANY ($2::text[]) AND d.besitzer_id = $3`,
      [neu.id, own, person.kontoId],
    );
    await journalisiere(tx, now, {
      kontoId: person.kontoId,
      ressource: "Nachricht",
      aktion: "anlegen",
      objekt: neu.id,
    });
  });
}

/** Deletes a message for everybody: row and key are gone with this transaction (R18). */
export function loesche(visit: PersonVisit, nachricht: Nachricht): Promise<void> {
  return visit.transaction(async (tx) => {
    await tx.run("DELETE FROM nachricht WHERE id = $1", [nachricht.id]);
    const { kontoId } = visit.person;
    await journalisiere(tx, visit.now, { kontoId, ressource: "Nachricht", aktion: "loeschen", objekt: nachricht.id });
  });
}
