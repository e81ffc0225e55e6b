import { personalKeys } from "../../ground/crypto/personal.ts";
import type { Transaction } from "../../ground/database/database.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { type Teilnahme, teilnahmen, type Unterricht } from "../struktur/public.ts";
import { alsText, type Inhalt, oeffne } from "./inhalt.ts";
import { Note } from "./public.ts";
import { type Einzelnote, type Rechnung, rechne } from "./rechnen.ts";
import { alleProfile, type Profil, vollerName } from "./regeln.ts";
import { alleSchluessel, type Schluessel } from "./schluessel.ts";

/** The book of marks of a course in one half of its year, read and reckoned. */

export type Halbjahr = 1 | 2;

export interface Spalte {
  readonly id: string;
  readonly name: string;
  readonly datum: string;
  readonly kategorie_id: string;
  readonly kategorie: string;
  readonly faktor: number;
  readonly hoechstpunkte: string | null;
  readonly schluessel: Schluessel | undefined;
  readonly sichtbar: boolean;
  readonly version: number;
  /** Whether its day has come, so that a mark is missing where there is none. */
  readonly vorbei: boolean;
}

export interface Zelle {
  /** Undefined while there is none. */
  readonly id: string | undefined;
  readonly version: number;
  /** Undefined for none, and for what does not open. */
  readonly inhalt: Inhalt | undefined;
  readonly lesbar: boolean;
  readonly text: string;
}
const leer: Zelle = { id: undefined, version: 0, inhalt: undefined, lesbar: true, text: "" };

export interface Zeile extends Teilnahme {
  /** One for each column. */
  readonly zellen: readonly Zelle[];
  readonly rechnung: Rechnung;
  /** The mark that the teacher gives. */
  readonly eigene: Zelle;
}

export interface Buch {
  readonly kurs: Unterricht;
  readonly halbjahr: Halbjahr;
  readonly profil: Profil;
  /** Of the settings of the course; 0 while there are none. */
  readonly version: number;
  readonly freigegeben: boolean;
  readonly spalten: readonly Spalte[];
  readonly zeilen: readonly Zeile[];
  /** All of the school, to choose from. */
  readonly profile: readonly Profil[];
  readonly schluessel: readonly Schluessel[];
}

interface NoteRow {
  readonly id: string;
  readonly leistung_id: string;
  readonly person_id: string;
  readonly verschlossen: Buffer;
  readonly version: number;
}

/** First and last day of a half. */
export function tageDes(
  kurs: Pick<Unterricht, "von" | "bis" | "mitte">,
  halbjahr: Halbjahr,
): { readonly von: string; readonly bis: string } {
  if (halbjahr === 2) return { von: kurs.mitte, bis: kurs.bis };
  const letzter = new Date(`${kurs.mitte}T12:00:00Z`);
  letzter.setUTCDate(letzter.getUTCDate() - 1);
  return { von: kurs.von, bis: letzter.toISOString().slice(0, 10) };
}

/** The profile of a course: the one that was chosen, else the first that is offered. */
export async function profilVon(
  tx: Transaction,
  kurs: string,
): Promise<
  | {
      readonly profil: Profil;
      readonly version: number;
      readonly frei: readonly [boolean, boolean];
      readonly profile: readonly Profil[];
    }
  | undefined
> {
  const [profile, gewaehlt] = await Promise.all([
    alleProfile(tx),
    tx.one<{ profil_id: string; eins: boolean; zwei: boolean; version: number }>(
      `SELECT k.profil_id, k.freigegeben_1 IS NOT NULL AS eins, k.freigegeben_2 IS NOT NULL AS zwei, k.version
         FROM kursnoten k WHERE k.kurs_id = $1`,
      [kurs],
    ),
  ]);
  const profil = gewaehlt
    ? profile.find(({ id }) => id === gewaehlt.profil_id)
    : (profile.find(({ aktiv }) => aktiv) ?? profile[0]);
  return (
    profil && {
      profil,
      version: gewaehlt?.version ?? 0,
      frei: [gewaehlt?.eins ?? false, gewaehlt?.zwei ?? false],
      profile,
    }
  );
}

