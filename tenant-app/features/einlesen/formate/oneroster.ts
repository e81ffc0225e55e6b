import { nimmPerson, type Personenart, type Sammler } from "../saetze.ts";
import { datenzeilen, type Gelesen, type Tabelle } from "../tabelle.ts";
import { nameJe } from "./untis.ts";

/** OneRoster 1.2 CSV (imsglobal.org): several files that refer to each other by `sourcedId`. Columns are found by their headings. */

export const rosterdateien = ["users", "roles", "demographics", "classes", "courses", "enrollments"] as const;
export type Rosterdatei = (typeof rosterdateien)[number];

interface Klasse {
  readonly id: string;
  readonly titel: string;
  readonly stamm: boolean;
  readonly kurs: string;
  readonly faecher: string;
  readonly herkunft: Gelesen["herkunft"];
}

interface Zuordnung {
  readonly klasse: Klasse;
  readonly wer: string;
  readonly rolle: string;
  readonly herkunft: Gelesen["herkunft"];
}

const ref = (id: string) => `oneroster:${id}`;

/** Rows of one file that hold, with the columns asked for. */
type Lies = (
  welche: Rosterdatei,
  ...spalten: readonly string[]
) => Generator<{ readonly herkunft: Gelesen["herkunft"]; readonly werte: readonly string[] }>;

/** @param dateien by which file of the standard they are; those that are not there are empty */
export function liesOneRoster(sammler: Sammler, dateien: ReadonlyMap<Rosterdatei, Tabelle>): void {
  let abgemeldet = 0;
  const lies: Lies = function* (welche, ...spalten) {
    const eingabe = dateien.get(welche);
    if (eingabe === undefined) return;
    const wo = ["status", "sourcedId", ...spalten].map((name) => {
      const at = eingabe.kopf.indexOf(name);
      return at < 0 ? undefined : at;
    });
    for (const { herkunft, feld } of datenzeilen(sammler, eingabe)) {
      const [status = "", ...werte] = wo.map(feld);
      if (status.toLowerCase() === "tobedeleted") abgemeldet += 1;
      else yield { herkunft, werte };
    }
  };
  const klassen = liesKlassen(lies);
  const zuordnungen = liesZuordnungen(sammler, lies, klassen);
  liesPersonen(sammler, lies, zuordnungen);
  nimmZuordnungen(sammler, lies, [...klassen.values()], zuordnungen);
  if (abgemeldet > 0) {
    sammler.hinweise.push(
      `${abgemeldet} Zeilen mit dem Zustand „tobedeleted“ wurden ausgelassen: Das Einlesen löscht niemanden.`,
    );
  }
  sammler.hinweise.push(
    "OneRoster: Gelesen werden Name, Kennung, Rolle, E-Mail-Adresse, Geburtsdatum, Klassen und Kurse; alles andere nicht.",
  );
}

function liesKlassen(lies: Lies): ReadonlyMap<string, Klasse> {
  const klassen = new Map<string, Klasse>();
  for (const { herkunft, werte } of lies("classes", "title", "classType", "courseSourcedId", "subjects", "classCode")) {
    const [id = "", titel = "", art = "", kurs = "", faecher = "", code = ""] = werte;
    klassen.set(id, { id, titel: titel || code, stamm: art.toLowerCase() === "homeroom", kurs, faecher, herkunft });
  }
  return klassen;
}

function liesZuordnungen(sammler: Sammler, lies: Lies, klassen: ReadonlyMap<string, Klasse>): readonly Zuordnung[] {
  const zuordnungen: Zuordnung[] = [];
  for (const { herkunft, werte } of lies("enrollments", "classSourcedId", "userSourcedId", "role")) {
    const [, wohin = "", wer = "", rolle = ""] = werte;
    const klasse = klassen.get(wohin);
    if (klasse) zuordnungen.push({ klasse, wer, rolle: rolle.toLowerCase(), herkunft });
    else sammler.fehlt(herkunft, "Die Zeile nennt eine Klasse, die in classes.csv nicht steht.");
  }
  return zuordnungen;
}

