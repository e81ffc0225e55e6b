import type { App } from "../../ground/app.ts";
import { perApp } from "../../ground/app.ts";
import { hashOneTime, hashPassword, oneTimePassword, verifyOneTime } from "../../ground/crypto/passwords.ts";
import { networkOf } from "../../ground/gate/address.ts";
import { Refused } from "../../ground/gate/refusal.ts";
import type { Visit } from "../../ground/gate/visit.ts";
import { writeJournal } from "../../ground/journal/write.ts";
import { InputProblem } from "../../ground/pages/input.ts";
import { fairQueue, TooBusy } from "../../ground/queue.ts";
import { Konto, kontoZurAnmeldung } from "../konten/public.ts";
import { type BremseSettings, versuche } from "./bremse.ts";
import { alsBenutzername } from "./commands.ts";
import { passwordProblem } from "./passwortregeln.ts";
import { beimPruefen, imPasswortgang, warteText } from "./public.ts";

/** A code is good for so long; milliseconds. */
export const codeGueltigMs = 30 * 60_000;

/** How often one network may ask for codes: a school shares one address, and many forget their password on the first day after the holidays. */
const fragen: BremseSettings = {
  freeAttempts: 40,
  freeAttemptsFromStrangers: 200,
  firstWaitMs: 60_000,
  longestWaitMs: 10 * 60_000,
  forgetMs: 60 * 60_000,
  knownMs: 0,
};
/** How often a code may be tried out; whoever tries at somebody else's name keeps them waiting for less than a code is good. */
const versuchen: BremseSettings = {
  ...fragen,
  freeAttempts: 5,
  freeAttemptsFromStrangers: 25,
  longestWaitMs: 5 * 60_000,
};

/** What waits to be handed to the relay: one mail after the other, none waits for ever. */
const postgang = perApp(() => fairQueue({ running: 1, waiting: 300, patienceMs: 10 * 60_000 }));

interface Empfaenger {
  readonly konto_id: string;
  readonly benutzername: string;
  readonly email: string;
}

/**
 * Sends a code to whoever a user name or mail address names. Whether there is such an account is not said; the mail leaves after the answer.
 * @throws Refused (429) when too many were asked for from one network
 */
export async function fordereCodeAn(visit: Visit, getippt: string): Promise<void> {
  const { app, now, address } = visit;
  const code = oneTimePassword();
  const pruefwert = hashOneTime(code);
  const wer = getippt.includes("@") ? getippt.trim() : alsBenutzername(getippt);
  const empfaenger = await app.database.as({}, async (tx) => {
    // One count for all names: nobody covers a school with mail by asking for one after the other.
    const attempt = { benutzername: "passwortcode", address, exists: true };
    const { waitMs } = await versuche(tx, app.sessionKey, now, attempt, fragen);
    if (waitMs > 0) {
      const sekunden = Math.ceil(waitMs / 1000);
      throw new Refused(429, "Zu viele Anforderungen", warteText(sekunden), { retryAfter: sekunden });
    }
    const bis = new Date(now.getTime() + codeGueltigMs);
    return tx.all<Empfaenger>("SELECT * FROM passwortcode_anfordern($1, $2, $3, $4)", [wer, pruefwert, now, bis]);
  });
  for (const einer of empfaenger) {
    void sende(app, einer, { code, pruefwert, am: now });
  }
}

async function sende(
  app: App,
  { konto_id, benutzername, email }: Empfaenger,
  { code, pruefwert, am }: { readonly code: string; readonly pruefwert: string; readonly am: Date },
): Promise<void> {
  const { mailer } = app;
  try {
    await postgang(app)({ source: undefined }, async () =>
      mailer?.send({ to: email, ...brief(app, benutzername, code) }),
    );
    await app.database.as({}, (tx) => tx.run("SELECT passwortcode_gesendet($1, $2, $3)", [konto_id, pruefwert, am]));
  } catch (error) {
    const reason =
      error instanceof TooBusy ? "too many mails wait" : error instanceof Error ? error.message : "unknown";
    // To whom is not said: the log knows nobody.
    app.log.error({ reason }, "a code for a new password was not sent; it can be asked for again in a minute");
  }
}

