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
import { alleJahre, gewaehltesJahr, type Schuljahr } from "./jahre.ts";
import { Klasse } from "./public.ts";
import { type Personenwahl, personenwahl } from "./wahl.ts";
import { endeAus, vorgeschlagenerTag, zeitraum } from "./zeitraum.ts";
import { beende, inWorten, ordneZu, type Zuordnung, zuordnungen } from "./zuordnungen.ts";

/** Classes: the office makes them and says who is in them; teachers see theirs, pupils and parents their own. */

export interface Klassenzeile {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly jahr_id: string;
  readonly jahr: string;
  /** First and last day of the year. */
  readonly von: string;
  readonly bis: string;
  /** Who is in it today; of those whom the person may see. */
  readonly mitglieder: number;
}

const columns = `k.id, k.name, k.version, s.id AS jahr_id, s.name AS jahr, s.von::text, s.bis::text, coalesce(m.zahl, 0) AS mitglieder`;
/** Members counted for all classes at once: whom one may see is not asked anew for each. */
const from = `FROM klasse k JOIN schuljahr s ON s.id = k.schuljahr_id
  LEFT JOIN (SELECT z.klasse_id, count(*)::int AS zahl FROM klassenmitglied z WHERE z.gueltig @> (SELECT heute()) GROUP BY z.klasse_id) AS m
    ON m.klasse_id = k.id`;

/** Classes of a year, as far as the person may see them, by name. */
export function klassenDesJahres(tx: Transaction, jahr: string): Promise<Klassenzeile[]> {
  return tx.all<Klassenzeile & Record<string, unknown>>(
    `SELECT ${columns} ${from} WHERE k.schuljahr_id = $1 ORDER BY k.name`,
    [jahr],
  );
}

const ladeKlasse = (tx: Transaction, id: string) =>
  tx.one<Klassenzeile & Record<string, unknown>>(`SELECT ${columns} ${from} WHERE k.id = $1`, [id]);
const klasse: Subject<Klassenzeile> = { relation: "klasse", load: ladeKlasse };

const liste = view<{
  readonly jahre: readonly Schuljahr[];
  readonly jahr: Schuljahr | undefined;
  readonly klassen: readonly Klassenzeile[];
  readonly darf: boolean;
  /** Whether the person sees who is in the classes. */
  readonly zeigtMitglieder: boolean;
  readonly vorgang: string;
  readonly name: string;
}>("struktur/klassen");
const seite = view<{
  readonly klasse: Klassenzeile;
  readonly name: string;
  readonly leitungen: readonly Zuordnung[];
  readonly mitglieder: readonly Zuordnung[];
  readonly darf: boolean;
  readonly wahl: Personenwahl;
  readonly werte: { readonly ab: string; readonly bis: string; readonly art: string };
}>("struktur/klasse");

const bearbeiten = { right: Klasse.right("bearbeiten"), scope: "schule" } as const;

export const klassenRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/klassen",
    policy: { right: Klasse.right("lesen") },
    handle: (visit) => uebersicht(visit, "", { errors: [] }),
  }),
  route({ method: "POST", path: "/klassen", policy: bearbeiten, handle: anlegen }),
  route({
    method: "GET",
    path: "/klassen/:id",
    policy: { right: Klasse.right("lesen") },
    object: klasse,
    handle: (visit, klasse) => klassenseite(visit, klasse, {}, { errors: [] }),
  }),
  route({ method: "POST", path: "/klassen/:id", policy: bearbeiten, object: klasse, handle: umbenennen }),
  route({ method: "POST", path: "/klassen/:id/loeschen", policy: bearbeiten, object: klasse, handle: loeschen }),
  route({ method: "POST", path: "/klassen/:id/mitglieder", policy: bearbeiten, object: klasse, handle: hinzufuegen }),
  route({ method: "POST", path: "/klassen/:id/beenden", policy: bearbeiten, object: klasse, handle: beenden }),
];

const angaben = z.object({
  name: z
    .string()
    .trim()
    .min(1, "Bitte geben Sie der Klasse einen Namen, zum Beispiel 5a.")
    .max(20, "Der Name darf höchstens 20 Zeichen lang sein."),
});
const vergeben = (error: unknown) =>
  isDuplicate(error, "klasse_name")
    ? new InputProblem({ field: "name", text: "Eine Klasse mit diesem Namen gibt es in diesem Schuljahr schon." })
    : undefined;

async function uebersicht(
  visit: PersonVisit,
  name: string,
  { errors }: FormState,
  vorgang: string = randomUUID(),
): Promise<Reply> {
  const data = await visit.transaction(async (tx) => {
    const jahre = await alleJahre(tx);
    const jahr = gewaehltesJahr(jahre, visit.form.get("jahr") ?? visit.query.get("jahr"));
    return { jahre, jahr, klassen: jahr ? await klassenDesJahres(tx, jahr.id) : [] };
  });
  const darf = visit.may(Klasse.right("bearbeiten"), "schule");
  const lesen = Klasse.right("lesen");
  const zeigtMitglieder = visit.may(lesen, "schule") || visit.may(lesen, "unterrichtet");
  return page(visit, liste, { ...data, darf, zeigtMitglieder, vorgang, name }, { title: "Klassen", errors });
}

