import { randomUUID } from "node:crypto";
import { type PersonalSeal, personalKeys, sealUnlessErased } from "../../ground/crypto/personal.ts";
import type { Transaction } from "../../ground/database/database.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { type InputError, InputProblem } from "../../ground/pages/input.ts";
import { type Difference, StaleForm, unlessStale } from "../../ground/pages/stale.ts";
import { type Buch, haltEinstellungen, ladeBuch, type Spalte, type Zeile, type Zelle } from "./buch.ts";
import { GEFEHLT, type Inhalt, type Notentabelle, oeffneGenau, verschliesse } from "./inhalt.ts";
import { Note } from "./public.ts";
import { lesePunkte, noteFuer } from "./schluessel.ts";
import { alleNoten, leseNote, type Skala, zeigeNote } from "./skala.ts";

/** Entering marks: all that was typed, or nothing; what somebody else has changed meanwhile is never overwritten unseen. */

/** One cell of the form. */
export interface Getippt {
  /** Name of its field. */
  readonly feld: string;
  readonly zeile: Zeile;
  /** Undefined for the mark of the half-year. */
  readonly spalte: Spalte | undefined;
  readonly zelle: Zelle;
  readonly text: string;
  /** What stood there when the form was made. */
  readonly alt: string;
}

/** The cells of a form, by the ids that it says its rows and columns are. What the book does not have (any more) is left out. */
export function getippteZellen(form: URLSearchParams, buch: Buch): Getippt[] {
  const spalten = form.getAll("spalte").map((id) => buch.spalten.findIndex((spalte) => spalte.id === id));
  return form.getAll("zeile").flatMap((person, r) => {
    const zeile = buch.zeilen.find(({ person_id }) => person_id === person);
    if (!zeile) return [];
    const zelle = (feld: string, spalte: Spalte | undefined, dort: Zelle | undefined): Getippt[] =>
      dort === undefined || !form.has(`n${feld}`)
        ? []
        : [
            {
              feld: `n${feld}`,
              zeile,
              spalte,
              zelle: dort,
              text: form.get(`n${feld}`) ?? "",
              alt: form.get(`a${feld}`) ?? "",
            },
          ];
    return [
      ...spalten.flatMap((wo, c) => zelle(`${r}_${c}`, buch.spalten[wo], zeile.zellen[wo])),
      ...zelle(`${r}_h`, undefined, zeile.eigene),
    ];
  });
}

/** What people call a cell. */
export const zellenname = (zeile: Pick<Zeile, "name">, spalte: Pick<Spalte, "name"> | undefined): string =>
  `${zeile.name}, ${spalte?.name ?? "Halbjahresnote"}`;

const gleich = (a: string, b: string): boolean => a.trim() === b.trim();
/** What the person changed: the rest stays as it is, whatever stands there by now. */
const angefasst = (alle: readonly Getippt[]): Getippt[] => alle.filter(({ text, alt }) => !gleich(text, alt));

/** Cells that both changed, differently: by what people call them. */
export function widersprueche(alle: readonly Getippt[]): Difference[] {
  return angefasst(alle)
    .filter(({ text, alt, zelle }) => !gleich(zelle.text, alt) && !gleich(zelle.text, text))
    .map(({ zeile, spalte, zelle, text }) => ({
      what: zellenname(zeile, spalte),
      stored: zelle.lesbar ? zelle.text : "Nicht lesbar",
      typed: text.trim(),
    }));
}

/**
 * Enters what was typed and returns how many marks that changed; undefined when the number was used before, and nothing is done.
 * @param eingabe number of the form
 * @throws InputProblem that names each cell; StaleForm when somebody else changed one of them
 */
