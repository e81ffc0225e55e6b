import { perApp } from "../../ground/app.ts";
import { hashOneTime, oneTimePassword } from "../../ground/crypto/passwords.ts";
import type { Transaction } from "../../ground/database/database.ts";
import { Refused } from "../../ground/gate/refusal.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { InputProblem } from "../../ground/pages/input.ts";
import { type Comer, fairQueue, TooBusy } from "../../ground/queue.ts";
import { versuche } from "./bremse.ts";
import { nobodysHash, passt } from "./pruefen.ts";
import { eigenerZugang, type Zugang } from "./queries.ts";

/** A one-time password is good for so long; milliseconds. */
export const einmalGueltigMs = 30 * 24 * 60 * 60 * 1000;

const gangOf = perApp(() => ({
  /** Logins and changed passwords under way: enough that no password waits for the database. Nobody who waits holds a connection. */
  anmeldungen: fairQueue({ running: 3, waiting: 1_500 }),
  /** Passwords that are checked at once, 19 MiB each. */
  pruefungen: fairQueue({ running: 2, waiting: 100 }),
  /** Accounts that are looked up: a crowd at the door leaves connections for those who are in. */
  nachsehen: fairQueue({ running: 1, waiting: 1_500 }),
}));
type Passwortapp = Parameters<typeof gangOf>[0];

async function inWorten<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof TooBusy)) {
      throw error;
    }
    throw new Refused(
      503,
      "Gerade melden sich sehr viele an",
      `Bitte warten Sie etwa ${error.retryAfter} Sekunden und versuchen Sie es dann noch einmal. Ihre Eingaben waren nicht falsch.`,
      { retryAfter: error.retryAfter },
    );
  }
}

const gang =
  (welcher: keyof ReturnType<typeof gangOf>) =>
  <T>(app: Passwortapp, comer: Comer, work: () => Promise<T>): Promise<T> =>
    inWorten(() => gangOf(app)[welcher](comer, work));

/** A login or a change of a password, in its turn. Throws Refused (503) when there is no room to wait. */
export const imPasswortgang = gang("anmeldungen");
/** The check of one password, within a turn. */
export const beimPruefen = gang("pruefungen");
/** Looks something up before a turn. */
export const beimNachsehen = gang("nachsehen");

/** A new one-time password and what is stored of it. */
export function neuesEinmalpasswort(): { readonly einmalpasswort: string; readonly pruefwert: string } {
  const einmalpasswort = oneTimePassword();
  return { einmalpasswort, pruefwert: hashOneTime(einmalpasswort) };
}

/**
 * Stores a one-time password, as the app: needs the right to create or edit accounts.
 * @param vorgang of the form that asks for it
 * @returns false when this form has set one before; then nothing changes
 */
export async function setzeEinmalpasswort(
  tx: Transaction,
  now: Date,
  { kontoId, pruefwert, vorgang }: { readonly kontoId: string; readonly pruefwert: string; readonly vorgang: string },
): Promise<boolean> {
  const bis = new Date(now.getTime() + einmalGueltigMs);
  const row = await tx.one<{ gesetzt: boolean }>("SELECT einmalpasswort_setzen($1, $2, $3, $4, $5) AS gesetzt", [
    kontoId,
    pruefwert,
    bis,
    now,
    vorgang,
  ]);
  return row?.gesetzt ?? false;
}

/**
 * Stores one-time passwords of many accounts in one statement, as `setzeEinmalpasswort` does one.
 * @returns of which accounts it was set; of the others this form has set one before
 */
export async function setzeEinmalpasswoerter(
  tx: Transaction,
  now: Date,
  vorgang: string,
  zugaenge: ReadonlyArray<{ readonly kontoId: string; readonly pruefwert: string }>,
): Promise<ReadonlySet<string>> {
  const rows = await tx.all<{ id: string; gesetzt: boolean }>(
    `SELECT x.id, einmalpasswort_setzen(x.id, x.pruefwert, $2, $3, $4) AS gesetzt
       FROM json_to_recordset($1::json) AS x (id uuid, pruefwert text)`,
    [
      JSON.stringify(zugaenge.map(({ kontoId, pruefwert }) => ({ id: kontoId, pruefwert }))),
      new Date(now.getTime() + einmalGueltigMs),
      now,
      vorgang,
    ],
  );
  return new Set(rows.filter(({ gesetzt }) => gesetzt).map(({ id }) => id));
}