function brief(
  { config }: App,
  benutzername: string,
  code: string,
): { readonly subject: string; readonly text: string } {
  return {
    subject: `Code für ein neues Passwort – ${config.schoolName}`,
    text: [
      "Guten Tag,",
      "",
      `für Ihren Zugang bei ${config.schoolName} wurde ein Code angefordert, mit dem Sie ein neues Passwort wählen können.`,
      "",
      `Benutzername:  ${benutzername}`,
      `Code:          ${code}`,
      "",
      "Geben Sie beides auf dieser Seite ein:",
      `${config.origin}/passwort-code`,
      "",
      `Der Code gilt ${codeGueltigMs / 60_000} Minuten und nur einmal. Geben Sie ihn niemandem weiter.`,
      "",
      "Haben Sie keinen Code angefordert? Dann brauchen Sie nichts zu tun. Ihr bisheriges Passwort gilt weiter.",
      "",
    ].join("\n"),
  };
}

export interface CodeEingabe {
  readonly benutzername: string;
  readonly code: string;
  readonly neu: string;
  readonly wiederholt: string;
}

interface Gefunden {
  readonly konto_id: string;
  readonly pruefwert: string;
  readonly benutzername: string;
  readonly vorname: string;
  readonly nachname: string;
}

const falsch =
  "Benutzername oder Code sind nicht richtig, oder der Code gilt nicht mehr. Fordern Sie dann einen neuen an.";

/**
 * Replaces a forgotten password; all sessions end.
 * @throws InputProblem for a wrong code, which tells no more than a wrong name, or an unsuitable password
 */
export async function loeseCodeEin(visit: Visit, eingabe: CodeEingabe): Promise<void> {
  const { app, now, address } = visit;
  const benutzername = alsBenutzername(eingabe.benutzername);
  if (eingabe.neu !== eingabe.wiederholt) {
    throw new InputProblem({ field: "wiederholt", text: "Die beiden neuen Passwörter stimmen nicht überein." });
  }
  // What can be said without the account is said before the code counts as tried.
  verlangeGut(app, eingabe.neu, { benutzername, vorname: "", nachname: "" });
  const { versuch, gefunden } = await app.database.as({}, async (tx) => {
    const [gefunden, konto] = await Promise.all([
      tx.one<Gefunden>("SELECT * FROM passwortcode_von($1, $2)", [benutzername, now]),
      kontoZurAnmeldung(tx, benutzername),
    ]);
    // As the login counts: whether somebody has a code makes no difference, or asking for one would tell who is there.
    const attempt = { benutzername: `passwortcode ${benutzername}`, address, exists: konto !== undefined };
    return { gefunden, versuch: await versuche(tx, app.sessionKey, now, attempt, versuchen) };
  });
  if (versuch.waitMs > 0) {
    throw new InputProblem({ field: "", text: warteText(Math.ceil(versuch.waitMs / 1000)) });
  }
  if (!gefunden || !verifyOneTime(eingabe.code, gefunden.pruefwert)) {
    throw new InputProblem({ field: "code", text: falsch });
  }
  verlangeGut(app, eingabe.neu, gefunden);
  const comer = { source: networkOf(address), known: false };
  const neu = await imPasswortgang(app, comer, () => beimPruefen(app, comer, () => hashPassword(eingabe.neu)));
  const { konto_id: id, pruefwert } = gefunden;
  const ersetzt = await app.database.as({ konto: id }, async (tx) => {
    const row = await tx.one<{ ersetzt: boolean }>("SELECT passwort_mit_code($1, $2, $3, $4) AS ersetzt", [
      id,
      pruefwert,
      neu,
      now,
    ]);
    if (row?.ersetzt !== true) {
      return false;
    }
    const writer = { fieldKey: app.fieldKey, now, by: id };
    await writeJournal(tx, writer, { resource: Konto, deed: "passwortcode", object: id, person: id });
    await versuch.succeeded(tx);
    return true;
  });
  if (!ersetzt) {
    throw new InputProblem({ field: "code", text: falsch });
  }
}

function verlangeGut(app: App, neu: string, konto: Pick<Gefunden, "benutzername" | "vorname" | "nachname">): void {
  const about = { userName: konto.benutzername, firstName: konto.vorname, lastName: konto.nachname };
  const problem = passwordProblem(neu, about, app.config.schoolName);
  if (problem) {
    throw new InputProblem({ field: "neu", text: problem });
  }
}
