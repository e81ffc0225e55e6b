import { z } from "zod";
import type { Transaction } from "../../ground/database/database.ts";
import { notFound } from "../../ground/gate/refusal.ts";
import type { Reply } from "../../ground/gate/reply.ts";
import { type Declared, route, type Subject } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { checked, fieldsOf, InputProblem } from "../../ground/pages/input.ts";
import { page, view } from "../../ground/pages/page.ts";
import { differences, unlessStale, versionOf } from "../../ground/pages/stale.ts";
import { type FormState, formNumber, submit } from "../../ground/pages/submit.ts";
import { removeUnused } from "../../ground/pages/unused.ts";
import { type Unterricht, unterrichtMit } from "../struktur/public.ts";
import { type Halbjahr, haltEinstellungen, profilVon } from "./buch.ts";
import { adresse, buchseite, halbjahrAus, type Leistungswerte, notenbuch } from "./buchseite.ts";
import { Note } from "./public.ts";
import { endkategorien, vollerName } from "./regeln.ts";
import { alleSchluessel, lesePunkte, zeigePunkte } from "./schluessel.ts";

/** What is graded: the columns of a book of marks. */

interface Leistung {
  readonly id: string;
  readonly kurs_id: string;
  readonly halbjahr: Halbjahr;
  readonly name: string;
  readonly datum: string;
  readonly kategorie_id: string;
  readonly faktor: number;
  readonly hoechstpunkte: string | null;
  readonly schluessel: string | null;
  readonly sichtbar: boolean;
  readonly version: number;
}
const ladeLeistung = (tx: Transaction, id: string) =>
  tx.one<Leistung & Record<string, unknown>>(
    `SELECT l.id, l.kurs_id, l.halbjahr, l.name, l.datum::text, l.kategorie_id, l.faktor, l.hoechstpunkte::text, s.name AS schluessel,
            l.sichtbar, l.version
       FROM leistung l LEFT JOIN notenschluessel s ON s.id = l.schluessel_id WHERE l.id = $1`,
    [id],
  );
const leistung: Subject<Leistung> = { relation: "leistung", load: ladeLeistung };

const seite = view<{
  readonly kurs: Unterricht;
  readonly leistung: Leistung;
  readonly punkte: string;
  readonly kategorien: ReadonlyArray<{ readonly id: string; readonly name: string }>;
  readonly werte: Leistungswerte;
}>("noten/leistung");

const bearbeiten = { right: Note.right("bearbeiten") } as const;
export const leistungsRoutes: readonly Declared[] = [
  route({
    method: "POST",
    path: "/noten/kurse/:id/leistungen",
    policy: bearbeiten,
    object: notenbuch,
    handle: anlegen,
  }),
  route({
    method: "GET",
    path: "/noten/leistungen/:id",
    policy: bearbeiten,
    object: leistung,
    handle: (visit, eine) => leistungsseite(visit, eine, werteVon(eine), { errors: [] }),
  }),
  route({ method: "POST", path: "/noten/leistungen/:id", policy: bearbeiten, object: leistung, handle: aendern }),
  route({
    method: "POST",
    path: "/noten/leistungen/:id/loeschen",
    policy: bearbeiten,
    object: leistung,
    handle: loeschen,
  }),
];

const angaben = z.object({
  name: z
    .string()
    .trim()
    .min(1, "Bitte geben Sie der Leistung einen Namen, zum Beispiel 1. Klassenarbeit.")
    .max(60, "Der Name darf höchstens 60 Zeichen lang sein."),
  datum: z.iso.date("Bitte geben Sie den Tag als Datum an, zum Beispiel 01.10.2026."),
  kategorie: z.uuid("Bitte wählen Sie eine Kategorie."),
  faktor: z.coerce
    .number("Bitte geben Sie an, wie oft die Leistung zählt, zum Beispiel 1.")
    .int("Bitte geben Sie eine ganze Zahl an.")
    .min(0, "Eine Leistung kann nicht weniger als 0-fach zählen.")
    .max(10, "Eine Leistung kann höchstens 10-fach zählen."),
});

