import { hashPassword, isOneTimeHash, verifyOneTime } from "../../ground/crypto/passwords.ts";
import { plainLetters } from "../../ground/database/search.ts";
import { networkOf } from "../../ground/gate/address.ts";
import type { Keys } from "../../ground/gate/person.ts";
import type { PersonVisit, Visit } from "../../ground/gate/visit.ts";
import { InputProblem } from "../../ground/pages/input.ts";
import { Konto, kontoZurAnmeldung, merkeErsteAnmeldung } from "../konten/public.ts";
import { istBekannt, versuche } from "./bremse.ts";
import { passwordProblem } from "./passwortregeln.ts";
import { nobodysHash, passt } from "./pruefen.ts";
import { beimNachsehen, beimPruefen, imPasswortgang, pruefeEigenesPasswort } from "./public.ts";
import { eigenerZugang } from "./queries.ts";
import { beginneSitzung } from "./sitzung.ts";

export type Anmeldung =
  | {
      readonly art: "angemeldet";
      readonly cookies: readonly string[];
      readonly keys: Keys;
      readonly nurPasswort: boolean;
    }
  | { readonly art: "warten"; readonly sekunden: number }
  | { readonly art: "falsch" }
  | { readonly art: "gesperrt" }
  | { readonly art: "abgelaufen" };

/** A user name as it was made, however it is typed: `Petra.Müller` is `petra.mueller`. */
export function alsBenutzername(getippt: string): string {
  return plainLetters(getippt.replace(/\s+/g, ""));
}

/** Checks name and password and begins a session. Throws Refused (503) when too many sign in at once. */
export async function meldeAn(
  visit: Visit,
  eingabe: { readonly benutzername: string; readonly passwort: string },
): Promise<Anmeldung> {
  const { app, now, address } = visit;
  const benutzername = alsBenutzername(eingabe.benutzername);
  const source = networkOf(address);
  const { konto, known } = await beimNachsehen(app, { source }, () =>
    app.database.as({}, async (tx) => {
      const konto = await kontoZurAnmeldung(tx, benutzername);
      const exists = konto !== undefined;
      return { konto, known: await istBekannt(tx, app.sessionKey, now, { benutzername, address, exists }) };
    }),
  );
  const comer = { source, known };
  return imPasswortgang(app, comer, async () => {
    const { versuch, zugang } = await app.database.as(konto ? { konto: konto.id } : {}, async (tx) => ({
      versuch: await versuche(tx, app.sessionKey, now, { benutzername, address, exists: konto !== undefined }),
      zugang: konto && (await eigenerZugang(tx, konto.id)),
    }));
    if (versuch.waitMs > 0) {
      return { art: "warten", sekunden: Math.ceil(versuch.waitMs / 1000) };
    }
    const nobody = await nobodysHash();
    // No connection is held while the password is checked.
    const richtig = await beimPruefen(app, comer, () => passt(eingabe.passwort, zugang, nobody));
    if (!konto || !zugang || !richtig) {
      return { art: "falsch" };
    }
    const nurPasswort = zugang.einmalig_bis !== null;
    return app.database.as({ konto: konto.id }, async (tx): Promise<Anmeldung> => {
      await versuch.succeeded(tx);
      if (konto.gesperrt) {
        return { art: "gesperrt" };
      }
      if (zugang.einmalig_bis && zugang.einmalig_bis < now) {
        return { art: "abgelaufen" };
      }
      await merkeErsteAnmeldung(tx, konto.id, now);
      const begun = await beginneSitzung(tx, app.sessionKey, now, { id: konto.id, nurPasswort });
      return { art: "angemeldet", ...begun, nurPasswort };
    });
  });
}

/**
 * Replaces one's own password; all sessions end and a new one begins, whose cookies are returned.
 * Throws InputProblem for a wrong old or an unsuitable new password.
 */
export async function aenderePasswort(
  visit: PersonVisit,
  eingabe: { readonly bisher: string; readonly neu: string; readonly wiederholt: string },
): Promise<readonly string[]> {
  const { app, person, now } = visit;
  const problem = passwordProblem(eingabe.neu, person, app.config.schoolName);
  if (problem) {
    throw new InputProblem({ field: "neu", text: problem });
  }
  if (eingabe.neu !== eingabe.wiederholt) {
    throw new InputProblem({ field: "wiederholt", text: "Die beiden neuen Passwörter stimmen nicht überein." });
  }
  const comer = { source: person.accountId, known: true };
  const feld = { field: "bisher", falsch: "Das bisherige Passwort ist nicht richtig." };
  const pruefwert = await imPasswortgang(app, comer, async () => {
    const zugang = await pruefeEigenesPasswort(visit, comer, eingabe.bisher, feld);
    const asOneTime = isOneTimeHash(zugang.passwort) && verifyOneTime(eingabe.neu, zugang.passwort);
    if (eingabe.neu === eingabe.bisher || asOneTime) {
      throw new InputProblem({ field: "neu", text: "Das neue Passwort muss sich vom bisherigen unterscheiden." });
    }
    return beimPruefen(app, comer, () => hashPassword(eingabe.neu));
  });
  return visit.transaction(async (tx) => {
    await tx.run("SELECT passwort_setzen($1, $2, NULL, $3)", [person.accountId, pruefwert, now]);
    await tx.run("DELETE FROM sitzung WHERE konto_id = $1", [person.accountId]);
    const { accountId } = person;
    await visit.record(tx, { resource: Konto, deed: "passwort", object: accountId, person: accountId });
    const { cookies } = await beginneSitzung(tx, app.sessionKey, now, { id: person.accountId, nurPasswort: false });
    return cookies;
  });
}