function liesPersonen(sammler: Sammler, lies: Lies, zuordnungen: readonly Zuordnung[]): void {
  const rollen = new Map<string, string>();
  for (const { werte } of lies("roles", "userSourcedId", "role")) {
    const [, wer = "", rolle = ""] = werte;
    if (!rollen.has(wer) || rolle === "teacher") rollen.set(wer, rolle);
  }
  const geburten = new Map<string, string>();
  for (const { werte } of lies("demographics", "birthDate")) geburten.set(werte[0] ?? "", werte[1] ?? "");
  const stammklasse = new Map(
    zuordnungen.flatMap(({ klasse, wer, rolle }) =>
      klasse.stamm && rolle === "student" ? [[wer, klasse.titel] as const] : [],
    ),
  );
  let andere = 0;
  const spalten = ["givenName", "familyName", "email", "role", "preferredGivenName"] as const;
  for (const { herkunft, werte } of lies("users", ...spalten)) {
    const [id = "", vorname = "", nachname = "", email = "", alteRolle = "", rufname = ""] = werte;
    const art = artVon((rollen.get(id) ?? alteRolle).toLowerCase());
    if (art === undefined) {
      andere += 1;
      continue;
    }
    nimmPerson(sammler, {
      art,
      ref: ref(id),
      vorname: rufname || vorname,
      nachname,
      email,
      herkunft,
      geburt: geburten.get(id) ?? "",
      klasse: stammklasse.get(id) ?? "",
      kennung: { quelle: "oneroster", wert: id },
    });
  }
  if (andere > 0) {
    sammler.hinweise.push(`users.csv: ${andere} Personen, die weder lernen noch unterrichten, wurden ausgelassen.`);
  }
}

function artVon(rolle: string): Personenart | undefined {
  return rolle === "student" ? "schueler" : rolle === "teacher" ? "lehrkraft" : undefined;
}

function nimmZuordnungen(
  sammler: Sammler,
  lies: Lies,
  klassen: readonly Klasse[],
  zuordnungen: readonly Zuordnung[],
): void {
  const kurse = new Map<string, { readonly titel: string; readonly faecher: string }>();
  for (const { werte } of lies("courses", "title", "subjects")) {
    kurse.set(werte[0] ?? "", { titel: werte[1] ?? "", faecher: werte[2] ?? "" });
  }
  for (const { titel, stamm, herkunft } of klassen) if (stamm) sammler.klassen.push({ name: titel, herkunft });
  const fachVon = ({ faecher, kurs, titel }: Klasse) =>
    (faecher || kurse.get(kurs)?.faecher || kurse.get(kurs)?.titel || titel).split(",")[0]?.trim() ?? "";
  const benannt = nameJe(
    klassen.filter(({ stamm }) => !stamm),
    (klasse) => [klasse.titel, `${klasse.titel} ${fachVon(klasse)}`, `${klasse.titel} ${klasse.id}`],
  );
  for (const [klasse, name] of benannt) {
    const kennung = { quelle: "oneroster", wert: klasse.id };
    sammler.kurse.push({
      ref: ref(klasse.id),
      kennung,
      name,
      fach: fachVon(klasse),
      klassen: [],
      herkunft: klasse.herkunft,
    });
  }
  for (const { klasse, wer, rolle, herkunft } of zuordnungen) {
    if (klasse.stamm) {
      if (rolle === "teacher") sammler.leitungen.push({ person: ref(wer), ziel: klasse.titel, herkunft });
    } else if (rolle === "teacher") sammler.auftraege.push({ person: ref(wer), ziel: ref(klasse.id), herkunft });
    else if (rolle === "student") sammler.einschreibungen.push({ person: ref(wer), ziel: ref(klasse.id), herkunft });
  }
}