const gelesen = (form: URLSearchParams): Leistungswerte => ({
  ...fieldsOf(form, "name", "datum", "kategorie", "faktor", "punkte", "schluessel"),
  sichtbar: form.get("sichtbar") === "ja",
});

const werteVon = (eine: Leistung): Leistungswerte => ({
  name: eine.name,
  datum: eine.datum,
  kategorie: eine.kategorie_id,
  faktor: String(eine.faktor),
  punkte: "",
  schluessel: "",
  sichtbar: eine.sichtbar,
});

function anlegen(visit: PersonVisit, kurs: Unterricht): Promise<Reply> {
  const werte = gelesen(visit.form);
  const halbjahr = halbjahrAus(visit, kurs);
  const id = formNumber(visit.form);
  return submit({
    done: adresse(kurs.id, halbjahr, "leistung"),
    once: "leistung_pkey",
    again: (state) => buchseite(visit, kurs, { ...state, leistung: { werte, id } }),
    work: () => {
      const neu = checked(angaben, werte);
      imJahr(kurs, neu.datum);
      return visit.transaction(async (tx, jetzt) => {
        await nurEndkategorie(tx, kurs.id, neu.kategorie);
        const { punkte, schluessel } = await punkteAus(tx, kurs.id, werte);
        const gewaehlt = await profilVon(tx, kurs.id);
        if (gewaehlt) await haltEinstellungen(tx, jetzt, kurs.id, gewaehlt.profil.id);
        await tx.run(
          `INSERT INTO leistung (id, kurs_id, halbjahr, kategorie_id, name, datum, faktor, hoechstpunkte, schluessel_id, sichtbar)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
          [id, kurs.id, halbjahr, neu.kategorie, neu.name, neu.datum, neu.faktor, punkte, schluessel, werte.sichtbar],
        );
        const values = { neu: { ...neu, kurs: kurs.id, halbjahr, punkte, schluessel, sichtbar: werte.sichtbar } };
        await jetzt.record(tx, { resource: Note, deed: "anlegen", object: id, values });
      });
    },
  });
}

function imJahr({ von, bis, jahr }: Unterricht, datum: string): void {
  if (datum < von || datum > bis) {
    throw new InputProblem({ field: "datum", text: `Der Tag liegt nicht im Schuljahr ${jahr}.` });
  }
}

/** Marks are given in categories that have none below them. */
async function nurEndkategorie(tx: Transaction, kurs: string, kategorie: string): Promise<void> {
  const gewaehlt = await profilVon(tx, kurs);
  if (!gewaehlt || !endkategorien(gewaehlt.profil).some(({ id }) => id === kategorie)) {
    throw new InputProblem({ field: "kategorie", text: "Diese Kategorie gibt es nicht mehr. Bitte wählen Sie neu." });
  }
}

/** Points and a key belong together: both, or neither. */
async function punkteAus(
  tx: Transaction,
  kurs: string,
  { punkte, schluessel }: Leistungswerte,
): Promise<{ readonly punkte: string | null; readonly schluessel: string | null }> {
  if (punkte.trim() === "" && schluessel === "") {
    return { punkte: null, schluessel: null };
  }
  const zahl = lesePunkte(punkte, "9999");
  if (zahl === undefined || zahl === "0") {
    const text =
      "Bitte geben Sie die höchste Punktzahl an, zum Beispiel 40 oder 37,5; oder lassen Sie den Notenschlüssel weg.";
    throw new InputProblem({ field: "punkte", text });
  }
  const profil = (await profilVon(tx, kurs))?.profil;
  const gewaehlt = (await alleSchluessel(tx)).find(({ id, aktiv }) => id === schluessel && aktiv);
  if (!gewaehlt || gewaehlt.skala !== profil?.skala) {
    throw new InputProblem({ field: "schluessel", text: "Bitte wählen Sie einen Notenschlüssel für die Punkte." });
  }
  return { punkte: zahl, schluessel: gewaehlt.id };
}

async function leistungsseite(
  visit: PersonVisit,
  eine: Leistung,
  werte: Leistungswerte,
  { errors, stale }: FormState,
): Promise<Reply> {
  const data = await visit.transaction(async (tx) => {
    const [kurs, gewaehlt] = await Promise.all([unterrichtMit(tx, eine.kurs_id), profilVon(tx, eine.kurs_id)]);
    if (!kurs || !gewaehlt) throw notFound();
    const { profil } = gewaehlt;
    return {
      kurs,
      kategorien: endkategorien(profil).map(({ id }) => ({ id, name: vollerName(profil.kategorien, id) })),
    };
  });
  const punkte = eine.hoechstpunkte === null ? "" : zeigePunkte(eine.hoechstpunkte);
  return page(
    visit,
    seite,
    { ...data, leistung: eine, punkte, werte },
    { title: eine.name, errors, ...(stale ? { stale } : {}) },
  );
}

function aendern(visit: PersonVisit, eine: Leistung): Promise<Reply> {
  const werte = gelesen(visit.form);
  const jetzt = async () => (await visit.transaction((tx) => ladeLeistung(tx, eine.id))) ?? eine;
  const inWorten = (
    { name, datum, faktor, sichtbar, kategorie }: Leistungswerte,
    namen: ReadonlyMap<string, string>,
  ) => ({
    Name: name,
    Kategorie: namen.get(kategorie) ?? "",
    Tag: datum,
    Zählt: faktor,
    Sichtbar: sichtbar ? "ja" : "nein",
  });
  return submit({
    done: adresse(eine.kurs_id, eine.halbjahr, "leistung"),
    stale: async () => {
      const profil = await visit.transaction((tx) => profilVon(tx, eine.kurs_id));
      const namen = new Map(profil?.profil.kategorien.map(({ id, name }) => [id, name]));
      return differences(inWorten(werteVon(await jetzt()), namen), inWorten(werte, namen));
    },
    again: async (state) => leistungsseite(visit, state.stale ? await jetzt() : eine, werte, state),
    work: () => {
      const neu = checked(angaben, werte);
      return visit.transaction(async (tx, handelnd) => {
        const kurs = await unterrichtMit(tx, eine.kurs_id);
        if (kurs) imJahr(kurs, neu.datum);
        await nurEndkategorie(tx, eine.kurs_id, neu.kategorie);
        unlessStale(
          await tx.run(
            `UPDATE leistung SET name = $3, datum = $4, faktor = $5, kategorie_id = $6, sichtbar = $7 WHERE id = $1 AND version = $2`,
            [eine.id, versionOf(visit.form), neu.name, neu.datum, neu.faktor, neu.kategorie, werte.sichtbar],
          ),
        );
        const values = { alt: werteVon(eine), neu: { ...neu, sichtbar: werte.sichtbar } };
        await handelnd.record(tx, { resource: Note, deed: "bearbeiten", object: eine.id, values });
      });
    },
  });
}

/** One without marks: made by mistake. */
function loeschen(visit: PersonVisit, eine: Leistung): Promise<Reply> {
  const text =
    "Für diese Leistung sind schon Noten eingetragen. Leeren Sie zuerst ihre Felder im Notenbuch. Sie wurde nicht gelöscht.";
  return removeUnused(visit, {
    statement: "DELETE FROM leistung WHERE id = $1",
    entry: { resource: Note, deed: "loeschen", object: eine.id, values: { alt: werteVon(eine) } },
    inUse: { field: "name", text },
    done: adresse(eine.kurs_id, eine.halbjahr, "leistung-geloescht"),
    again: (state) => leistungsseite(visit, eine, werteVon(eine), state),
  });
}