export async function trageEin(
  tx: Transaction,
  visit: PersonVisit,
  buch: Buch,
  alle: readonly Getippt[],
  eingabe: string,
): Promise<number | undefined> {
  const neu = angefasst(alle).filter(({ text, zelle }) => !gleich(zelle.text, text) || !zelle.lesbar);
  const gelesen = neu.map((eine) => ({ ...eine, inhalt: lies(buch.profil.skala, eine) }));
  const falsch = gelesen.flatMap(({ inhalt }) => (inhalt && "text" in inhalt ? [inhalt] : []));
  if (falsch.length > 0) {
    throw new InputProblem(...falsch);
  }
  if (widersprueche(alle).length > 0) {
    throw new StaleForm();
  }
  if (neu.length === 0) {
    return 0;
  }
  await haltEinstellungen(tx, visit, buch.kurs.id, buch.profil.id);
  const erste = await tx.run(
    "INSERT INTO noteneingabe (id, kurs_id, halbjahr, konto_id, zeit) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    [eingabe, buch.kurs.id, buch.halbjahr, visit.person.accountId, visit.now],
  );
  if (erste === 0) {
    return undefined;
  }
  const seals = new Map<string, PersonalSeal>();
  for (const { feld, zeile, spalte, zelle, inhalt } of gelesen) {
    const person = zeile.person_id;
    const seal = seals.get(person) ?? (await sealUnlessErased(tx, visit.app.fieldKey, person, visit.now));
    if (!seal) {
      const text = `${zeile.name}: Die Daten dieser Person sind endgültig gelöscht, es werden keine Noten mehr gespeichert. Es wurde nichts gespeichert.`;
      throw new InputProblem({ field: feld, text });
    }
    seals.set(person, seal);
    await schreibe(tx, visit, buch, { eingabe, zeile, spalte, zelle, seal, neu: inhalt as Inhalt | undefined });
  }
  return neu.length;
}

function lies(skala: Skala, { feld, text, spalte, zeile }: Getippt): Inhalt | InputError | undefined {
  const kurz = text.trim();
  if (kurz === "") return undefined;
  if (kurz.toLowerCase() === GEFEHLT && spalte) return { gefehlt: true };
  const wo = zellenname(zeile, spalte);
  if (spalte?.hoechstpunkte && spalte.schluessel) {
    const punkte = lesePunkte(kurz, spalte.hoechstpunkte);
    if (punkte === undefined) {
      const text = `${wo}: Bitte geben Sie Punkte von 0 bis ${Number(spalte.hoechstpunkte).toLocaleString("de-DE")} ein, zum Beispiel 17,5, oder ${GEFEHLT} für gefehlt.`;
      return { field: feld, text };
    }
    const note = noteFuer(spalte.schluessel, punkte, spalte.hoechstpunkte);
    return { punkte, ...(note === undefined ? {} : { note }) };
  }
  const note = leseNote(skala, kurz);
  if (note === undefined) {
    const alle = alleNoten(skala);
    const von = `${zeigeNote(alle[0] ?? "")} bis ${zeigeNote(alle.at(-1) ?? "")}`;
    return {
      field: feld,
      text: `${wo}: Bitte geben Sie eine Note von ${von} ein${spalte ? `, oder ${GEFEHLT} für gefehlt` : ""}.`,
    };
  }
  return { note };
}

interface Schritt {
  readonly eingabe: string;
  readonly zeile: Zeile;
  readonly spalte: Spalte | undefined;
  readonly zelle: Zelle;
  readonly seal: PersonalSeal;
  readonly neu: Inhalt | undefined;
}

async function schreibe(tx: Transaction, visit: PersonVisit, buch: Buch, schritt: Schritt): Promise<void> {
  const { eingabe, zeile, spalte, zelle, seal, neu } = schritt;
  const table: Notentabelle = spalte ? "note" : "halbjahresnote";
  const id = zelle.id ?? randomUUID();
  const vorher = zelle.id === undefined ? null : await stand(tx, table, id);
  const nachher = neu === undefined ? null : verschliesse(seal, table, id, neu);
  await setze(
    tx,
    table,
    { id, kurs: buch.kurs.id, halbjahr: buch.halbjahr, leistung: spalte?.id, person: zeile.person_id, now: visit.now },
    zelle.version,
    nachher,
  );
  await tx.run(
    "INSERT INTO noteneingabe_schritt (eingabe_id, note_id, leistung_id, person_id, vorher, nachher) VALUES ($1, $2, $3, $4, $5, $6)",
    [eingabe, id, spalte?.id ?? null, zeile.person_id, vorher, nachher],
  );
  const worin = worinVon(buch, spalte?.id);
  await visit.record(tx, {
    resource: Note,
    deed: zelle.id === undefined ? "anlegen" : neu === undefined ? "loeschen" : "bearbeiten",
    object: id,
    person: zeile.person_id,
    values: {
      ...(zelle.inhalt ? { alt: { ...worin, ...zelle.inhalt } } : {}),
      ...(neu ? { neu: { ...worin, ...neu } } : {}),
    },
  });
}