/** Reads a book, as far as one may: undefined while the school has no profile. */
export async function ladeBuch(
  tx: Transaction,
  visit: PersonVisit,
  kurs: Unterricht,
  halbjahr: Halbjahr,
): Promise<Buch | undefined> {
  const [gewaehlt, schluessel, spalten, noten, eigene, alle] = await Promise.all([
    profilVon(tx, kurs.id),
    alleSchluessel(tx),
    spaltenVon(tx, kurs.id, halbjahr),
    tx.all<NoteRow & Record<string, unknown>>(
      `SELECT n.id, n.leistung_id, n.person_id, n.verschlossen, n.version FROM note n JOIN leistung l ON l.id = n.leistung_id
        WHERE n.kurs_id = $1 AND l.kurs_id = $1 AND l.halbjahr = $2`,
      [kurs.id, halbjahr],
    ),
    tx.all<Omit<NoteRow, "leistung_id"> & Record<string, unknown>>(
      "SELECT h.id, h.person_id, h.verschlossen, h.version FROM halbjahresnote h WHERE h.kurs_id = $1 AND h.halbjahr = $2",
      [kurs.id, halbjahr],
    ),
    teilnahmen(tx, kurs.id, kurs),
  ]);
  if (!gewaehlt) return undefined;
  const { profil, version, frei, profile } = gewaehlt;
  const tage = tageDes(kurs, halbjahr);
  // Whoever left before this half and has marks in it stays in sight: somebody has to be able to put them right.
  const benotet = new Set([...noten, ...eigene].map(({ person_id }) => person_id));
  const dabei = alle
    .filter(({ ab, bis, person_id }) => (ab <= tage.bis && bis >= tage.von) || benotet.has(person_id))
    .map((eine) => ({ ...eine, ganz: eine.ab <= tage.von && eine.bis >= tage.bis }));
  const keys = await personalKeys(
    tx,
    visit.app.fieldKey,
    dabei.map(({ person_id }) => person_id),
  );
  const zelleAus = (table: "note" | "halbjahresnote", row: Omit<NoteRow, "leistung_id"> | undefined): Zelle => {
    if (!row) return leer;
    const inhalt = oeffne(keys, visit.app.log, table, row);
    return { id: row.id, version: row.version, inhalt, lesbar: inhalt !== undefined, text: alsText(inhalt) };
  };
  const alleSpalten = spalten.map((spalte) => ({
    ...spalte,
    kategorie: vollerName(profil.kategorien, spalte.kategorie_id),
    schluessel: schluessel.find(({ id }) => id === spalte.schluessel_id),
  }));
  const nach = new Map(noten.map((row) => [`${row.person_id}/${row.leistung_id}`, row]));
  const zeilen = dabei.map((teilnahme) => {
    const zellen = spalten.map(({ id }) => zelleAus("note", nach.get(`${teilnahme.person_id}/${id}`)));
    return {
      ...teilnahme,
      zellen,
      rechnung: rechne(profil, einzelnoten(alleSpalten, zellen)),
      eigene: zelleAus(
        "halbjahresnote",
        eigene.find(({ person_id }) => person_id === teilnahme.person_id),
      ),
    };
  });
  const freigegeben = frei[halbjahr - 1] ?? false;
  return { kurs, halbjahr, profil, version, freigegeben, spalten: alleSpalten, zeilen, profile, schluessel };
}

/** Settings of a course, made when something is to be kept in them: from then on another profile does not come over it by itself. */
export async function haltEinstellungen(
  tx: Transaction,
  visit: PersonVisit,
  kurs: string,
  profil: string,
): Promise<void> {
  const made = await tx.run("INSERT INTO kursnoten (kurs_id, profil_id) VALUES ($1, $2) ON CONFLICT DO NOTHING", [
    kurs,
    profil,
  ]);
  if (made > 0) await visit.record(tx, { resource: Note, deed: "bearbeiten", object: kurs });
}

/** What of a row counts. */
export function einzelnoten(spalten: readonly Spalte[], zellen: readonly Zelle[]): Einzelnote[] {
  return spalten.flatMap(({ kategorie_id, name, faktor }, index) => {
    const note = zellen[index]?.inhalt?.note;
    return note === undefined ? [] : [{ kategorieId: kategorie_id, name, note, faktor }];
  });
}

function spaltenVon(tx: Transaction, kurs: string, halbjahr: Halbjahr) {
  return tx.all<Omit<Spalte, "kategorie" | "schluessel"> & { schluessel_id: string | null } & Record<string, unknown>>(
    `SELECT l.id, l.name, l.datum::text, l.kategorie_id, l.faktor, l.hoechstpunkte::text, l.schluessel_id, l.sichtbar, l.version,
            l.datum <= (SELECT heute()) AS vorbei
       FROM leistung l JOIN notenkategorie k ON k.id = l.kategorie_id
      WHERE l.kurs_id = $1 AND l.halbjahr = $2 ORDER BY k.rang, l.datum, l.name, l.id`,
    [kurs, halbjahr],
  );
}
