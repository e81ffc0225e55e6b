import { type Reply, redirect } from "../../ground/gate/reply.ts";
import { type Declared, route } from "../../ground/gate/route.ts";
import type { Visit } from "../../ground/gate/visit.ts";
import { fieldsOf, type InputError, InputProblem } from "../../ground/pages/input.ts";
import { view } from "../../ground/pages/page.ts";
import { offeneSeite } from "./offen.ts";
import { codeGueltigMs, fordereCodeAn, loeseCodeEin } from "./passwortcode.ts";
import { shortest } from "./passwortregeln.ts";

/** A forgotten password, where mails can be sent. Where not, the same page says whom to ask. */

const vergessen = view<{ readonly mitPost: boolean; readonly wer: string; readonly gesendet: boolean }>(
  "zugang/vergessen",
);
const code = view<{
  readonly benutzername: string;
  readonly minuten: number;
  readonly regel: string;
}>("zugang/passwort-code");

const policy = { public: "Whoever has forgotten their password cannot sign in" } as const;

export const vergessenRoutes: readonly Declared[] = [
  route({ method: "GET", path: "/passwort-vergessen", policy, handle: async (visit) => vergessenPage(visit, {}) }),
  route({ method: "POST", path: "/passwort-vergessen", policy, stale: zuLangeOffen, handle: fordereAn }),
  route({ method: "GET", path: "/passwort-code", policy, handle: async (visit) => codePage(visit, {}) }),
  route({ method: "POST", path: "/passwort-code", policy, stale: codeZuLangeOffen, handle: loeseEin }),
];

const zuLange = [{ field: "", text: "Diese Seite war zu lange offen. Bitte schicken Sie sie noch einmal ab." }];

async function zuLangeOffen(visit: Visit): Promise<Reply> {
  return vergessenPage(visit, { wer: fieldsOf(visit.form, "wer").wer.slice(0, 254), fehler: zuLange });
}

async function codeZuLangeOffen(visit: Visit): Promise<Reply> {
  return codePage(visit, {
    benutzername: fieldsOf(visit.form, "benutzername").benutzername.slice(0, 200),
    fehler: zuLange,
  });
}

async function fordereAn(visit: Visit): Promise<Reply> {
  const { wer } = fieldsOf(visit.form, "wer");
  if (visit.app.mailer === undefined) {
    return vergessenPage(visit, {});
  }
  if (wer.trim() === "" || wer.length > 254) {
    const text = "Bitte geben Sie Ihren Benutzernamen oder Ihre E-Mail-Adresse ein.";
    return vergessenPage(visit, { wer: wer.slice(0, 254), fehler: [{ field: "wer", text }] });
  }
  await fordereCodeAn(visit, wer);
  return vergessenPage(visit, { gesendet: true });
}

async function loeseEin(visit: Visit): Promise<Reply> {
  const eingabe = fieldsOf(visit.form, "benutzername", "code", "neu", "wiederholt");
  const benutzername = eingabe.benutzername.slice(0, 200);
  const fehlt = (["benutzername", "code", "neu"] as const).filter((feld) => eingabe[feld].trim() === "");
  if (fehlt.length > 0) {
    return codePage(visit, { benutzername, fehler: fehlt.map((field) => ({ field, text: fehltText[field] })) });
  }
  try {
    await loeseCodeEin(visit, { ...eingabe, benutzername, code: eingabe.code.slice(0, 100) });
    return redirect("/anmelden?passwort=neu");
  } catch (error) {
    if (error instanceof InputProblem) {
      return codePage(visit, { benutzername, fehler: error.errors });
    }
    throw error;
  }
}

const fehltText = {
  benutzername: "Bitte geben Sie Ihren Benutzernamen ein. Er steht in der E-Mail.",
  code: "Bitte geben Sie den Code aus der E-Mail ein.",
  neu: "Bitte wählen Sie ein neues Passwort.",
} as const;

function vergessenPage(
  visit: Visit,
  { wer = "", gesendet = false, fehler = [] }: { wer?: string; gesendet?: boolean; fehler?: readonly InputError[] },
): Reply {
  const title = gesendet ? "Bitte sehen Sie in Ihr Postfach" : "Passwort vergessen";
  return offeneSeite(
    visit,
    vergessen,
    { mitPost: visit.app.mailer !== undefined, wer, gesendet },
    { title, errors: fehler, ...(fehler.length > 0 ? { status: 422 } : {}) },
  );
}

function codePage(
  visit: Visit,
  { benutzername = "", fehler = [] }: { benutzername?: string; fehler?: readonly InputError[] },
): Reply {
  return offeneSeite(
    visit,
    code,
    {
      benutzername,
      minuten: codeGueltigMs / 60_000,
      regel: `Mindestens ${shortest} Zeichen. Gut ist ein kurzer Satz, den nur Sie kennen.`,
    },
    { title: "Neues Passwort wählen", errors: fehler, ...(fehler.length > 0 ? { status: 422 } : {}) },
  );
}
