import { errate, liesListe, type Spalten } from "./formate/liste.ts";
import { liesOneRoster, type Rosterdatei, rosterdateien } from "./formate/oneroster.ts";
import { liesSchild, schilddateien } from "./formate/schild.ts";
import { liesUntis, untisdateien } from "./formate/untis.ts";
import { type Saetze, Sammler } from "./saetze.ts";
import { type Tabelle, tabelle, wortstamm } from "./tabelle.ts";

/** Which program a file is from, and what all files of an upload say together. */

export const formate = [
  "liste",
  "uebergehen",
  ...untisdateien.map((nummer) => `untis-${nummer}` as const),
  ...schilddateien.map((welche) => `schild-${welche}` as const),
  ...rosterdateien.map((welche) => `oneroster-${welche}` as const),
] as const;
export type Format = (typeof formate)[number];

export const formatnamen: Readonly<Record<Format, string>> = {
  liste: "Liste mit Überschriften (CSV, ASV und andere)",
  uebergehen: "Nicht einlesen",
  "untis-002": "Untis GPU002: Unterricht",
  "untis-003": "Untis GPU003: Klassen",
  "untis-004": "Untis GPU004: Lehrkräfte",
  "untis-005": "Untis GPU005: Räume",
  "untis-006": "Untis GPU006: Fächer",
  "untis-010": "Untis GPU010: Schülerinnen und Schüler",
  "untis-015": "Untis GPU015: Kurswahlen",
  "schild-basis": "SchILD-NRW: SchuelerBasisdaten",
  "schild-lehrkraefte": "SchILD-NRW: Lehrkraefte",
  "schild-klassen": "SchILD-NRW: Klassen",
  "schild-leistungen": "SchILD-NRW: SchuelerLeistungsdaten",
  "oneroster-users": "OneRoster: users.csv",
  "oneroster-roles": "OneRoster: roles.csv",
  "oneroster-demographics": "OneRoster: demographics.csv",
  "oneroster-classes": "OneRoster: classes.csv",
  "oneroster-courses": "OneRoster: courses.csv",
  "oneroster-enrollments": "OneRoster: enrollments.csv",
};

/** What a file is, as far as its name and its heading say. */
export function erkenne(datei: string, bytes: Uint8Array): Format {
  const name = datei.toLowerCase();
  const gpu = /gpu(\d{3})/.exec(name)?.[1];
  const untis = untisdateien.find((nummer) => nummer === gpu);
  if (untis) return `untis-${untis}`;
  const { kopf } = tabelle(datei, bytes, true);
  const roster = rosterdateien.find((welche) => name === `${welche}.csv`);
  if (roster && kopf[0] === "sourcedId") return `oneroster-${roster}`;
  if (kopf[0] === "sourcedId" || name === "manifest.csv") return "uebergehen";
  const worte = kopf.map(wortstamm);
  if (name.endsWith(".dat")) {
    if (/leistungsdaten/.test(name)) return "schild-leistungen";
    if (/basisdaten/.test(name) || (worte[0] === "nachname" && worte.includes("status"))) return "schild-basis";
    if (/lehrkraefte/.test(name)) return "schild-lehrkraefte";
    if (/klassen/.test(name)) return "schild-klassen";
    return "uebergehen";
  }
  return "liste";
}

/** Formats without a heading in their first row. */
const ohneKopf = (format: Format): boolean => format.startsWith("untis-");

export interface Quelldatei {
  readonly name: string;
  readonly format: Format;
  readonly inhalt: Uint8Array;
  /** Of a list, when somebody has named its columns. */
  readonly spalten: Spalten | undefined;
}

/** What the columns of a list mean: as somebody said, else as guessed. */
export const spaltenVon = (eingabe: Tabelle, genannt: Spalten | undefined): Spalten => genannt ?? errate(eingabe.kopf);

/** Reads all files of an upload. Never throws, whatever they hold. */
export function liesAlle(dateien: readonly Quelldatei[], ab: string): Saetze {
  const sammler = new Sammler();
  // What others refer to comes first: subjects before lessons, people before their courses.
  const folge = (format: Format) =>
    format === "untis-002" || format === "untis-015" || format === "schild-leistungen" ? 1 : 0;
  const roster = new Map<Rosterdatei, Tabelle>();
  for (const { name, format, inhalt, spalten } of [...dateien].sort((a, b) => folge(a.format) - folge(b.format))) {
    if (format === "uebergehen") {
      sammler.hinweise.push(`${name}: Diese Datei wird nicht eingelesen.`);
      continue;
    }
    const eingabe = tabelle(name, inhalt, !ohneKopf(format));
    const [programm, welche] = format.split("-");
    const untis = untisdateien.find((nummer) => nummer === welche);
    const schild = schilddateien.find((einer) => einer === welche);
    const rosterdatei = rosterdateien.find((einer) => einer === welche);
    if (format === "liste") liesListe(sammler, eingabe, spaltenVon(eingabe, spalten));
    else if (programm === "untis" && untis) liesUntis(sammler, untis, eingabe, ab);
    else if (programm === "schild" && schild) liesSchild(sammler, schild, eingabe);
    else if (rosterdatei) roster.set(rosterdatei, eingabe);
  }
  if (roster.size > 0) liesOneRoster(sammler, roster);
  return vereint(sammler);
}

/** Each person, course, class and subject once, however many rows name it. Rows that contradict each other are refused. */
function vereint(sammler: Sammler): Saetze {
  const personen = new Map<string, Sammler["personen"][number]>();
  for (const satz of sammler.personen) {
    const erster = personen.get(satz.ref);
    if (erster === undefined) {
      personen.set(satz.ref, satz);
      continue;
    }
    const gleich = (["art", "vorname", "nachname", "geburt", "klasse"] as const).every(
      (feld) => erster[feld] === satz[feld],
    );
    if (!gleich) {
      const wo = `Zeile ${erster.herkunft.zeile}${erster.herkunft.datei === satz.herkunft.datei ? "" : ` von ${erster.herkunft.datei}`}`;
      sammler.fehlt(
        satz.herkunft,
        `Die Zeile sagt über dieselbe Person etwas anderes als ${wo} (Name, Geburtsdatum oder Klasse). Berichtigen Sie eine von beiden.`,
      );
    }
  }
  const kennungen = new Map<string, Sammler["personen"][number]>();
  for (const satz of personen.values()) {
    if (satz.kennung === undefined) continue;
    const schluessel = JSON.stringify([satz.kennung.quelle, satz.kennung.wert]);
    const erster = kennungen.get(schluessel);
    if (erster)
      sammler.fehlt(
        satz.herkunft,
        `Die Kennung steht auch in Zeile ${erster.herkunft.zeile}, bei einer anderen Person.`,
      );
    else kennungen.set(schluessel, satz);
  }
  const je = <T>(liste: readonly T[], schluessel: (eines: T) => string) =>
    [...new Map([...liste].reverse().map((eines) => [schluessel(eines), eines])).values()].reverse();
  const zuordnung = ({ person, ziel }: { person: string; ziel: string }) => JSON.stringify([person, ziel]);
  return {
    personen: [...personen.values()],
    klassen: je(sammler.klassen, ({ name }) => name),
    faecher: je(sammler.faecher, ({ kuerzel }) => kuerzel),
    kurse: je(sammler.kurse, ({ ref }) => ref),
    leitungen: je(sammler.leitungen, zuordnung),
    auftraege: je(sammler.auftraege, zuordnung),
    einschreibungen: je(sammler.einschreibungen, zuordnung),
    fehler: sammler.fehler,
    hinweise: [...new Set(sammler.hinweise)],
  };
}