function anlegen(visit: PersonVisit): Promise<Reply> {
  const { name, jahr } = fieldsOf(visit.form, "name", "jahr");
  const id = formNumber(visit.form);
  return submit({
    done: `/klassen/${id}?erledigt=struktur`,
    once: "klasse_pkey",
    problem: vergeben,
    again: (state) => uebersicht(visit, name, state, id),
    work: () => {
      const neu = checked(angaben, { name });
      return visit.transaction(async (tx) => {
        const made = await tx.run(
          "INSERT INTO klasse (id, schuljahr_id, name) SELECT $1, s.id, $3 FROM schuljahr s WHERE s.id::text = $2",
          [id, jahr, neu.name],
        );
        if (made === 0) {
          throw new InputProblem({ field: "name", text: "Bitte legen Sie zuerst ein Schuljahr an." });
        }
        await visit.record(tx, { resource: Klasse, deed: "anlegen", object: id, values: { neu: { ...neu, jahr } } });
      });
    },
  });
}

interface Eingabe {
  readonly name?: string;
  readonly suche?: string;
  readonly personen?: readonly string[];
  readonly ab?: string;
  readonly bis?: string;
  readonly art?: string;
}

async function klassenseite(
  visit: PersonVisit,
  klasse: Klassenzeile,
  eingabe: Eingabe,
  { errors, stale }: FormState,
): Promise<Reply> {
  const darf = visit.may(Klasse.right("bearbeiten"), "schule");
  const suche = eingabe.suche ?? visit.query.get("suche") ?? "";
  const { tag, ...data } = await visit.transaction(async (tx) => ({
    leitungen: await zuordnungen(tx, "leitung", klasse.id, klasse),
    mitglieder: await zuordnungen(tx, "mitglied", klasse.id, klasse),
    wahl: await personenwahl(tx, darf ? suche : "", eingabe.personen),
    tag: await vorgeschlagenerTag(tx, klasse),
  }));
  const art = eingabe.art ?? visit.query.get("art") ?? "mitglied";
  const werte = { ab: eingabe.ab ?? tag, bis: eingabe.bis ?? klasse.bis, art };
  return page(
    visit,
    seite,
    { klasse, name: eingabe.name ?? klasse.name, ...data, darf, werte },
    { title: `Klasse ${klasse.name}`, errors, ...(stale ? { stale } : {}) },
  );
}

function umbenennen(visit: PersonVisit, klasse: Klassenzeile): Promise<Reply> {
  const { name } = fieldsOf(visit.form, "name");
  const jetzt = async () => (await visit.transaction((tx) => ladeKlasse(tx, klasse.id))) ?? klasse;
  return submit({
    done: `/klassen/${klasse.id}?erledigt=struktur`,
    problem: vergeben,
    stale: async () => differences({ Name: (await jetzt()).name }, { Name: name }),
    again: async (state) => klassenseite(visit, state.stale ? await jetzt() : klasse, { name }, state),
    work: () => {
      const neu = checked(angaben, { name });
      return visit.transaction(async (tx) => {
        unlessStale(
          await tx.run("UPDATE klasse SET name = $3 WHERE id = $1 AND version = $2", [
            klasse.id,
            versionOf(visit.form),
            neu.name,
          ]),
        );
        const values = { alt: { name: klasse.name }, neu };
        await visit.record(tx, { resource: Klasse, deed: "bearbeiten", object: klasse.id, values });
      });
    },
  });
}

/** One that nobody was ever in: made by mistake. */
function loeschen(visit: PersonVisit, klasse: Klassenzeile): Promise<Reply> {
  const text = "In dieser Klasse war oder ist schon jemand. Sie wurde nicht gelöscht.";
  return removeUnused(visit, {
    statement: "DELETE FROM klasse WHERE id = $1",
    entry: { resource: Klasse, deed: "loeschen", object: klasse.id, values: { alt: { name: klasse.name } } },
    inUse: { field: "name", text },
    done: `/klassen?jahr=${klasse.jahr_id}&erledigt=struktur-geloescht`,
    again: (state) => klassenseite(visit, klasse, {}, state),
  });
}

const artDerKlasse = z.enum(["mitglied", "leitung"]).catch("mitglied");

function hinzufuegen(visit: PersonVisit, klasse: Klassenzeile): Promise<Reply> {
  const werte = fieldsOf(visit.form, "ab", "bis", "art", "suche");
  const personen = visit.form.getAll("person");
  return submit({
    done: `/klassen/${klasse.id}?erledigt=zugeordnet`,
    problem: inWorten,
    again: (state) => klassenseite(visit, klasse, { ...werte, personen }, state),
    work: () => {
      const dauer = checked(zeitraum, werte);
      const art = artDerKlasse.parse(werte.art);
      return visit.transaction((tx, jetzt) => ordneZu(tx, jetzt, art, klasse.id, personen, dauer));
    },
  });
}

function beenden(visit: PersonVisit, klasse: Klassenzeile): Promise<Reply> {
  const { zum, art, zuordnung, schritt, bisher } = fieldsOf(visit.form, "zum", "art", "zuordnung", "schritt", "bisher");
  return submit({
    done: `/klassen/${klasse.id}?erledigt=beendet`,
    problem: inWorten,
    again: (state) => klassenseite(visit, klasse, {}, state),
    work: () => {
      const bis = endeAus({ schritt, zum });
      return visit.transaction((tx, jetzt) =>
        beende(tx, jetzt, artDerKlasse.parse(art), klasse.id, { id: zuordnung, bisher, bis }),
      );
    },
  });
}
