import { randomUUID } from "node:crypto";
import { Fraction } from "fraction.js";
import { z } from "zod";
import { isDuplicate, isRefusedBy, type Transaction } from "../../ground/database/database.ts";
import type { Reply } from "../../ground/gate/reply.ts";
import { type Declared, route, type Subject } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { checked, fieldsOf, InputProblem } from "../../ground/pages/input.ts";
import { page, view } from "../../ground/pages/page.ts";
import { differences, unlessStale, versionOf } from "../../ground/pages/stale.ts";
import { type FormState, formNumber, submit } from "../../ground/pages/submit.ts";
import { Notenprofil } from "./public.ts";
import { alleSchluessel, lesePunkte, type Schluessel, type Stufe, zeigePunkte } from "./schluessel.ts";
import { alleNoten, type Skala, skalen, skalenName, zeigeNote } from "./skala.ts";

/** The school's keys: percent of the points to marks. One by which marks were given stays as it is. */

interface Werte {
  readonly name: string;
  readonly skala: string;
  readonly aktiv: boolean;
}
interface Stufenfeld {
  readonly note: string;
  readonly gezeigt: string;
  readonly ab: string;
}
const liste = view<{
  readonly alle: ReadonlyArray<{
    readonly id: string;
    readonly name: string;
    readonly skala: string;
    readonly aktiv: boolean;
  }>;
  readonly skalen: ReadonlyArray<{ readonly wert: string; readonly name: string }>;
  readonly werte: Werte;
  readonly vorgang: string;
}>("noten/schluesselliste");
const seite = view<{
  readonly schluessel: Schluessel;
  readonly skala: string;
  readonly werte: Werte;
  readonly stufen: readonly Stufenfeld[];
}>("noten/schluessel");

const policy = { right: Notenprofil.right("bearbeiten"), scope: "schule" } as const;
const schluessel: Subject<Schluessel> = {
  relation: "notenschluessel",
  load: async (tx, id) => (await alleSchluessel(tx)).find((einer) => einer.id === id),
};
export const schluesselRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/noten/schluessel",
    policy,
    handle: (visit) => uebersicht(visit, { name: "", skala: "noten", aktiv: true }, { errors: [] }),
  }),
  route({ method: "POST", path: "/noten/schluessel", policy, handle: anlegen }),
  route({
    method: "GET",
    path: "/noten/schluessel/:id",
    policy,
    object: schluessel,
    handle: (visit, einer) =>
      schluesselseite(visit, einer, einer, felderVon(einer.skala, einer.stufen), { errors: [] }),
  }),
  route({ method: "POST", path: "/noten/schluessel/:id", policy, object: schluessel, handle: speichern }),
];

const angaben = z.object({
  name: z
    .string()
    .trim()
    .min(1, "Bitte geben Sie dem Notenschlüssel einen Namen.")
    .max(60, "Der Name darf höchstens 60 Zeichen lang sein."),
  skala: z.enum(skalen, "Bitte wählen Sie eine Skala."),
});
const problem = (error: unknown): InputProblem | undefined => {
  if (isDuplicate(error, "notenschluessel_name")) {
    return new InputProblem({ field: "name", text: "Einen Notenschlüssel mit diesem Namen gibt es schon." });
  }
  if (isRefusedBy(error, "CM006")) {
    const text =
      "Nach diesem Schlüssel wurden schon Noten gegeben: Seine Stufen bleiben, wie sie sind. Legen Sie für andere Stufen einen neuen an. Es wurde nichts geändert.";
    return new InputProblem({ field: "stufen", text });
  }
  return undefined;
};

async function uebersicht(
  visit: PersonVisit,
  werte: Werte,
  { errors }: FormState,
  vorgang: string = randomUUID(),
): Promise<Reply> {
  const alle = (await visit.transaction(alleSchluessel)).map(({ id, name, skala, aktiv }) => ({
    id,
    name,
    skala: skalenName[skala],
    aktiv,
  }));
  const wahl = skalen.map((wert) => ({ wert, name: skalenName[wert] }));
  return page(visit, liste, { alle, skalen: wahl, werte, vorgang }, { title: "Notenschlüssel", errors });
}

/** Steps to begin with: as far apart as they go. */
function gleichmaessig(skala: Skala): Stufe[] {
  const noten = alleNoten(skala);
  return noten.map((note, wo) => ({
    note,
    ab: new Fraction(100 * (noten.length - 1 - wo), noten.length).floor().toString(),
  }));
}

function anlegen(visit: PersonVisit): Promise<Reply> {
  const werte = { ...fieldsOf(visit.form, "name", "skala"), aktiv: true };
  const id = formNumber(visit.form);
  return submit({
    done: `/noten/schluessel/${id}?erledigt=notenschluessel`,
    once: "notenschluessel_pkey",
    problem,
    again: (state) => uebersicht(visit, werte, state, id),
    work: () => {
      const neu = checked(angaben, werte);
      return visit.transaction(async (tx) => {
        await tx.run("INSERT INTO notenschluessel (id, name, skala) VALUES ($1, $2, $3)", [id, neu.name, neu.skala]);
        await setzeStufen(tx, id, gleichmaessig(neu.skala));
        await visit.record(tx, { resource: Notenprofil, deed: "anlegen", object: id, values: { neu } });
      });
    },
  });
}

