import { kurz, nimmPerson, type Personenart, type Sammler } from "../saetze.ts";
import { datenzeilen, type Gelesen, spalteMit, type Tabelle, wortstamm } from "../tabelle.ts";

/** A plain list of pupils or teachers, whose columns somebody has named; and what can be guessed of that from its heading. */

export const felder = {
  nachname: { titel: "Nachname", worte: ["nachname", "familienname", "zuname", "lastname", "familyname", "name"] },
  vorname: { titel: "Vorname", worte: ["rufname", "vorname", "vornamen", "firstname", "givenname"] },
  geburt: {
    titel: "Geburtsdatum",
    worte: ["geburtsdatum", "gebdatum", "geburtstag", "geburtsdat", "geboren", "geboream", "birthdate"],
  },
  klasse: {
    titel: "Klasse",
    worte: ["klasse", "klassenname", "klassenbezeichnung", "gruppebezeichnung", "klassegruppe", "class"],
  },
  kennung: {
    titel: "Kennung im anderen Programm",
    worte: [
      "lokalesdifferenzierungsmerkmal",
      "schueleridentnummer",
      "identnummer",
      "schuelernummer",
      "schuelerid",
      "guid",
      "externeid",
      "fremdschluessel",
      "sourcedid",
      "id",
    ],
  },
  email: { titel: "E-Mail-Adresse", worte: ["email", "emailadresse", "mail", "dienstemail", "emaildienstlich"] },
  kuerzel: {
    titel: "Kürzel der Lehrkraft",
    worte: ["kuerzel", "lehrerkuerzel", "namenskuerzel", "krz", "stammkuerzel"],
  },
  kurs: { titel: "Kurs", worte: ["kurs", "kursname", "kursbezeichnung"] },
  fach: { titel: "Fach des Kurses", worte: ["fach", "fachkuerzel", "kursfach"] },
  lehrkraft: {
    titel: "Lehrkraft des Kurses (Kürzel)",
    worte: ["lehrkraft", "lehrer", "fachlehrer", "fachlehrkraft", "kurslehrer"],
  },
} as const satisfies Readonly<Record<string, { readonly titel: string; readonly worte: readonly string[] }>>;
export type Feld = keyof typeof felder;
export const feldnamen = Object.keys(felder) as readonly Feld[];

/** Which column holds what, counted from 0. */
export interface Spalten extends Readonly<Partial<Record<Feld, number | undefined>>> {
  readonly art: Personenart;
}

/** What a heading says by itself. */
export function errate(kopf: readonly string[]): Spalten {
  const gefunden = feldnamen.flatMap((feld) => {
    const spalte = spalteMit(kopf, ...felder[feld].worte);
    return spalte === undefined ? [] : [[feld, spalte] as const];
  });
  // A column means one thing: the first that claims it.
  const vergeben = new Set<number>();
  const eindeutig = gefunden.filter(([, spalte]) => !vergeben.has(spalte) && vergeben.add(spalte));
  const spalten: Partial<Record<Feld, number>> = Object.fromEntries(eindeutig);
  return { ...spalten, art: spalten.kuerzel !== undefined && spalten.klasse === undefined ? "lehrkraft" : "schueler" };
}

/** Reads a list. What its columns hold beyond those that are named is left out, and said. */
export function liesListe(sammler: Sammler, eingabe: Tabelle, spalten: Spalten): void {
  const { kopf, datei } = eingabe;
  const spaltenname = wortstamm(kopf[spalten.kennung ?? -1] ?? "").slice(0, 20) || "kennung";
  const gesehen = new Set<string>();
  const doppelt: number[] = [];
  for (const zeile of datenzeilen(sammler, eingabe)) {
    const { herkunft, feld } = zeile;
    const person = nimmPerson(sammler, personIn(zeile, spalten, `liste-${spaltenname}`));
    const kurs = feld(spalten.kurs);
    if (person && kurs === "" && gesehen.has(person.ref)) doppelt.push(herkunft.zeile);
    if (person) gesehen.add(person.ref);
    if (person && kurs !== "") {
      const [fach, lehrkraft] = [feld(spalten.fach), feld(spalten.lehrkraft)];
      nimmKurs(sammler, { kurs, fach, lehrkraft, person: person.ref, herkunft });
    }
  }
  if (doppelt.length > 0) {
    sammler.hinweise.push(
      `${datei}: Zeile ${doppelt.slice(0, 20).join(", ")} nennt jemanden noch einmal. Sind es zwei verschiedene Personen, braucht die Liste ihr Geburtsdatum oder eine Kennung.`,
    );
  }
  const genutzt = new Set<number>(feldnamen.flatMap((name) => spalten[name] ?? []));
  const uebrig = kopf.filter((_, index) => !genutzt.has(index)).filter((name) => name !== "");
  if (uebrig.length > 0) {
    sammler.hinweise.push(
      `${datei}: Diese Spalten werden nicht gelesen und nicht gespeichert: ${uebrig.map(kurz).join(", ")}.`,
    );
  }
}

function personIn({ herkunft, feld }: Gelesen, spalten: Spalten, quelle: string): Parameters<typeof nimmPerson>[1] {
  const { art } = spalten;
  const [vorname, nachname, geburt] = [feld(spalten.vorname), feld(spalten.nachname), feld(spalten.geburt)];
  const klasse = art === "schueler" ? feld(spalten.klasse) : "";
  const kuerzel = art === "lehrkraft" ? feld(spalten.kuerzel) : "";
  const gemeinsam = { art, vorname, nachname, geburt, klasse, email: feld(spalten.email), herkunft };
  const wert = feld(spalten.kennung);
  if (kuerzel !== "") {
    return { ...gemeinsam, ref: lehrkraftRef(kuerzel), kennung: { quelle: "kuerzel", wert: kuerzel.toLowerCase() } };
  }
  if (wert !== "") return { ...gemeinsam, ref: `${quelle}:${wert}`, kennung: { quelle, wert } };
  // Without a birth date two of one name are told apart by their classes.
  return { ...gemeinsam, ref: namensRef({ vorname, nachname, geburt, klasse: geburt === "" ? klasse : "" }) };
}

function nimmKurs(
  sammler: Sammler,
  {
    kurs,
    fach,
    lehrkraft,
    person,
    herkunft,
  }: { kurs: string; fach: string; lehrkraft: string; person: string; herkunft: { datei: string; zeile: number } },
): void {
  if (fach === "") {
    sammler.fehlt(
      herkunft,
      `Für den Kurs „${kurs}“ fehlt das Fach. Nennen Sie eine Spalte mit dem Fach, oder lassen Sie die Spalte mit dem Kurs weg.`,
    );
    return;
  }
  const ref = `liste:${kurs.toLowerCase()}`;
  sammler.kurse.push({ ref, kennung: undefined, name: kurs, fach, klassen: [], herkunft });
  sammler.einschreibungen.push({ person, ziel: ref, herkunft });
  if (lehrkraft !== "") sammler.auftraege.push({ person: lehrkraftRef(lehrkraft), ziel: ref, herkunft });
}

/** By its short name a teacher is meant in files of every program. */
export const lehrkraftRef = (kuerzel: string): string => `kuerzel:${kuerzel.trim().toLowerCase()}`;

/** Somebody who is known by name alone. */
const namensRef = (teile: {
  readonly vorname: string;
  readonly nachname: string;
  readonly geburt: string;
  readonly klasse: string;
}): string =>
  `name:${JSON.stringify([teile.nachname, teile.vorname, teile.geburt, teile.klasse].map((teil) => teil.trim().toLowerCase()))}`;
