import { randomUUID } from "node:crypto";
import { z } from "zod";
import { isDuplicate, isOverlap, isRefusedBy, type Transaction } from "../../ground/database/database.ts";
import type { Reply } from "../../ground/gate/reply.ts";
import { type Declared, route, type Subject } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { germanDay } from "../../ground/pages/days.ts";
import { checked, fieldsOf, type InputError, InputProblem } from "../../ground/pages/input.ts";
import { page, view } from "../../ground/pages/page.ts";
import { type Difference, differences, unlessStale, versionOf } from "../../ground/pages/stale.ts";
import { formNumber, submit } from "../../ground/pages/submit.ts";
import { removeUnused } from "../../ground/pages/unused.ts";
import { Kurs } from "./public.ts";
import { ersterTag, letzterTag, tag } from "./zeitraum.ts";

/** School years. */

const jahresangaben = z
  .object({
    name: z
      .string()
      .trim()
      .min(1, "Bitte geben Sie dem Schuljahr einen Namen, zum Beispiel 2026/27.")
      .max(20, "Der Name darf höchstens 20 Zeichen lang sein."),
    von: ersterTag,
    zweites: tag("Der Beginn des zweiten Halbjahres", "den Beginn des zweiten Halbjahres"),
    bis: letzterTag,
  })
  .refine(({ von, bis }) => von < bis, { path: ["bis"], message: "Der letzte Tag liegt nicht nach dem ersten." })
  .refine(({ von, zweites, bis }) => von < zweites && zweites <= bis, {
    path: ["zweites"],
    message: "Das zweite Halbjahr beginnt nach dem ersten Tag und nicht nach dem letzten.",
  });
type Jahresangaben = z.infer<typeof jahresangaben>;

export interface Schuljahr extends Jahresangaben {
  readonly id: string;
  readonly version: number;
  /** Whether today is in it. */
  readonly jetzt: boolean;
}

const columns = `s.id, s.name, s.von::text, s.bis::text, s.zweites_halbjahr_ab::text AS zweites, s.version,
  heute() BETWEEN s.von AND s.bis AS jetzt`;

/** All school years, the newest first. */
export function alleJahre(tx: Transaction): Promise<Schuljahr[]> {
  return tx.all<Schuljahr & Record<string, unknown>>(`SELECT ${columns} FROM schuljahr s ORDER BY s.von DESC`);
}

/** The year that an address names; else the one of today, or the newest. */
export function gewaehltesJahr(jahre: readonly Schuljahr[], genannt: string | null): Schuljahr | undefined {
  return jahre.find(({ id }) => id === genannt) ?? jahre.find(({ jetzt }) => jetzt) ?? jahre[0];
}

const ladeJahr = (tx: Transaction, id: string) =>
  tx.one<Schuljahr & Record<string, unknown>>(`SELECT ${columns} FROM schuljahr s WHERE s.id = $1`, [id]);

const jahr: Subject<Schuljahr> = { relation: "schuljahr", load: ladeJahr };
const liste = view<{ readonly jahre: readonly Schuljahr[]; readonly darf: boolean }>("struktur/jahre");
const formular = view<{
  readonly jahr: Schuljahr | undefined;
  readonly vorgang: string;
  readonly werte: Werte;
}>("struktur/jahr");
const bearbeiten = { right: Kurs.right("bearbeiten"), scope: "schule" } as const;

export const jahrRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/schuljahre",
    policy: { right: Kurs.right("lesen"), scope: "schule" },
    handle: async (visit) => {
      const jahre = await visit.transaction(alleJahre);
      return page(
        visit,
        liste,
        { jahre, darf: visit.may(Kurs.right("bearbeiten"), "schule") },
        { title: "Schuljahre" },
      );
    },
  }),
  route({ method: "GET", path: "/schuljahre/neu", policy: bearbeiten, handle: async (visit) => neu(visit) }),
  route({ method: "POST", path: "/schuljahre", policy: bearbeiten, handle: anlegen }),
  route({
    method: "GET",
    path: "/schuljahre/:id",
    policy: bearbeiten,
    object: jahr,
    handle: async (visit, jahr) => jahrseite(visit, jahr, {}),
  }),
  route({ method: "POST", path: "/schuljahre/:id", policy: bearbeiten, object: jahr, handle: aendern }),
  route({ method: "POST", path: "/schuljahre/:id/loeschen", policy: bearbeiten, object: jahr, handle: loeschen }),
];

interface Zustand {
  readonly werte?: Werte;
  readonly errors?: readonly InputError[];
  readonly stale?: readonly Difference[] | undefined;
}

function jahrseite(visit: PersonVisit, jahr: Schuljahr, { werte, errors = [], stale }: Zustand): Reply {
  const data = { jahr, vorgang: "", werte: { ...jahr, ...werte } };
  return page(visit, formular, data, {
    title: `Schuljahr ${jahr.name}`,
    errors,
    ...(stale === undefined ? {} : { stale }),
  });
}

