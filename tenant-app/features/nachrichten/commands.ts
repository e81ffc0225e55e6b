import { z } from "zod";
import type { Transaction } from "../../ground/database/database.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { InputProblem } from "../../ground/pages/input.ts";
import { alleGewaehlten } from "../adressbuch/public.ts";
import { alleEigenen } from "../dateien/public.ts";
import { loescheEntwurf } from "./entwuerfe.ts";
import { verschliesse } from "./inhalt.ts";
import { Nachricht } from "./public.ts";
import type { LesbareNachricht } from "./queries.ts";

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
 * Sends a message with all files to all recipients, or nothing to nobody. Throws InputProblem that says who or what stands in the way, and a
 * violation of `nachricht_pkey` when the same form was sent before.
 */
export function sende(visit: PersonVisit, neu: NeueNachricht): Promise<void> {
  const { app, person, now } = visit;
  return visit.transaction(async (tx, jetzt) => {
    if (neu.an.length === 0) {
      throw new InputProblem({ field: "suche", text: "Bitte wählen Sie mindestens eine Person aus." });
    }
    await nichtZuViele(tx, visit);
    const empfaenger = await alleGewaehlten(tx, jetzt, neu.an);
    const { schluessel, betreff, inhalt } = verschliesse(app.fieldKey, neu.id, neu);
    await tx.run(
      "INSERT INTO nachricht (id, absender_id, schluessel, betreff, inhalt, gesendet_am) VALUES ($1, $2, $3, $4, $5, $6)",
      [neu.id, person.accountId, schluessel, betreff, inhalt, now],
    );
    await tx.run(
      `INSERT INTO nachricht_empfaenger (nachricht_id, konto_id, gesendet_am)
       SELECT $1, wer, $3 FROM unnest($2::uuid[]) AS wer`,
      [neu.id, empfaenger.map((one) => one.id), now],
    );
    await tx.run(
      "INSERT INTO nachricht_datei (nachricht_id, datei_id) SELECT $1, datei FROM unnest($2::uuid[]) AS datei",
      [neu.id, await alleEigenen(tx, neu.dateien, person.accountId)],
    );
    await visit.record(tx, { resource: Nachricht, deed: "anlegen", object: neu.id });
    await loescheEntwurf(tx, visit, neu.id);
  });
}

/** Messages of one person in an hour: more is no correspondence, and fills everybody's inbox. */
const hoechstensJeStunde = 200;

/** @throws InputProblem that says when the next one can be sent; nothing of the form is lost */
async function nichtZuViele(tx: Transaction, { person, now }: PersonVisit): Promise<void> {
  // One after the other, so that many at once do not pass together.
  await tx.run("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [`nachrichten ${person.accountId}`]);
  const row = await tx.one<{ gesendet_am: Date }>(
    `SELECT n.gesendet_am FROM nachricht n WHERE n.absender_id = $1 AND n.gesendet_am > $2
      ORDER BY n.gesendet_am DESC OFFSET ${hoechstensJeStunde - 1} LIMIT 1`,
    [person.accountId, new Date(now.getTime() - 60 * 60_000)],
  );
  if (row) {
    const minuten = Math.max(1, Math.ceil((row.gesendet_am.getTime() + 60 * 60_000 - now.getTime()) / 60_000));
    const text = `Sie haben in der letzten Stunde ${hoechstensJeStunde} Nachrichten gesendet, mehr sind nicht möglich. In ${minuten} ${minuten === 1 ? "Minute" : "Minuten"} können Sie diese senden; bis dahin können Sie sie als Entwurf behalten.`;
    throw new InputProblem({ field: "betreff", text });
  }
}

/** Deletes a message for everybody: row and key are gone with this transaction (R18). */
export function loesche(visit: PersonVisit, { id }: LesbareNachricht): Promise<void> {
  return visit.transaction(async (tx) => {
    await tx.run("DELETE FROM nachricht WHERE id = $1", [id]);
    await visit.record(tx, { resource: Nachricht, deed: "loeschen", object: id });
  });
}
