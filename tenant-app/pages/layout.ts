import type { App } from "../app.ts";
import type { PersonVisit, Visit } from "../gate/visit.ts";
import { monogram } from "./monogramm.ts";

interface NavigationEntry {
  readonly href: string;
  readonly text: string;
  readonly current: boolean;
  readonly count?: number;
}

/** What the layout shows around every page. */
export interface Frame {
  readonly schule: { readonly name: string; readonly monogramm: string; readonly demo: boolean };
  readonly assets: { readonly stylesheet: string; readonly icon: string };
  readonly person?: { readonly name: string; readonly rollen: string; readonly eingeschraenkt: boolean };
  readonly navigation: readonly NavigationEntry[];
  /** Value of the hidden field of forms on this page. */
  readonly sicherheit?: string;
  /** What the last form did, in words. */
  readonly meldung?: string;
}

/** The frame for somebody who is not signed in. */
export function publicFrame(app: App): Frame {
  return {
    schule: { name: app.config.schoolName, monogramm: monogram(app.config.schoolName), demo: app.config.demo },
    assets: { stylesheet: app.assets.stylesheet, icon: app.assets.icon },
    navigation: [],
  };
}

/** The frame for somebody who is signed in, with the navigation that their rights allow. */
export function personFrame(visit: PersonVisit): Frame {
  const { person } = visit;
  const meldung = meldungen.get(visit.query.get("erledigt") ?? "");
  return {
    ...publicFrame(visit.app),
    person: {
      name: `${person.vorname} ${person.nachname}`,
      rollen: person.rollen.join(", "),
      eingeschraenkt: person.nurPasswort,
    },
    navigation: person.nurPasswort ? [] : navigation(visit),
    sicherheit: visit.formKey,
    ...(meldung ? { meldung } : {}),
  };
}

/** The frame that fits the visit. */
export function frameOf(visit: Visit | PersonVisit): Frame {
  return "person" in visit ? personFrame(visit) : publicFrame(visit.app);
}

function navigation(visit: PersonVisit): NavigationEntry[] {
  const entry = (href: string, text: string, count = 0): NavigationEntry => ({
    href,
    text,
    current: href === "/" ? visit.path === "/" : visit.path === href || visit.path.startsWith(`${href}/`),
    ...(count > 0 ? { count } : {}),
  });
  return [
    entry("/", "Start"),
    ...(visit.may("Nachricht", "lesen") ? [entry("/nachrichten", "Nachrichten", visit.person.ungelesen)] : []),
    ...(visit.may("Datei", "lesen") ? [entry("/dateien", "Dateien")] : []),
    ...(visit.may("Konto", "lesen", "schule") ? [entry("/konten", "Konten")] : []),
    ...(visit.may("Rolle", "lesen", "schule") ? [entry("/rollen", "Rollen")] : []),
  ];
}

/** Confirmations, by the word in `?erledigt=`: a fixed list, so that no link can put words into our mouth. */
const meldungen: ReadonlyMap<string, string> = new Map([
  ["passwort", "Ihr neues Passwort gilt ab sofort. Andere Sitzungen wurden beendet."],
  ["profil", "Ihre Angaben wurden gespeichert."],
  ["konto", "Die Änderungen am Konto wurden gespeichert."],
  ["konto-vorhanden", "Dieses Konto wurde bereits angelegt. Ein Einmalpasswort können Sie hier neu vergeben."],
  ["gesperrt", "Das Konto ist gesperrt. Laufende Sitzungen sind beendet."],
  ["entsperrt", "Das Konto ist wieder freigegeben."],
  ["rollen", "Die Rollen wurden gespeichert. Sie gelten ab sofort."],
  ["gesendet", "Ihre Nachricht wurde gesendet."],
  ["nachricht-geloescht", "Die Nachricht wurde gelöscht und ist für niemanden mehr lesbar."],
  ["hochgeladen", "Die Datei wurde hochgeladen und verschlüsselt gespeichert."],
  ["datei-geloescht", "Die Datei wurde gelöscht und ist für niemanden mehr lesbar."],
  ["freigegeben", "Die Freigaben wurden gespeichert."],
]);