const felderVon = (skala: Skala, stufen: readonly Stufe[]): Stufenfeld[] =>
  alleNoten(skala).map((note) => {
    const ab = stufen.find((stufe) => stufe.note === note)?.ab;
    return { note, gezeigt: zeigeNote(note), ab: ab === undefined ? "" : zeigePunkte(ab) };
  });

async function schluesselseite(
  visit: PersonVisit,
  einer: Schluessel,
  werte: Werte,
  stufen: readonly Stufenfeld[],
  { errors, stale }: FormState,
): Promise<Reply> {
  const data = { schluessel: einer, skala: skalenName[einer.skala], werte, stufen };
  return page(visit, seite, data, { title: einer.name, errors, ...(stale ? { stale } : {}) });
}

/** Steps of a form: each lower mark from fewer percent than the one above it; an empty one does not exist. @throws InputProblem */
function gepruefteStufen(skala: Skala, felder: readonly Stufenfeld[]): Stufe[] {
  const stufen: Stufe[] = [];
  for (const { note, gezeigt, ab } of felder) {
    if (ab.trim() === "") continue;
    const prozent = lesePunkte(ab.replace("%", ""), "100");
    if (prozent === undefined) {
      const text = `Stufe ${gezeigt}: Bitte geben Sie Prozent von 0 bis 100 an, zum Beispiel 87,5.`;
      throw new InputProblem({ field: "stufen", text });
    }
    const davor = stufen.at(-1);
    if (davor && new Fraction(prozent).compare(new Fraction(davor.ab)) >= 0) {
      const text = `Stufe ${gezeigt}: Eine schlechtere Note beginnt bei weniger Prozent als die bessere davor (${zeigePunkte(davor.ab)} %).`;
      throw new InputProblem({ field: "stufen", text });
    }
    stufen.push({ note, ab: prozent });
  }
  const letzte = alleNoten(skala).at(-1) ?? "";
  if (stufen.at(-1)?.note !== letzte || !new Fraction(stufen.at(-1)?.ab ?? 1).equals(0)) {
    const text = `Die letzte Stufe, ${zeigeNote(letzte)}, beginnt bei 0 Prozent: Sonst gäbe es Punkte ohne Note.`;
    throw new InputProblem({ field: "stufen", text });
  }
  return stufen;
}

async function setzeStufen(tx: Transaction, id: string, stufen: readonly Stufe[]): Promise<void> {
  await tx.run("DELETE FROM notenschluesselstufe WHERE schluessel_id = $1", [id]);
  await tx.run(
    `INSERT INTO notenschluesselstufe (schluessel_id, note, ab_prozent)
     SELECT $1, x.note, x.ab FROM json_to_recordset($2::json) AS x (note text, ab numeric)`,
    [id, JSON.stringify(stufen)],
  );
}

function speichern(visit: PersonVisit, einer: Schluessel): Promise<Reply> {
  const werte = { name: visit.form.get("name") ?? "", skala: einer.skala, aktiv: visit.form.get("aktiv") === "ja" };
  const felder = felderVon(einer.skala, []).map((feld) => ({ ...feld, ab: visit.form.get(`ab${feld.note}`) ?? "" }));
  const jetzt = async () => (await visit.transaction(alleSchluessel)).find(({ id }) => id === einer.id) ?? einer;
  const inWorten = (name: string, aktiv: boolean, stufen: readonly Stufenfeld[]) => ({
    Name: name,
    Angeboten: aktiv ? "ja" : "nein",
    ...Object.fromEntries(stufen.map(({ gezeigt, ab }) => [`Stufe ${gezeigt}`, ab])),
  });
  return submit({
    done: `/noten/schluessel/${einer.id}?erledigt=notenschluessel`,
    problem,
    stale: async () => {
      const { name, aktiv, skala, stufen } = await jetzt();
      return differences(inWorten(name, aktiv, felderVon(skala, stufen)), inWorten(werte.name, werte.aktiv, felder));
    },
    again: async (state) => schluesselseite(visit, state.stale ? await jetzt() : einer, werte, felder, state),
    work: () => {
      const neu = checked(angaben, werte);
      const stufen = gepruefteStufen(einer.skala, felder);
      const gleich =
        JSON.stringify(felderVon(einer.skala, stufen)) === JSON.stringify(felderVon(einer.skala, einer.stufen));
      return visit.transaction(async (tx) => {
        unlessStale(
          await tx.run("UPDATE notenschluessel SET name = $3, aktiv = $4 WHERE id = $1 AND version = $2", [
            einer.id,
            versionOf(visit.form),
            neu.name,
            werte.aktiv,
          ]),
        );
        if (!gleich) await setzeStufen(tx, einer.id, stufen);
        const values = { alt: { name: einer.name, stufen: einer.stufen }, neu: { name: neu.name, stufen } };
        await visit.record(tx, { resource: Notenprofil, deed: "bearbeiten", object: einer.id, values });
      });
    },
  });
}
