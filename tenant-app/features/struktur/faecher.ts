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
import { Kurs } from "./public.ts";

/** Subjects. */

const angaben = z.object({
  kuerzel: z
    .string()
    .trim()
    .min(1, "Bitte geben Sie ein Kürzel an, zum Beispiel M.")
    .max(12, "Das Kürzel darf höchstens 12 Zeichen lang sein."),
  name: z
    .string()
    .trim()
    .min(1, "Bitte geben Sie den Namen des Faches an.")
    .max(60, "Der Name darf höchstens 60 Zeichen lang sein."),
});
type Angaben = z.infer<typeof angaben>;

export interface Fach extends Angaben {
  readonly id: string;
  readonly aktiv: boolean;
  readonly version: number;
}

/** All subjects, by name. */
export function alleFaecher(tx: Transaction): Promise<Fach[]> {
  return tx.all<Fach & Record<string, unknown>>(
    "SELECT f.id, f.kuerzel, f.name, f.aktiv, f.version FROM fach f ORDER BY f.name",
  );
}

const ladeFach = (tx: Transaction, id: string) =>
  tx.one<Fach & Record<string, unknown>>(
    "SELECT f.id, f.kuerzel, f.name, f.aktiv, f.version FROM fach f WHERE f.id = $1",
    [id],
  );
const fach: Subject<Fach> = { relation: "fach", load: ladeFach };

const liste = view<{
  readonly faecher: readonly Fach[];
  readonly darf: boolean;
  readonly vorgang: string;
  readonly werte: Angaben;
}>("struktur/faecher");
const formular = view<{ readonly fach: Fach; readonly werte: Angaben & { readonly aktiv: boolean } }>("struktur/fach");
const bearbeiten = { right: Kurs.right("bearbeiten"), scope: "schule" } as const;
const leer: Angaben = { kuerzel: "", name: "" };
const done = "/faecher?erledigt=struktur";

export const fachRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/faecher",
    policy: { right: Kurs.right("lesen"), scope: "schule" },
    handle: (visit) => uebersicht(visit, leer, { errors: [] }),
  }),
  route({ method: "POST", path: "/faecher", policy: bearbeiten, handle: anlegen }),
  route({
    method: "GET",
    path: "/faecher/:id",
    policy: bearbeiten,
    object: fach,
    handle: async (visit, fach) => fachseite(visit, fach, fach, { errors: [] }),
  }),
  route({ method: "POST", path: "/faecher/:id", policy: bearbeiten, object: fach, handle: aendern }),
  route({ method: "POST", path: "/faecher/:id/loeschen", policy: bearbeiten, object: fach, handle: loeschen }),
];

async function uebersicht(
  visit: PersonVisit,
  werte: Angaben,
  { errors }: FormState,
  vorgang: string = randomUUID(),
): Promise<Reply> {
  const faecher = await visit.transaction(alleFaecher);
  const darf = visit.may(Kurs.right("bearbeiten"), "schule");
  return page(visit, liste, { faecher, darf, vorgang, werte }, { title: "Fächer", errors });
}

function fachseite(
  visit: PersonVisit,
  fach: Fach,
  werte: Angaben & { readonly aktiv: boolean },
  { errors, stale }: FormState,
): Reply {
  return page(visit, formular, { fach, werte }, { title: fach.name, errors, ...(stale ? { stale } : {}) });
}

function vergeben(error: unknown): InputProblem | undefined {
  if (isDuplicate(error, "fach_kuerzel_key")) {
    return new InputProblem({ field: "kuerzel", text: "Dieses Kürzel hat schon ein anderes Fach." });
  }
  if (isDuplicate(error, "fach_name_key")) {
    return new InputProblem({ field: "name", text: "Ein Fach mit diesem Namen gibt es schon." });
  }
  return undefined;
}

function anlegen(visit: PersonVisit): Promise<Reply> {
  const werte = fieldsOf(visit.form, "kuerzel", "name");
  const id = formNumber(visit.form);
  return submit({
    done,
    once: "fach_pkey",
    problem: vergeben,
    again: (state) => uebersicht(visit, werte, state, id),
    work: () => {
      const neu = checked(angaben, werte);
      return visit.transaction(async (tx) => {
        await tx.run("INSERT INTO fach (id, kuerzel, name) VALUES ($1, $2, $3)", [id, neu.kuerzel, neu.name]);
        await visit.record(tx, { resource: Kurs, deed: "anlegen", object: id, values: { neu } });
      });
    },
  });
}

function aendern(visit: PersonVisit, fach: Fach): Promise<Reply> {
  const werte = { ...fieldsOf(visit.form, "kuerzel", "name"), aktiv: visit.form.get("aktiv") === "ja" };
  const jetzt = async () => (await visit.transaction((tx) => ladeFach(tx, fach.id))) ?? fach;
  const words = ({ kuerzel, name, aktiv }: typeof werte) => ({
    Kürzel: kuerzel,
    Name: name,
    "In Gebrauch": aktiv ? "ja" : "nein",
  });
  return submit({
    done,
    problem: vergeben,
    stale: async () => differences(words(await jetzt()), words(werte)),
    again: async (state) => fachseite(visit, state.stale ? await jetzt() : fach, werte, state),
    work: () => {
      const neu = { ...checked(angaben, werte), aktiv: werte.aktiv };
      return visit.transaction(async (tx) => {
        unlessStale(
          await tx.run("UPDATE fach SET kuerzel = $3, name = $4, aktiv = $5 WHERE id = $1 AND version = $2", [
            fach.id,
            versionOf(visit.form),
            neu.kuerzel,
            neu.name,
            neu.aktiv,
          ]),
        );
        const { kuerzel, name, aktiv } = fach;
        const values = { alt: { kuerzel, name, aktiv }, neu };
        await visit.record(tx, { resource: Kurs, deed: "bearbeiten", object: fach.id, values });
      });
    },
  });
}

/** One that no course has: made by mistake. */
function loeschen(visit: PersonVisit, fach: Fach): Promise<Reply> {
  const text =
    "Es gibt Kurse in diesem Fach. Nehmen Sie es außer Gebrauch, dann wird es für neue nicht mehr angeboten.";
  return removeUnused(visit, {
    statement: "DELETE FROM fach WHERE id = $1",
    entry: {
      resource: Kurs,
      deed: "loeschen",
      object: fach.id,
      values: { alt: { kuerzel: fach.kuerzel, name: fach.name } },
    },
    inUse: { field: "name", text },
    done: "/faecher?erledigt=struktur-geloescht",
    again: (state) => fachseite(visit, fach, fach, state),
  });
}