/** What an entry of the journal says of where a mark stands. */
const worinVon = ({ kurs, halbjahr }: Buch, leistung: string | undefined) =>
  leistung === undefined ? { kurs: kurs.id, halbjahr } : { kurs: kurs.id, leistung };

async function stand(tx: Transaction, table: Notentabelle, id: string): Promise<Buffer | null> {
  const row = await tx.one<{ verschlossen: Buffer }>(`SELECT t.verschlossen FROM ${table} t WHERE t.id = $1`, [id]);
  return row?.verschlossen ?? null;
}

interface Ort {
  readonly id: string;
  readonly kurs: string;
  readonly halbjahr: number;
  readonly leistung: string | undefined;
  readonly person: string;
  readonly now: Date;
}

/** Brings a mark from the state that was read to another one. @throws StaleForm when it is in that state no more */
async function setze(
  tx: Transaction,
  table: Notentabelle,
  ort: Ort,
  version: number,
  wert: Buffer | null,
): Promise<void> {
  const { id, kurs, halbjahr, leistung, person, now } = ort;
  if (version > 0) {
    unlessStale(
      wert === null
        ? await tx.run(`DELETE FROM ${table} WHERE id = $1 AND version = $2`, [id, version])
        : await tx.run(`UPDATE ${table} SET verschlossen = $3, geaendert_am = $4 WHERE id = $1 AND version = $2`, [
            id,
            version,
            wert,
            now,
          ]),
    );
    return;
  }
  if (wert === null) return;
  unlessStale(
    table === "note"
      ? await tx.run(
          `INSERT INTO note (id, leistung_id, kurs_id, person_id, verschlossen, geaendert_am) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT ON CONSTRAINT note_einmal DO NOTHING`,
          [id, leistung, kurs, person, wert, now],
        )
      : await tx.run(
          `INSERT INTO halbjahresnote (id, kurs_id, halbjahr, person_id, verschlossen, geaendert_am) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT ON CONSTRAINT halbjahresnote_einmal DO NOTHING`,
          [id, kurs, halbjahr, person, wert, now],
        ),
  );
}

/** What one entered last in a book and has not taken back. */
export interface Eingabe {
  readonly id: string;
  readonly zeit: Date;
  readonly anzahl: number;
}

/** The last entry of one's own, if it can still be taken back. */
export function letzteEingabe(tx: Transaction, visit: PersonVisit, buch: Buch): Promise<Eingabe | undefined> {
  return tx.one<Eingabe & Record<string, unknown>>(
    `SELECT e.id, e.zeit, (SELECT count(*)::int FROM noteneingabe_schritt s WHERE s.eingabe_id = e.id) AS anzahl
       FROM noteneingabe e WHERE e.konto_id = $1 AND e.kurs_id = $2 AND e.halbjahr = $3 AND e.zurueckgenommen_am IS NULL
        AND EXISTS (SELECT FROM noteneingabe_schritt s WHERE s.eingabe_id = e.id)
      ORDER BY e.zeit DESC, e.id LIMIT 1`,
    [visit.person.accountId, buch.kurs.id, buch.halbjahr],
  );
}

/**
 * Takes an entry back: every mark as it was before, all or none.
 * @throws InputProblem that names those which were changed since
 */
