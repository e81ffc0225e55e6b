import { type Draft, openDraft } from "../../ground/gate/draft.ts";
import { formKey } from "../../ground/gate/keys.ts";
import { type Reply, redirect } from "../../ground/gate/reply.ts";
import { type Declared, route } from "../../ground/gate/route.ts";
import type { PersonVisit, Visit } from "../../ground/gate/visit.ts";
import { fieldsOf, type InputError, InputProblem } from "../../ground/pages/input.ts";
import { page, view } from "../../ground/pages/page.ts";
import { merkeVerbindung } from "../datenschutz/public.ts";
import { type Anmeldung, aenderePasswort, meldeAn } from "./commands.ts";
import { offeneSeite } from "./offen.ts";
import { longest, shortest } from "./passwortregeln.ts";
import { ownPath, warteText } from "./public.ts";
import { beendeSitzung } from "./sitzung.ts";

const anmelden = view<{
  readonly benutzername: string;
  readonly weiter: string;
  readonly entwurf: string;
  readonly abgemeldet: boolean;
  readonly neuesPasswort: boolean;
}>("zugang/anmelden");
const eingaben = view<{
  readonly ziel: string;
  readonly felder: ReadonlyArray<{ readonly name: string; readonly wert: string }>;
  readonly texte: readonly string[];
}>("zugang/eingaben");
const schonAngemeldet = view<{ readonly weiter: string }>("zugang/schon-angemeldet");
const passwort = view<{ readonly nurPasswort: boolean; readonly benutzername: string; readonly regel: string }>(
  "zugang/passwort",
);

/** Signing in and out, and one's own password. */
export const zugangRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/anmelden",
    policy: { public: "Whoever is to sign in cannot be signed in yet" },
    handle: async (visit) => {
      merkeVerbindung(visit);
      return loginPage(visit, { weiter: visit.query.get("weiter") ?? "" });
    },
  }),
  route({
    method: "POST",
    path: "/anmelden",
    policy: { public: "Whoever is to sign in cannot be signed in yet" },
    stale: signedInElsewhere,
    handle: login,
  }),
  route({
    method: "POST",
    path: "/abmelden",
    policy: {
      signedIn: "Ends nothing but the person's own session",
      beforePasswordChange: true,
      signedOut: "/anmelden",
    },
    handle: async (visit) => {
      const cookies = await visit.transaction((tx) => beendeSitzung(tx, visit.person.session));
      // On a computer that many use nothing of one's own is left. Not "cookies": that would reach the sites beside this one.
      return redirect("/anmelden?abgemeldet=ja", { cookies, headers: { "Clear-Site-Data": '"cache", "storage"' } });
    },
  }),
  route({
    method: "GET",
    path: "/passwort",
    policy: { signedIn: "Shows an empty form for the person's own password", beforePasswordChange: true },
    handle: async (visit) => passwordPage(visit, []),
  }),
  route({
    method: "POST",
    path: "/passwort",
    policy: { signedIn: "Changes nothing but the person's own password", beforePasswordChange: true },
    handle: changePassword,
  }),
];

/** Asks somebody to sign in whose session was over when they sent a form; what they typed comes back afterwards. */
export function askToSignIn(visit: Visit, entwurf: string): Reply {
  return loginPage(visit, { weiter: "", entwurf, status: 403 });
}

/** What somebody had typed before they signed in again, ready to be sent: only now it does something. */
function resumePage(
  visit: Visit,
  { path, fields }: Draft,
  { cookies, keys }: Extract<Anmeldung, { readonly art: "angemeldet" }>,
): Reply {
  const felder = fields.map(([name, wert]) => ({ name, wert }));
  const texte = fields
    .map(([, wert]) => wert.trim())
    .filter((wert) => wert.length > 2 && !/^[0-9a-f-]{36}$/.test(wert));
  return page(
    visit,
    eingaben,
    { ziel: path, felder, texte },
    { title: "Ihre Eingaben sind noch da", formKey: formKey(visit.app.sessionKey, keys), cookies },
  );
}

/** A login page that was open while somebody signed in in another tab, or for longer than the browser kept its key. */
async function signedInElsewhere(visit: Visit): Promise<Reply> {
  const { benutzername, weiter } = fieldsOf(visit.form, "benutzername", "weiter");
  if (visit.sentSession) {
    // Perhaps the same person, perhaps another one at the same computer: nobody is led into an account without being told.
    return page(visit, schonAngemeldet, { weiter: ownPath(weiter) }, { title: "Schon angemeldet", status: 409 });
  }
  const text = "Diese Seite war zu lange offen. Bitte geben Sie Ihr Passwort noch einmal ein.";
  return loginPage(visit, {
    benutzername: benutzername.slice(0, 200),
    weiter,
    fehler: [{ field: "", text }],
    status: 422,
  });
}

