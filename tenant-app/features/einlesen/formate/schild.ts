import { nimmPerson, type Sammler } from "../saetze.ts";
import { datenzeilen, spalteMit, type Tabelle } from "../tabelle.ts";
import { lehrkraftRef } from "./liste.ts";
import { nameJe } from "./untis.ts";

/** Files of SchILD-NRW (.dat): a heading, `|`, TT.MM.JJJJ. A pupil is known by surname, first name and birth date, in every file. */

export const schilddateien = ["basis", "lehrkraefte", "klassen", "leistungen"] as const;
export type Schilddatei = (typeof schilddateien)[number];

export function liesSchild(sammler: Sammler, welche: Schilddatei, eingabe: Tabelle): void {
  const lies = { basis: liesBasis, lehrkraefte: liesLehrkraefte, klassen: liesKlassen, leistungen: liesLeistungen };
  lies[welche](sammler, eingabe);
}

const schuelerRef = (nachname: string, vorname: string, geburt: string) =>
  `schild:${JSON.stringify([nachname, vorname, geburt].map((teil) => teil.toLowerCase()))}`;
/** Two of one name and birth date are told apart as `Name#Klasse`. */
const ohneZusatz = (nachname: string) => nachname.replace(/#.*$/, "").trim();

function liesBasis(sammler: Sammler, eingabe: Tabelle): void {
  const wo = (stelle: number, ...worte: string[]) => spalteMit(eingabe.kopf, ...worte) ?? stelle - 1;
  const status = wo(5, "status");
  const klasse = wo(22, "klasse");
  let andere = 0;
  for (const { herkunft, feld } of datenzeilen(sammler, eingabe)) {
    if (feld(status) !== "" && feld(status) !== "2") {
      andere += 1;
      continue;
    }
    const [nachname, vorname, geburt] = [feld(0), feld(1), feld(2)];
    const ref = schuelerRef(nachname, vorname, geburt);
    nimmPerson(sammler, {
      art: "schueler",
      ref,
      nachname: ohneZusatz(nachname),
      vorname,
      geburt,
      klasse: feld(klasse),
      herkunft,
    });
  }
  if (andere > 0) {
    sammler.hinweise.push(
      `${eingabe.datei}: ${andere} Zeilen mit einem anderen Status als 2 (aktiv) wurden ausgelassen, zum Beispiel Abgänge.`,
    );
  }
  sammler.hinweise.push(
    `${eingabe.datei}: Gelesen werden Name, Vorname, Geburtsdatum, Status und Klasse; alle anderen Spalten nicht, auch nicht Anschrift, Staatsangehörigkeit, Konfession und Förderbedarf.`,
  );
}

function liesLehrkraefte(sammler: Sammler, eingabe: Tabelle): void {
  const mail = spalteMit(eingabe.kopf, "emaildienstlich", "dienstemail", "emaildienst") ?? 22;
  for (const { herkunft, feld } of datenzeilen(sammler, eingabe)) {
    const kuerzel = feld(0);
    if (kuerzel === "") {
      sammler.fehlt(herkunft, "Der Lehrkraft fehlt das Kürzel in der ersten Spalte.");
      continue;
    }
    nimmPerson(sammler, {
      art: "lehrkraft",
      ref: lehrkraftRef(kuerzel),
      nachname: feld(4),
      vorname: feld(5),
      email: feld(mail),
      herkunft,
      kennung: { quelle: "kuerzel", wert: kuerzel.toLowerCase() },
    });
  }
  sammler.hinweise.push(
    `${eingabe.datei}: Gelesen werden Kürzel, Nachname, Vorname und dienstliche E-Mail-Adresse; alle anderen Spalten nicht.`,
  );
}

function liesKlassen(sammler: Sammler, eingabe: Tabelle): void {
  for (const { herkunft, feld } of datenzeilen(sammler, eingabe)) {
    const name = feld(0);
    if (name === "") {
      sammler.fehlt(herkunft, "Der Klasse fehlt der Name in der ersten Spalte.");
      continue;
    }
    sammler.klassen.push({ name, herkunft });
    if (feld(5) !== "") sammler.leitungen.push({ person: lehrkraftRef(feld(5)), ziel: name, herkunft });
  }
}

interface Leistung {
  readonly person: string;
  readonly zeit: string;
  readonly fach: string;
  readonly lehrkraft: string;
  readonly kurs: string;
  readonly herkunft: { readonly datei: string; readonly zeile: number };
}

/** Who takes what with whom, in the newest half of the file; marks and missed lessons are not taken. */
function liesLeistungen(sammler: Sammler, eingabe: Tabelle): void {
  const alle: Leistung[] = [];
  for (const { herkunft, feld } of datenzeilen(sammler, eingabe)) {
    if (feld(5) === "") {
      sammler.fehlt(herkunft, "Der Zeile fehlt das Fach.");
      continue;
    }
    alle.push({
      person: schuelerRef(feld(0), feld(1), feld(2)),
      zeit: `${feld(3).padStart(4, "0")}/${feld(4).padStart(2, "0")}`,
      fach: feld(5),
      lehrkraft: feld(6),
      kurs: feld(8),
      herkunft,
    });
  }
  const neueste = alle.reduce((bisher, { zeit }) => (zeit > bisher ? zeit : bisher), "");
  const jetzige = alle.filter(({ zeit }) => zeit === neueste);
  if (jetzige.length < alle.length) {
    sammler.hinweise.push(
      `${eingabe.datei}: ${alle.length - jetzige.length} Zeilen aus früheren Abschnitten als ${neueste} wurden ausgelassen.`,
    );
  }
  const klasseVon = new Map(sammler.personen.map(({ ref, klasse }) => [ref, klasse]));
  // A course has a name of its own, or is the subject of a class. Without either nobody knows who takes it together.
  const kurse = new Map<
    string,
    { fach: string; kurs: string; klasse: string; lehrkraft: string; herkunft: Leistung["herkunft"] }
  >();
  for (const { person, fach, kurs, lehrkraft, herkunft } of jetzige) {
    const klasse = klasseVon.get(person) ?? "";
    if (kurs === "" && klasse === "") {
      sammler.fehlt(
        herkunft,
        "Ohne Kurs und ohne Klasse ist nicht zu sagen, welcher Kurs gemeint ist. Laden Sie die Datei SchuelerBasisdaten dazu hoch.",
      );
      continue;
    }
    const ref = kurs === "" ? `schild:${fach}/${klasse}` : `schild:${fach}//${kurs}/${jahrgang(klasse)}`;
    if (!kurse.has(ref)) kurse.set(ref, { fach, kurs, klasse, lehrkraft, herkunft });
    sammler.einschreibungen.push({ person, ziel: ref, herkunft });
    if (lehrkraft !== "") sammler.auftraege.push({ person: lehrkraftRef(lehrkraft), ziel: ref, herkunft });
  }
  const benannt = nameJe([...kurse], ([, { fach, kurs, klasse, lehrkraft }]) =>
    kurs === ""
      ? [`${fach} ${klasse}`, `${fach} ${klasse} (${lehrkraft})`]
      : [kurs, `${kurs} ${fach}`, `${kurs} ${fach} ${jahrgang(klasse)}`],
  );
  for (const [[ref, { fach, herkunft }], name] of benannt) {
    sammler.kurse.push({ ref, kennung: { quelle: "schild", wert: ref }, name, fach, klassen: [], herkunft });
  }
  sammler.hinweise.push(`${eingabe.datei}: Gelesen werden Fach, Lehrkraft und Kurs; Noten und Fehlstunden nicht.`);
}

/** What of a class's name says the year: „EF", „Q1", „07" of „07b". */
const jahrgang = (klasse: string) => /^(?:EF|Q\d|\d+)/i.exec(klasse)?.[0].toUpperCase() ?? "";