/** Stores a one-time password, as the owner of the database: for the operator's programs. */
export async function setzeEinmalpasswortAlsBetreiber(
  tx: Transaction,
  now: Date,
  kontoId: string,
  pruefwert: string,
): Promise<void> {
  await tx.run(
    `INSERT INTO zugang (konto_id, passwort, einmalig_bis, geaendert_am) VALUES ($1, $2, $3, $4)
     ON CONFLICT (konto_id) DO UPDATE SET passwort = excluded.passwort, einmalig_bis = excluded.einmalig_bis,
       geaendert_am = excluded.geaendert_am, vorgang = NULL`,
    [kontoId, pruefwert, new Date(now.getTime() + einmalGueltigMs), now],
  );
}

/** Ends all sessions of an account: one's own, or with the right to edit or lock accounts. */
export async function beendeSitzungen(tx: Transaction, kontoId: string): Promise<void> {
  await tx.run("SELECT sitzungen_beenden($1)", [kontoId]);
}

/** The same, as the owner of the database. */
export async function beendeSitzungenAlsBetreiber(tx: Transaction, kontoId: string): Promise<void> {
  await tx.run("DELETE FROM sitzung WHERE konto_id = $1", [kontoId]);
}

/** Notes that a session has shown its second factor. */
export async function merkeZweitfaktor(tx: Transaction, sitzung: string, now: Date): Promise<void> {
  await tx.run("UPDATE sitzung SET zweitfaktor_am = $2 WHERE schluessel = decode($1, 'hex')", [sitzung, now]);
}

/** Counts an attempt at something that one knows, wherever it comes from: see bremse.ts. */
export async function versucheMit(
  { app, now }: PersonVisit,
  was: string,
): Promise<{ readonly waitMs: number; succeeded(): Promise<void> }> {
  const attempt = { benutzername: was, address: "0.0.0.0", exists: true };
  const { waitMs, succeeded } = await app.database.as({}, (tx) => versuche(tx, app.sessionKey, now, attempt));
  return { waitMs, succeeded: () => app.database.as({}, succeeded) };
}

/** Where it is said that the password is not right, and how. */
interface Eingabefeld {
  readonly field: string;
  readonly falsch: string;
}

/**
 * Checks the person's own password, within a turn (`imPasswortgang`); a wrong one counts as a failed login.
 * @returns what is stored of it
 * @throws InputProblem at the field, when it is wrong or too many were tried
 */
export async function pruefeEigenesPasswort(
  { app, person, now, address }: PersonVisit,
  comer: Comer,
  getippt: string,
  { field, falsch }: Eingabefeld,
): Promise<Zugang> {
  const attempt = { benutzername: person.userName, address, exists: true };
  const { versuch, zugang } = await app.database.as({ konto: person.accountId }, async (tx) => ({
    versuch: await versuche(tx, app.sessionKey, now, attempt),
    zugang: await eigenerZugang(tx, person.accountId),
  }));
  if (versuch.waitMs > 0) {
    throw new InputProblem({ field, text: warteText(Math.ceil(versuch.waitMs / 1000)) });
  }
  const nobody = await nobodysHash();
  if (!zugang || !(await beimPruefen(app, comer, () => passt(getippt, zugang, nobody)))) {
    throw new InputProblem({ field, text: falsch });
  }
  await app.database.as({ konto: person.accountId }, (tx) => versuch.succeeded(tx));
  return zugang;
}

/**
 * Makes sure that it is the person whose session it is, before what would give the account to somebody at an unlocked computer.
 * @throws InputProblem at the field, when the password is missing or wrong, or too many were tried
 */
export async function verlangePasswort(visit: PersonVisit, getippt: string, field: string): Promise<void> {
  if (getippt === "") {
    throw new InputProblem({ field, text: "Bitte geben Sie dafür Ihr Passwort ein." });
  }
  const comer = { source: visit.person.accountId, known: true };
  const feld = { field, falsch: "Das Passwort ist nicht richtig." };
  await imPasswortgang(visit.app, comer, () => pruefeEigenesPasswort(visit, comer, getippt, feld));
}

/** „Bitte warten Sie …" in seconds or minutes. */
export function warteText(sekunden: number): string {
  const dauer = sekunden < 90 ? `${sekunden} Sekunden` : `${Math.ceil(sekunden / 60)} Minuten`;
  return `Zu viele Versuche. Bitte warten Sie ${dauer} und versuchen Sie es dann noch einmal.`;
}

/** Where to go after login: a path of our own, or the start page. */
export function ownPath(candidate: string): string {
  if (!/^\/[A-Za-z0-9/_-]*(\?[A-Za-z0-9=&%._+-]*)?$/.test(candidate) || candidate.startsWith("//")) {
    return "/";
  }
  return candidate;
}