async function login(visit: Visit): Promise<Reply> {
  const eingabe = fieldsOf(visit.form, "benutzername", "passwort", "weiter", "entwurf");
  const fehler: InputError[] = [
    ...(eingabe.benutzername.trim() === ""
      ? [{ field: "benutzername", text: "Bitte geben Sie Ihren Benutzernamen ein." }]
      : []),
    ...(eingabe.passwort === "" ? [{ field: "passwort", text: "Bitte geben Sie Ihr Passwort ein." }] : []),
  ];
  if (fehler.length > 0) {
    return loginPage(visit, { ...eingabe, fehler, status: 422 });
  }
  if (eingabe.benutzername.length > 200 || eingabe.passwort.length > longest) {
    return loginPage(visit, {
      ...eingabe,
      benutzername: "",
      fehler: [{ field: "", text: refusals.falsch }],
      status: 422,
    });
  }
  const anmeldung = await meldeAn(visit, eingabe);
  const draft =
    anmeldung.art === "angemeldet" &&
    !anmeldung.nurPasswort &&
    openDraft(visit.app.sessionKey, eingabe.entwurf, visit.now);
  if (anmeldung.art === "angemeldet" && draft) {
    return resumePage(visit, draft, anmeldung);
  }
  if (anmeldung.art === "angemeldet") {
    return redirect(anmeldung.nurPasswort ? "/passwort" : ownPath(eingabe.weiter), { cookies: anmeldung.cookies });
  }
  if (anmeldung.art === "warten") {
    const text = warteText(anmeldung.sekunden);
    return loginPage(visit, { ...eingabe, fehler: [{ field: "", text }], status: 429, retryAfter: anmeldung.sekunden });
  }
  return loginPage(visit, { ...eingabe, fehler: [{ field: "", text: refusals[anmeldung.art] }], status: 422 });
}

const refusals: Readonly<Record<Exclude<Anmeldung["art"], "angemeldet" | "warten">, string>> = {
  falsch: "Benutzername oder Passwort sind nicht richtig.",
  gesperrt: "Dieses Konto ist gesperrt. Bitte wenden Sie sich an die Administration Ihrer Schule.",
  abgelaufen: "Das Einmalpasswort ist abgelaufen. Bitte lassen Sie sich von der Administration ein neues geben.",
};

interface LoginState {
  readonly weiter: string;
  /** What was typed into a form when the session was over. */
  readonly entwurf?: string;
  readonly benutzername?: string;
  readonly fehler?: readonly InputError[];
  readonly status?: number;
  readonly retryAfter?: number;
}

function loginPage(visit: Visit, state: LoginState): Reply {
  return offeneSeite(
    visit,
    anmelden,
    {
      benutzername: state.benutzername ?? "",
      weiter: ownPath(state.weiter),
      entwurf: state.entwurf ?? "",
      abgemeldet: visit.query.has("abgemeldet") && !visit.sentSession,
      neuesPasswort: visit.query.get("passwort") === "neu" && !visit.sentSession,
    },
    {
      title: "Anmelden",
      errorTitle: "Anmeldung nicht möglich",
      errors: state.fehler ?? [],
      ...(state.status === undefined ? {} : { status: state.status }),
      ...(state.retryAfter === undefined ? {} : { headers: { "Retry-After": String(state.retryAfter) } }),
    },
  );
}

async function changePassword(visit: PersonVisit): Promise<Reply> {
  try {
    const cookies = await aenderePasswort(visit, fieldsOf(visit.form, "bisher", "neu", "wiederholt"));
    return redirect("/?erledigt=passwort", { cookies });
  } catch (error) {
    if (error instanceof InputProblem) {
      return passwordPage(visit, error.errors);
    }
    throw error;
  }
}

function passwordPage(visit: PersonVisit, errors: readonly InputError[]): Reply {
  const { passwordOnly, userName } = visit.person;
  return page(
    visit,
    passwort,
    {
      nurPasswort: passwordOnly,
      benutzername: userName,
      regel: `Mindestens ${shortest} Zeichen. Gut ist ein kurzer Satz, den nur Sie kennen.`,
    },
    { title: passwordOnly ? "Eigenes Passwort wählen" : "Passwort ändern", errors },
  );
}
