import { alsTag, kurz, nimmPerson, type Sammler } from "../saetze.ts";
import { datenzeilen, type Tabelle } from "../tabelle.ts";
import { lehrkraftRef } from "./liste.ts";

/** Files of Untis (GPU*.TXT): no heading; columns are counted from 1 in Untis, from 0 here. Lists within a field are joined by `~`. */

export const untisdateien = ["002", "003", "004", "005", "006", "010", "015"] as const;
export type Untisdatei = (typeof untisdateien)[number];

const teile = (feld: string) =>
  feld
    .split("~")
    .map((teil) => teil.trim())
    .filter((teil) => teil !== "");
const schuelerRef = (kurzname: string) => `untis:${kurzname.toLowerCase()}`;
const kursRef = (nummer: string, fach: string) => `untis:${nummer}/${fach}`;

/** @param ab of lessons that end before this day nothing is taken */
export function liesUntis(sammler: Sammler, nummer: Untisdatei, eingabe: Tabelle, ab: string): void {
  const lies: Readonly<Record<Untisdatei, (sammler: Sammler, eingabe: Tabelle, ab: string) => void>> = {
    "002": liesUnterricht,
    "003": liesKlassen,
    "004": liesLehrkraefte,
    "005": liesRaeume,
    "006": liesFaecher,
    "010": liesSchueler,
    "015": liesWahlen,
  };
  lies[nummer](sammler, eingabe, ab);
}

function liesRaeume(sammler: Sammler, { datei }: Tabelle): void {
  sammler.hinweise.push(`${datei}: Räume werden nicht eingelesen; kein Teil der Plattform braucht sie.`);
}

function liesKlassen(sammler: Sammler, eingabe: Tabelle): void {
  for (const { herkunft, feld } of datenzeilen(sammler, eingabe, 30)) {
    const name = feld(0);
    if (name === "") {
      sammler.fehlt(herkunft, "Der Klasse fehlt der Kurzname in der ersten Spalte.");
      continue;
    }
    sammler.klassen.push({ name, herkunft });
    for (const kuerzel of teile(feld(29)))
      sammler.leitungen.push({ person: lehrkraftRef(kuerzel), ziel: name, herkunft });
  }
  sammler.hinweise.push(`${eingabe.datei}: Gelesen werden Kurzname und Klassenlehrkraft; alle anderen Spalten nicht.`);
}

function liesLehrkraefte(sammler: Sammler, eingabe: Tabelle): void {
  let ohne = 0;
  for (const { herkunft, feld } of datenzeilen(sammler, eingabe, 33)) {
    const kuerzel = feld(0);
    if (kuerzel === "") {
      sammler.fehlt(herkunft, "Der Lehrkraft fehlt das Kürzel in der ersten Spalte.");
      continue;
    }
    if (feld(1) === "" && feld(28) === "") {
      ohne += 1;
      continue;
    }
    nimmPerson(sammler, {
      art: "lehrkraft",
      ref: lehrkraftRef(kuerzel),
      nachname: feld(1),
      vorname: feld(28),
      email: feld(32),
      herkunft,
      kennung: { quelle: "kuerzel", wert: kuerzel.toLowerCase() },
    });
  }
  if (ohne > 0) sammler.hinweise.push(`${eingabe.datei}: ${ohne} Kürzel ohne Namen wurden ausgelassen.`);
  sammler.hinweise.push(
    `${eingabe.datei}: Gelesen werden Kürzel, Nachname, Vorname und E-Mail-Adresse; alle anderen Spalten nicht, auch nicht die Personalnummer.`,
  );
}

function liesFaecher(sammler: Sammler, eingabe: Tabelle): void {
  for (const { herkunft, feld } of datenzeilen(sammler, eingabe, 2)) {
    const kuerzel = feld(0);
    if (kuerzel === "") sammler.fehlt(herkunft, "Dem Fach fehlt das Kürzel in der ersten Spalte.");
    else sammler.faecher.push({ kuerzel, name: feld(1) || kuerzel, herkunft });
  }
}

function liesSchueler(sammler: Sammler, eingabe: Tabelle): void {
  for (const { herkunft, feld } of datenzeilen(sammler, eingabe, 15)) {
    const [kurzname, fremd] = [feld(0), feld(14)];
    if (kurzname === "") {
      sammler.fehlt(herkunft, "Der Schülerin oder dem Schüler fehlt der Kurzname in der ersten Spalte.");
      continue;
    }
    nimmPerson(sammler, {
      art: "schueler",
      ref: schuelerRef(kurzname),
      nachname: feld(1),
      vorname: feld(7),
      klasse: feld(9),
      geburt: feld(12),
      email: feld(13),
      herkunft,
      kennung:
        fremd !== "" ? { quelle: "untis-fremdschluessel", wert: fremd } : { quelle: "untis-kurzname", wert: kurzname },
    });
  }
  sammler.hinweise.push(
    `${eingabe.datei}: Gelesen werden Kurzname, Nachname, Vorname, Klasse, Geburtsdatum, E-Mail-Adresse und Fremdschlüssel; alle anderen Spalten nicht.`,
  );
}

