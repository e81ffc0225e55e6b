import type { App } from "../../ground/app.ts";
import {
  hashPassword,
  isOneTimeHash,
  oneTimeAsMade,
  verifyOneTime,
  verifyPassword,
} from "../../ground/crypto/passwords.ts";
import { plainLetters } from "../../ground/database/search.ts";
import type { Keys } from "../../ground/gate/person.ts";
import type { PersonVisit, Visit } from "../../ground/gate/visit.ts";
import { InputProblem } from "../../ground/pages/input.ts";
import { Konto, kontoZurAnmeldung, merkeErsteAnmeldung } from "../konten/public.ts";
import { versuche } from "./bremse.ts";
import { passwordProblem } from "./passwortregeln.ts";
import { imPasswortgang } from "./public.ts";
import { eigenerZugang, type Zugang } from "./queries.ts";
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

/** Hash of a password that nobody has: checking an unknown name takes as long as checking a known one. */
let nobody: Promise<string> | undefined;
function nobodysHash(): Promise<string> {
  nobody ??= hashPassword("niemand");
  return nobody;
}

/** A user name as it was made, however it is typed: `Petra.Müller` is `petra.mueller`. */
export function alsBenutzername(getippt: string): string {
  return plainLetters(getippt.replace(/\s+/g, ""));
}

/** Whether a password is right. Of a one-time password capitals, blanks and dashes of any kind do not count: it is read from paper. */
async function passt(getippt: string, zugang: Zugang | undefined, nobody: string): Promise<boolean> {
  const pruefwert = zugang?.passwort ?? nobody;
  if (isOneTimeHash(pruefwert)) {
    // How long it takes does not tell that somebody has not chosen their own yet.
    await verifyPassword(getippt, nobody);
    return verifyOneTime(getippt, pruefwert);
  }
  // One that was set by an earlier version.
  return verifyPassword(zugang?.einmalig_bis == null ? getippt : oneTimeAsMade(getippt), pruefwert);
}

/** Checks name and password and begins a session. Throws Refused (503) when too many sign in at once. */
export async function meldeAn(
  visit: Visit,
  eingabe: { readonly benutzername: string; readonly passwort: string },
): Promise<Anmeldung> {
  const { app, now, address } = visit;
  const benutzername = alsBenutzername(eingabe.benutzername);
  const konto = await app.database.as({}, (tx) => kontoZurAnmeldung(tx, benutzername));
  // No connection is held while the password waits its turn.
  return imPasswortgang(app, async () => {
    const versuch = await versuche(app.database, app.sessionKey, now, {
      benutzername,
      address,
      exists: konto !== undefined,
    });
    if (versuch.waitMs > 0) {
      return { art: "warten", sekunden: Math.ceil(versuch.waitMs / 1000) };
    }
    const zugang = konto && (await app.database.as({ konto: konto.id }, (tx) => eigenerZugang(tx, konto.id)));
    const richtig = await passt(eingabe.passwort, zugang, await nobodysHash());
    if (!konto || !zugang || !richtig) {
      return { art: "falsch" };
    }
    await versuch.succeeded();
    if (konto.gesperrt) {
      return { art: "gesperrt" };
    }
    if (zugang.einmalig_bis && zugang.einmalig_bis < now) {
      return { art: "abgelaufen" };
    }
    const nurPasswort = zugang.einmalig_bis !== null;
    const begun = await app.database.as({ konto: konto.id }, async (tx) => {
      await merkeErsteAnmeldung(tx, konto.id, now);
      return beginneSitzung(tx, app.sessionKey, now, { id: konto.id, nurPasswort });
    });
    return { art: "angemeldet", ...begun, nurPasswort };
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
  const problem = passwordProblem(eingabe.neu, person);
  if (problem) {
    throw new InputProblem({ field: "neu", text: problem });
  }
  if (eingabe.neu !== eingabe.wiederholt) {
    throw new InputProblem({ field: "wiederholt", text: "Die beiden neuen Passwörter stimmen nicht überein." });
  }
  const pruefwert = await imPasswortgang(app, () => checkedHash(app, visit, eingabe));
  return visit.transaction(async (tx) => {
    await tx.run("SELECT passwort_setzen($1, $2, NULL, $3)", [person.accountId, pruefwert, now]);
    await tx.run("DELETE FROM sitzung WHERE konto_id = $1", [person.accountId]);
    const { accountId } = person;
    await visit.record(tx, { resource: Konto, deed: "passwort", object: accountId, person: accountId });
    const { cookies } = await beginneSitzung(tx, app.sessionKey, now, { id: person.accountId, nurPasswort: false });
    return cookies;
  });
}

async function checkedHash(
  app: App,
  visit: PersonVisit,
  eingabe: { readonly bisher: string; readonly neu: string },
): Promise<string> {
  const { person, now, address } = visit;
  const attempt = { benutzername: person.userName, address, exists: true };
  const versuch = await versuche(app.database, app.sessionKey, now, attempt);
  if (versuch.waitMs > 0) {
    throw new InputProblem({ field: "bisher", text: warteText(Math.ceil(versuch.waitMs / 1000)) });
  }
  const zugang = await visit.transaction((tx) => eigenerZugang(tx, person.accountId));
  if (!zugang || !(await passt(eingabe.bisher, zugang, await nobodysHash()))) {
    throw new InputProblem({ field: "bisher", text: "Das bisherige Passwort ist nicht richtig." });
  }
  await versuch.succeeded();
  const asOneTime = isOneTimeHash(zugang.passwort) && verifyOneTime(eingabe.neu, zugang.passwort);
  if (eingabe.neu === eingabe.bisher || asOneTime) {
    throw new InputProblem({ field: "neu", text: "Das neue Passwort muss sich vom bisherigen unterscheiden." });
  }
  return hashPassword(eingabe.neu);
}

/** „Bitte warten Sie …" in seconds or minutes. */
export function warteText(sekunden: number): string {
  const dauer = sekunden < 90 ? `${sekunden} Sekunden` : `${Math.ceil(sekunden / 60)} Minuten`;
  return `Zu viele Versuche. Bitte warten Sie ${dauer} und versuchen Sie es dann noch einmal.`;
}
