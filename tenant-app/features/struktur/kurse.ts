import { randomUUID } from "node:crypto";
import { z } from "zod";
import { isDuplicate, type Transaction } from "../../ground/database/database.ts";
import type { Reply } from "../../ground/gate/reply.ts";
import { type Declared, route, type Subject } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { checked, fieldsOf, InputProblem } from "../../ground/pages/input.ts";
import { page, view } from "../../ground/pages/page.ts";
import { differences, unlessStale, versionOf } from "../../ground/pages/stale.ts";
import { type FormState, formNumber, submit } from "../../ground/pages/submit.ts";
import { removeUnused } from "../../ground/pages/unused.ts";
import { alleFaecher, type Fach } from "./faecher.ts";
import { alleJahre, gewaehltesJahr, type Schuljahr } from "./jahre.ts";
import { type Klassenzeile, klassenDesJahres } from "./klassen.ts";
import { Einschreibung, Kurs, Unterrichtsauftrag } from "./public.ts";
import { type Personenwahl, personenwahl } from "./wahl.ts";
import { endeAus, vorgeschlagenerTag, zeitraum } from "./zeitraum.ts";
import { beende, inWorten, ordneZu, type Zuordnung, zuordnungen } from "./zuordnungen.ts";

/** Courses: a subject in a school year, with who teaches it and who takes it. */

export interface Kurszeile {
  readonly id: string;
  readonly name: string;
  readonly fach_id: string;
  readonly fach: string;
  readonly version: number;
  readonly jahr_id: string;
  readonly jahr: string;
  readonly von: string;
  readonly bis: string;
}

const from = "FROM kurs k JOIN schuljahr s ON s.id = k.schuljahr_id JOIN fach f ON f.id = k.fach_id";
const columns = `k.id, k.name, f.id AS fach_id, f.name AS fach, k.version, s.id AS jahr_id, s.name AS jahr, s.von::text, s.bis::text`;

/** Courses of a year, as far as the person may see them, by subject and name. */
function kurseDesJahres(tx: Transaction, jahr: string): Promise<Kurszeile[]> {
  return tx.all<Kurszeile & Record<string, unknown>>(
    `SELECT ${columns} ${from} WHERE k.schuljahr_id = $1 ORDER BY f.name, k.name`,
    [jahr],
  );
}

const ladeKurs = (tx: Transaction, id: string) =>
  tx.one<Kurszeile & Record<string, unknown>>(`SELECT ${columns} ${from} WHERE k.id = $1`, [id]);
const kurs: Subject<Kurszeile> = { relation: "kurs", load: ladeKurs };

interface Werte {
  readonly name: string;
  readonly fach: string;
}
const liste = view<{
  readonly jahre: readonly Schuljahr[];
  readonly jahr: Schuljahr | undefined;
  readonly kurse: readonly Kurszeile[];
  readonly faecher: readonly Fach[];
  readonly darf: boolean;
  readonly vorgang: string;
  readonly werte: Werte;
}>("struktur/kurse");
const seite = view<{
  readonly kurs: Kurszeile;
  readonly werte: Werte;
  readonly faecher: readonly Fach[];
  readonly auftraege: readonly Zuordnung[];
  readonly einschreibungen: readonly Zuordnung[];
  readonly klassen: readonly Klassenzeile[];
  readonly darf: boolean;
  readonly darfAuftrag: boolean;
  readonly darfEinschreiben: boolean;
  readonly darfEintragen: boolean;
  readonly darfRechts: boolean;
  readonly auswahl: Personenwahl;
  readonly dauer: { readonly ab: string; readonly bis: string };
}>("struktur/kurs");

const bearbeiten = { right: Kurs.right("bearbeiten"), scope: "schule" } as const;
const auftrag = { right: Unterrichtsauftrag.right("bearbeiten"), scope: "schule" } as const;
const einschreiben = { right: Einschreibung.right("bearbeiten"), scope: "schule" } as const;

export const kursRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/kurse",
    policy: { right: Kurs.right("lesen") },
    handle: (visit) => uebersicht(visit, { name: "", fach: "" }, { errors: [] }),
  }),
  route({ method: "POST", path: "/kurse", policy: bearbeiten, handle: anlegen }),
  route({
    method: "GET",
    path: "/kurse/:id",
    policy: { right: Kurs.right("lesen") },
    object: kurs,
    handle: (visit, kurs) => kursseite(visit, kurs, {}, { errors: [] }),
  }),
  route({ method: "POST", path: "/kurse/:id", policy: bearbeiten, object: kurs, handle: aendern }),
  route({ method: "POST", path: "/kurse/:id/loeschen", policy: bearbeiten, object: kurs, handle: loeschen }),
  route({
    method: "POST",
    path: "/kurse/:id/lehrkraefte",
    policy: auftrag,
    object: kurs,
    handle: (visit, kurs) => hinzufuegen(visit, kurs, "auftrag"),
  }),
  route({
    method: "POST",
    path: "/kurse/:id/lehrkraefte/beenden",
    policy: auftrag,
    object: kurs,
    handle: (visit, kurs) => beenden(visit, kurs, "auftrag"),
  }),
  route({
    method: "POST",
    path: "/kurse/:id/teilnehmende",
    policy: einschreiben,
    object: kurs,
    handle: (visit, kurs) => hinzufuegen(visit, kurs, "einschreibung"),
  }),
  route({
    method: "POST",
    path: "/kurse/:id/teilnehmende/beenden",
    policy: einschreiben,
    object: kurs,
    handle: (visit, kurs) => beenden(visit, kurs, "einschreibung"),
  }),
];