function neu(visit: PersonVisit, { werte, errors = [] }: Zustand = {}, vorgang: string = randomUUID()): Reply {
  const year = visit.now.getUTCFullYear() - (visit.now.getUTCMonth() < 5 ? 1 : 0);
  const vorschlag = {
    name: `${year}/${String(year + 1).slice(2)}`,
    von: `${year}-08-01`,
    zweites: `${year + 1}-02-01`,
    bis: `${year + 1}-07-31`,
  };
  const data = { jahr: undefined, vorgang, werte: werte ?? vorschlag };
  return page(visit, formular, data, { title: "Schuljahr anlegen", errors });
}

/** What the database says about a year, in words. */
function inWorten(error: unknown): InputProblem | undefined {
  if (isDuplicate(error, "schuljahr_name_key")) {
    return new InputProblem({ field: "name", text: "Ein Schuljahr mit diesem Namen gibt es schon." });
  }
  if (isOverlap(error)) {
    return new InputProblem({ field: "von", text: "Diese Zeit überschneidet sich mit einem anderen Schuljahr." });
  }
  if (isRefusedBy(error, "CM005")) {
    const text = "Zuordnungen zu Klassen oder Kursen dieses Jahres lägen dann außerhalb. Es wurde nichts geändert.";
    return new InputProblem({ field: "bis", text });
  }
  return undefined;
}

const feldnamen = ["name", "von", "zweites", "bis"] as const;
type Werte = Readonly<Record<(typeof feldnamen)[number], string>>;
const inWoertern = ({ name, von, zweites, bis }: Werte) => ({
  Name: name,
  "Erster Tag": germanDay(von),
  "Zweites Halbjahr ab": germanDay(zweites),
  "Letzter Tag": germanDay(bis),
});

function anlegen(visit: PersonVisit): Promise<Reply> {
  const werte = fieldsOf(visit.form, ...feldnamen);
  const id = formNumber(visit.form);
  return submit({
    done: "/schuljahre?erledigt=struktur",
    once: "schuljahr_pkey",
    problem: inWorten,
    again: ({ errors }) => neu(visit, { werte, errors }, id),
    work: () => {
      const { name, von, zweites, bis } = checked(jahresangaben, werte);
      return visit.transaction(async (tx) => {
        await tx.run("INSERT INTO schuljahr (id, name, von, bis, zweites_halbjahr_ab) VALUES ($1, $2, $3, $4, $5)", [
          id,
          name,
          von,
          bis,
          zweites,
        ]);
        const values = { neu: { name, von, zweites, bis } };
        await visit.record(tx, { resource: Kurs, deed: "anlegen", object: id, values });
      });
    },
  });
}

function aendern(visit: PersonVisit, jahr: Schuljahr): Promise<Reply> {
  const werte = fieldsOf(visit.form, ...feldnamen);
  const jetzt = async () => (await visit.transaction((tx) => ladeJahr(tx, jahr.id))) ?? jahr;
  return submit({
    done: "/schuljahre?erledigt=struktur",
    problem: inWorten,
    stale: async () => differences(inWoertern(await jetzt()), inWoertern(werte)),
    again: async ({ errors, stale }) => jahrseite(visit, stale ? await jetzt() : jahr, { werte, errors, stale }),
    work: () => {
      const { name, von, zweites, bis } = checked(jahresangaben, werte);
      return visit.transaction(async (tx) => {
        unlessStale(
          await tx.run(
            "UPDATE schuljahr SET name = $3, von = $4, bis = $5, zweites_halbjahr_ab = $6 WHERE id = $1 AND version = $2",
            [jahr.id, versionOf(visit.form), name, von, bis, zweites],
          ),
        );
        const alt = { name: jahr.name, von: jahr.von, zweites: jahr.zweites, bis: jahr.bis };
        const values = { alt, neu: { name, von, zweites, bis } };
        await visit.record(tx, { resource: Kurs, deed: "bearbeiten", object: jahr.id, values });
      });
    },
  });
}

/** One that nothing hangs on: made by mistake. */
function loeschen(visit: PersonVisit, jahr: Schuljahr): Promise<Reply> {
  const text = "In diesem Schuljahr gibt es schon Klassen oder Kurse. Es wurde nicht gelöscht.";
  return removeUnused(visit, {
    statement: "DELETE FROM schuljahr WHERE id = $1",
    entry: { resource: Kurs, deed: "loeschen", object: jahr.id, values: { alt: { name: jahr.name } } },
    inUse: { field: "name", text },
    done: "/schuljahre?erledigt=struktur-geloescht",
    again: ({ errors }) => jahrseite(visit, jahr, { errors }),
  });
}