export async function nimmZurueck(tx: Transaction, visit: PersonVisit, buch: Buch, eingabe: string): Promise<void> {
  const offen = await tx.run(
    "UPDATE noteneingabe SET zurueckgenommen_am = $4 WHERE id::text = $1 AND kurs_id = $2 AND halbjahr = $3 AND zurueckgenommen_am IS NULL",
    [eingabe, buch.kurs.id, buch.halbjahr, visit.now],
  );
  if (offen === 0) {
    throw new InputProblem({ field: "", text: "Diese Eingabe ist schon zurückgenommen, oder es gibt sie nicht mehr." });
  }
  const schritte = await tx.all<{
    note_id: string;
    leistung_id: string | null;
    person_id: string;
    vorher: Buffer | null;
    nachher: Buffer | null;
  }>(
    "SELECT s.note_id, s.leistung_id, s.person_id, s.vorher, s.nachher FROM noteneingabe_schritt s WHERE s.eingabe_id::text = $1 ORDER BY s.note_id",
    [eingabe],
  );
  const keys = await personalKeys(
    tx,
    visit.app.fieldKey,
    schritte.map(({ person_id }) => person_id),
  );
  const geaendert: string[] = [];
  for (const { note_id: id, leistung_id: leistung, person_id: person, vorher, nachher } of schritte) {
    const table: Notentabelle = leistung === null ? "halbjahresnote" : "note";
    const jetzt = await jetzige(tx, table, buch, leistung, person);
    const unveraendert =
      nachher === null ? jetzt === undefined : jetzt?.id === id && jetzt.verschlossen.equals(nachher);
    if (!unveraendert) {
      geaendert.push(
        buch.zeilen.find(({ person_id }) => person_id === person)?.name ?? "jemand, der nicht mehr teilnimmt",
      );
      continue;
    }
    const ort = {
      id,
      kurs: buch.kurs.id,
      halbjahr: buch.halbjahr,
      leistung: leistung ?? undefined,
      person,
      now: visit.now,
    };
    await setze(tx, table, ort, jetzt?.version ?? 0, vorher);
    const worin = worinVon(buch, leistung ?? undefined);
    const inhaltVon = (verschlossen: Buffer | null) =>
      verschlossen ? oeffneGenau(keys, table, { id, person_id: person, verschlossen }) : undefined;
    const [alt, neu] = [inhaltVon(nachher), inhaltVon(vorher)];
    const values = { alt: { ...worin, ...alt, eingabe }, ...(neu ? { neu: { ...worin, ...neu } } : {}) };
    await visit.record(tx, { resource: Note, deed: "zuruecknehmen", object: id, person, values });
  }
  if (geaendert.length > 0) {
    const wer = [...new Set(geaendert)].join(", ");
    const text = `Inzwischen wurde weiter geändert: ${wer}. Es wurde nichts zurückgenommen.`;
    throw new InputProblem({ field: "", text });
  }
}

function jetzige(
  tx: Transaction,
  table: Notentabelle,
  { kurs, halbjahr }: Buch,
  leistung: string | null,
  person: string,
) {
  type Row = { id: string; verschlossen: Buffer; version: number };
  return table === "note"
    ? tx.one<Row>("SELECT n.id, n.verschlossen, n.version FROM note n WHERE n.leistung_id = $1 AND n.person_id = $2", [
        leistung,
        person,
      ])
    : tx.one<Row>(
        "SELECT h.id, h.verschlossen, h.version FROM halbjahresnote h WHERE h.kurs_id = $1 AND h.halbjahr = $2 AND h.person_id = $3",
        [kurs.id, halbjahr, person],
      );
}

/** The book anew, within the transaction that changes it. */
export async function buchJetzt(
  tx: Transaction,
  visit: PersonVisit,
  { kurs, halbjahr }: Pick<Buch, "kurs" | "halbjahr">,
): Promise<Buch> {
  const buch = await ladeBuch(tx, visit, kurs, halbjahr);
  if (!buch) throw new Error("a school without a profile of marks has no book");
  return buch;
}