const angaben = z.object({
  name: z
    .string()
    .trim()
    .min(1, "Bitte geben Sie dem Kurs einen Namen, zum Beispiel Mathematik 5a.")
    .max(40, "Der Name darf höchstens 40 Zeichen lang sein."),
  fach: z.uuid("Bitte wählen Sie ein Fach."),
});
const vergeben = (error: unknown) =>
  isDuplicate(error, "kurs_name")
    ? new InputProblem({ field: "name", text: "Einen Kurs mit diesem Namen gibt es in diesem Schuljahr schon." })
    : undefined;

async function uebersicht(
  visit: PersonVisit,
  werte: Werte,
  { errors }: FormState,
  vorgang: string = randomUUID(),
): Promise<Reply> {
  const data = await visit.transaction(async (tx) => {
    const jahre = await alleJahre(tx);
    const jahr = gewaehltesJahr(jahre, visit.form.get("jahr") ?? visit.query.get("jahr"));
    const faecher = (await alleFaecher(tx)).filter(({ aktiv }) => aktiv);
    return { jahre, jahr, faecher, kurse: jahr ? await kurseDesJahres(tx, jahr.id) : [] };
  });
  const darf = visit.may(Kurs.right("bearbeiten"), "schule");
  return page(visit, liste, { ...data, darf, vorgang, werte }, { title: "Kurse", errors });
}

function anlegen(visit: PersonVisit): Promise<Reply> {
  const { jahr, ...werte } = fieldsOf(visit.form, "name", "fach", "jahr");
  const id = formNumber(visit.form);
  return submit({
    done: `/kurse/${id}?erledigt=struktur`,
    once: "kurs_pkey",
    problem: vergeben,
    again: (state) => uebersicht(visit, werte, state, id),
    work: () => {
      const neu = checked(angaben, werte);
      return visit.transaction(async (tx) => {
        const made = await tx.run(
          `INSERT INTO kurs (id, schuljahr_id, fach_id, name)
           SELECT $1, s.id, f.id, $4 FROM schuljahr s, fach f WHERE s.id::text = $2 AND f.id = $3 AND f.aktiv`,
          [id, jahr, neu.fach, neu.name],
        );
        if (made === 0) {
          const text = "Dieses Schuljahr oder Fach gibt es nicht mehr. Bitte wählen Sie neu.";
          throw new InputProblem({ field: "fach", text });
        }
        await visit.record(tx, { resource: Kurs, deed: "anlegen", object: id, values: { neu: { ...neu, jahr } } });
      });
    },
  });
}

interface Eingabe {
  readonly werte?: Werte;
  readonly suche?: string;
  readonly personen?: readonly string[];
  readonly ab?: string;
  readonly bis?: string;
}

async function kursseite(
  visit: PersonVisit,
  kurs: Kurszeile,
  eingabe: Eingabe,
  { errors, stale }: FormState,
): Promise<Reply> {
  const darf = visit.may(Kurs.right("bearbeiten"), "schule");
  const darfAuftrag = visit.may(Unterrichtsauftrag.right("bearbeiten"), "schule");
  const darfEinschreiben = visit.may(Einschreibung.right("bearbeiten"), "schule");
  const suche = eingabe.suche ?? visit.query.get("suche") ?? "";
  const { tag, ...data } = await visit.transaction(async (tx) => ({
    auftraege: await zuordnungen(tx, "auftrag", kurs.id, kurs),
    einschreibungen: await zuordnungen(tx, "einschreibung", kurs.id, kurs),
    faecher: darf ? await alleFaecher(tx) : [],
    klassen: darfEinschreiben ? await klassenDesJahres(tx, kurs.jahr_id) : [],
    auswahl: await personenwahl(tx, darfAuftrag || darfEinschreiben ? suche : "", eingabe.personen),
    tag: await vorgeschlagenerTag(tx, kurs),
  }));
  const dauer = { ab: eingabe.ab ?? tag, bis: eingabe.bis ?? kurs.bis };
  const werte = eingabe.werte ?? { name: kurs.name, fach: kurs.fach_id };
  return page(
    visit,
    seite,
    {
      kurs,
      werte,
      ...data,
      darf,
      darfAuftrag,
      darfEinschreiben,
      darfEintragen: darfAuftrag || darfEinschreiben,
      darfRechts: darf || darfAuftrag || darfEinschreiben,
      dauer,
    },
    { title: kurs.name, errors, ...(stale ? { stale } : {}) },
  );
}