interface Unterricht {
  readonly nummer: string;
  readonly fach: string;
  readonly klassen: Set<string>;
  readonly lehrkraefte: Set<string>;
  /** Whether all of its classes take it as a whole, as far as the file says. */
  ganz: boolean;
  readonly herkunft: { readonly datei: string; readonly zeile: number };
}

/** A lesson has a row for each of its classes and teachers; one number and subject are one course. */
function liesUnterricht(sammler: Sammler, eingabe: Tabelle, ab: string): void {
  const kurse = new Map<string, Unterricht>();
  let [ohne, vorbei] = [0, 0];
  for (const { herkunft, feld } of datenzeilen(sammler, eingabe, 42)) {
    const [nummer, fach, kuerzel] = [feld(0), feld(6), feld(5)];
    const klassen = teile(feld(4));
    const ende = alsTag(feld(15));
    if (nummer === "" || fach === "" || klassen.length === 0 || feld(23).includes("i")) ohne += 1;
    else if (ende !== null && ende < ab) vorbei += 1;
    else {
      const ref = kursRef(nummer, fach);
      const kurs = kurse.get(ref) ?? { nummer, fach, klassen: new Set(), lehrkraefte: new Set(), ganz: true, herkunft };
      kurse.set(ref, kurs);
      for (const klasse of klassen) kurs.klassen.add(klasse);
      kurs.ganz &&= feld(41) === "";
      nimmLehrkraft(sammler, kurs, kuerzel, herkunft);
    }
  }
  benenne(sammler, kurse);
  if (ohne > 0) {
    sammler.hinweise.push(
      `${eingabe.datei}: ${ohne} Zeilen ohne Klasse oder Fach, oder in Untis ausgeblendet, wurden ausgelassen.`,
    );
  }
  if (vorbei > 0) {
    sammler.hinweise.push(`${eingabe.datei}: ${vorbei} Zeilen mit Unterricht, der vorher endet, wurden ausgelassen.`);
  }
}

function nimmLehrkraft(sammler: Sammler, kurs: Unterricht, kuerzel: string, herkunft: Unterricht["herkunft"]): void {
  if (kuerzel === "") return;
  kurs.lehrkraefte.add(kuerzel);
  sammler.auftraege.push({ person: lehrkraftRef(kuerzel), ziel: kursRef(kurs.nummer, kurs.fach), herkunft });
}

function benenne(sammler: Sammler, kurse: ReadonlyMap<string, Unterricht>): void {
  const langname = new Map(sammler.faecher.map(({ kuerzel, name }) => [kuerzel, name]));
  const benannt = nameJe([...kurse], ([, kurs]) => {
    const klassen = [...kurs.klassen].sort();
    const fach = langname.get(kurs.fach) ?? kurs.fach;
    const lehrkraft = [...kurs.lehrkraefte].sort().join("/");
    const name = `${fach} ${klassen.join("/")}`;
    return [name, `${name} (${lehrkraft})`, `${kurs.fach} ${klassen[0] ?? ""} ${kurs.nummer}`];
  });
  for (const [[ref, { fach, klassen, ganz, nummer, herkunft }], name] of benannt) {
    const kennung = { quelle: "untis", wert: `${nummer}/${fach}` };
    const allein = ganz && klassen.size === 1 ? [...klassen] : [];
    sammler.kurse.push({ ref, kennung, name, fach, klassen: allein, herkunft });
  }
}

/** A name for each that no other has, of those that are offered; at most 40 characters. */
export function nameJe<T>(
  alle: readonly T[],
  vorschlaege: (eines: T) => readonly string[],
): ReadonlyArray<readonly [T, string]> {
  const gekuerzt = (name: string) => kurz(name.replace(/\s+/g, " ").trim()).slice(0, 40).trim();
  const zahl = new Map<string, number>();
  for (const eines of alle) {
    for (const name of new Set(vorschlaege(eines).map(gekuerzt))) zahl.set(name, (zahl.get(name) ?? 0) + 1);
  }
  const vergeben = new Set<string>();
  return alle.map((eines) => {
    const moeglich = vorschlaege(eines).map(gekuerzt);
    const letzter = moeglich.at(-1) ?? "";
    let name = moeglich.find((einer) => zahl.get(einer) === 1) ?? letzter;
    for (let nummer = 2; vergeben.has(name); nummer += 1) name = `${letzter.slice(0, 36)} ${nummer}`;
    vergeben.add(name);
    return [eines, name] as const;
  });
}

function liesWahlen(sammler: Sammler, eingabe: Tabelle): void {
  for (const { herkunft, feld } of datenzeilen(sammler, eingabe, 5)) {
    const [wer, nummer, fach] = [feld(0), feld(1), feld(2)];
    if (wer === "" || fach === "") {
      sammler.fehlt(herkunft, "Der Kurswahl fehlt der Kurzname oder das Fach.");
      continue;
    }
    if (nummer !== "" && nummer !== "0")
      sammler.einschreibungen.push({ person: schuelerRef(wer), ziel: kursRef(nummer, fach), herkunft });
  }
}