function aendern(visit: PersonVisit, kurs: Kurszeile): Promise<Reply> {
  const werte = fieldsOf(visit.form, "name", "fach");
  const jetzt = async () => (await visit.transaction((tx) => ladeKurs(tx, kurs.id))) ?? kurs;
  return submit({
    done: `/kurse/${kurs.id}?erledigt=struktur`,
    problem: vergeben,
    stale: async () => differences({ Name: (await jetzt()).name }, { Name: werte.name }),
    again: async (state) => kursseite(visit, state.stale ? await jetzt() : kurs, { werte }, state),
    work: () => {
      const neu = checked(angaben, werte);
      return visit.transaction(async (tx) => {
        unlessStale(
          await tx.run("UPDATE kurs SET name = $3, fach_id = $4 WHERE id = $1 AND version = $2", [
            kurs.id,
            versionOf(visit.form),
            neu.name,
            neu.fach,
          ]),
        );
        const values = { alt: { name: kurs.name, fach: kurs.fach_id }, neu };
        await visit.record(tx, { resource: Kurs, deed: "bearbeiten", object: kurs.id, values });
      });
    },
  });
}

/** One that nobody ever taught or took: made by mistake. */
function loeschen(visit: PersonVisit, kurs: Kurszeile): Promise<Reply> {
  const text = "In diesem Kurs ist oder war schon jemand eingetragen. Er wurde nicht gelöscht.";
  return removeUnused(visit, {
    statement: "DELETE FROM kurs WHERE id = $1",
    entry: { resource: Kurs, deed: "loeschen", object: kurs.id, values: { alt: { name: kurs.name } } },
    inUse: { field: "name", text },
    done: `/kurse?jahr=${kurs.jahr_id}&erledigt=struktur-geloescht`,
    again: (state) => kursseite(visit, kurs, {}, state),
  });
}

/** People who were ticked, and with a class all who are in it at any time of the days that are asked for. */
function hinzufuegen(visit: PersonVisit, kurs: Kurszeile, art: "auftrag" | "einschreibung"): Promise<Reply> {
  const { klasse, ...werte } = fieldsOf(visit.form, "ab", "bis", "suche", "klasse");
  const personen = visit.form.getAll("person");
  return submit({
    done: `/kurse/${kurs.id}?erledigt=zugeordnet`,
    problem: inWorten,
    again: (state) => kursseite(visit, kurs, { ...werte, personen }, state),
    work: () => {
      const dauer = checked(zeitraum, werte);
      return visit.transaction(async (tx, jetzt) => {
        const alle = klasse === "" || art === "auftrag" ? personen : await neueAusKlasse(tx, kurs.id, klasse, dauer);
        await ordneZu(tx, jetzt, art, kurs.id, alle, dauer);
      });
    },
  });
}

/** Members of a class on any of these days who are not enrolled yet: a class is enrolled again when somebody has joined it. */
async function neueAusKlasse(
  tx: Transaction,
  kurs: string,
  klasse: string,
  { ab, bis }: { readonly ab: string; readonly bis: string },
): Promise<string[]> {
  const rows = await tx.all<{ person_id: string }>(
    `SELECT DISTINCT m.person_id FROM klassenmitglied m
      WHERE m.klasse_id::text = $1 AND m.gueltig && daterange($2, $3, '[]')
        AND NOT EXISTS (SELECT FROM einschreibung e WHERE e.kurs_id = $4 AND e.person_id = m.person_id
          AND e.gueltig && daterange($2, $3, '[]'))`,
    [klasse, ab, bis, kurs],
  );
  if (rows.length === 0) {
    const text = "Aus dieser Klasse ist in dieser Zeit niemand mehr einzuschreiben.";
    throw new InputProblem({ field: "klasse", text });
  }
  return rows.map(({ person_id }) => person_id);
}

function beenden(visit: PersonVisit, kurs: Kurszeile, art: "auftrag" | "einschreibung"): Promise<Reply> {
  const { zum, zuordnung, schritt, bisher } = fieldsOf(visit.form, "zum", "zuordnung", "schritt", "bisher");
  return submit({
    done: `/kurse/${kurs.id}?erledigt=beendet`,
    problem: inWorten,
    again: (state) => kursseite(visit, kurs, {}, state),
    work: () => {
      const bis = endeAus({ schritt, zum });
      return visit.transaction((tx, jetzt) => beende(tx, jetzt, art, kurs.id, { id: zuordnung, bisher, bis }));
    },
  });
}
