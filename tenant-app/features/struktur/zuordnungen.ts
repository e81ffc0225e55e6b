import { randomUUID } from "node:crypto";
import { isOverlap, isRefusedBy, type Transaction } from "../../ground/database/database.ts";
import { notFound } from "../../ground/gate/refusal.ts";
import type { Resource } from "../../ground/gate/rights.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { germanDay } from "../../ground/pages/days.ts";
import { InputProblem } from "../../ground/pages/input.ts";
import { mitPerson, nachNamen, personenname } from "../personen/public.ts";
import { Einschreibung, Klasse, Unterrichtsauftrag } from "./public.ts";
import { tageVon, type Zeitraum } from "./zeitraum.ts";

/** Who belongs to a class or a course, from when to when. */

export type Art = "mitglied" | "leitung" | "auftrag" | "einschreibung";

interface Ort {
  readonly tabelle: string;
  /** Column of the class or course. */
  readonly zu: "klasse_id" | "kurs_id";
  readonly resource: Resource<string, string>;
}
const orte: Readonly<Record<Art, Ort>> = {
  mitglied: { tabelle: "klassenmitglied", zu: "klasse_id", resource: Klasse },
  leitung: { tabelle: "klassenleitung", zu: "klasse_id", resource: Klasse },
  auftrag: { tabelle: "unterrichtsauftrag", zu: "kurs_id", resource: Unterrichtsauftrag },
  einschreibung: { tabelle: "einschreibung", zu: "kurs_id", resource: Einschreibung },
};

export interface Zuordnung {
  readonly id: string;
  readonly person_id: string;
  readonly name: string;
  /** First and last day, ISO 8601. */
  readonly ab: string;
  readonly bis: string;
  /** Whether it has ended, holds today, or is to come. */
  readonly stand: "vorbei" | "jetzt" | "kommt";
  /** Whether it holds for the whole year. */
  readonly ganz: boolean;
}

/**
 * Those of a class or course, as far as the person may see them: those of today first, then those to come, then those that ended.
 * @param jahr first and last day of its year
 */
export function zuordnungen(
  tx: Transaction,
  art: Art,
  ziel: string,
  jahr: { readonly von: string; readonly bis: string },
): Promise<Zuordnung[]> {
  const { tabelle, zu } = orte[art];
  return tx.all<Zuordnung & Record<string, unknown>>(
    `SELECT z.id, z.person_id, ${personenname} AS name, ${tageVon("z.gueltig")},
            CASE WHEN z.gueltig @> (SELECT heute()) THEN 'jetzt' WHEN lower(z.gueltig) > (SELECT heute()) THEN 'kommt' ELSE 'vorbei' END AS stand,
            z.gueltig = daterange($2, $3, '[]') AS ganz
       FROM ${tabelle} z ${mitPerson("z.person_id")} WHERE z.${zu} = $1
      ORDER BY CASE WHEN z.gueltig @> (SELECT heute()) THEN 0 WHEN lower(z.gueltig) > (SELECT heute()) THEN 1 ELSE 2 END, ${nachNamen}, lower(z.gueltig)`,
    [ziel, jahr.von, jahr.bis],
  );
}

/** Most that are added at once. */
export const hoechstens = 300;

/**
 * Adds people to a class or course for a time: all of them, or none.
 * @throws InputProblem that names those who stand in the way
 */
export async function ordneZu(
  tx: Transaction,
  visit: PersonVisit,
  art: Art,
  ziel: string,
  personen: readonly string[],
  { ab, bis }: Zeitraum,
): Promise<void> {
  const { tabelle, zu, resource } = orte[art];
  // In one order for everybody, so that no two wait for each other.
  const gewaehlt = [...new Set(personen)].sort();
  if (gewaehlt.length === 0) {
    throw new InputProblem({ field: "suche", text: "Bitte wählen Sie mindestens eine Person aus." });
  }
  if (gewaehlt.length > hoechstens) {
    const text = `Sie haben ${gewaehlt.length} Personen gewählt, höchstens ${hoechstens} sind auf einmal möglich. Es wurde nichts eingetragen.`;
    throw new InputProblem({ field: "suche", text });
  }
  if ((art === "auftrag" || art === "leitung") && gewaehlt.includes(visit.person.accountId)) {
    if (!visit.may(Unterrichtsauftrag.right("eigener"), "schule")) throw eigene();
  }
  // A pupil is in one class: another one is in the way, too.
  const wo = art === "mitglied" ? "" : `AND z.${zu} = $4`;
  const imWeg = await tx.all<{ name: string }>(
    `SELECT DISTINCT ${personenname} AS name FROM ${tabelle} z ${mitPerson("z.person_id")}
      WHERE z.person_id = ANY ($1::uuid[]) AND z.gueltig && daterange($2, $3, '[]') ${wo} ORDER BY 1`,
    [gewaehlt, ab, bis, ...(art === "mitglied" ? [] : [ziel])],
  );
  if (imWeg.length > 0) {
    throw schonEingetragen(
      art,
      imWeg.map(({ name }) => name),
    );
  }
  for (const person of gewaehlt) {
    const id = randomUUID();
    await tx.run(
      `INSERT INTO ${tabelle} (id, ${zu}, person_id, gueltig) VALUES ($1, $2, $3, daterange($4, $5, '[]'))`,
      [id, ziel, person, ab, bis],
    );
    const values = { neu: { ziel, ab, bis } };
    await visit.record(tx, { resource, deed: "anlegen", object: id, person, values });
  }
}

function schonEingetragen(art: Art, namen: readonly string[]): InputProblem {
  const wo = art === "mitglied" ? "in einer Klasse" : "hier eingetragen";
  const verb = namen.length === 1 ? "ist" : "sind";
  const text = `${namen.join(", ")} ${verb} in dieser Zeit schon ${wo}. Es wurde nichts eingetragen: Beenden Sie zuerst, was sich überschneidet, oder wählen Sie andere Tage.`;
  return new InputProblem({ field: "suche", text });
}

/**
 * Changes the last day of one. What has not begun yet can be taken away instead.
 * @param bisher the last day as the form showed it
 * @param bis the last day, or nothing to take it away
 * @throws InputProblem when that is not possible, or somebody has changed it since
 */
export async function beende(
  tx: Transaction,
  visit: PersonVisit,
  art: Art,
  ziel: string,
  { id, bisher, bis }: { readonly id: string; readonly bisher: string; readonly bis: string | undefined },
): Promise<void> {
  const { tabelle, zu, resource } = orte[art];
  const found = await tx.one<{ person_id: string; ab: string; bis: string; begonnen: boolean }>(
    `SELECT z.person_id, ${tageVon("z.gueltig")}, lower(z.gueltig) < heute() AS begonnen
       FROM ${tabelle} z WHERE z.id::text = $1 AND z.${zu} = $2`,
    [id, ziel],
  );
  if (!found) {
    throw notFound();
  }
  if (found.bis !== bisher) {
    throw veraltet(found.bis);
  }
  const { person_id: person, begonnen, ...alt } = found;
  if (bis === undefined) {
    if (begonnen) {
      const text = "Was schon begonnen hat, wird beendet und nicht entfernt: So bleibt nachvollziehbar, was wann galt.";
      throw new InputProblem({ field: "zum", text });
    }
    const removed = await tx.run(`DELETE FROM ${tabelle} WHERE id = $1 AND upper(gueltig) - 1 = $2`, [id, bisher]);
    await geaendert(tx, tabelle, id, bisher, removed);
    await visit.record(tx, { resource, deed: "loeschen", object: id, person, values: { alt: { ziel, ...alt } } });
    return;
  }
  if (bis < alt.ab) {
    const text = `Der letzte Tag liegt vor dem ersten (${germanDay(alt.ab)}).`;
    throw new InputProblem({ field: "zum", text });
  }
  const sql = `UPDATE ${tabelle} SET gueltig = daterange(lower(gueltig), $2, '[]') WHERE id = $1 AND upper(gueltig) - 1 = $3`;
  await geaendert(tx, tabelle, id, bisher, await tx.run(sql, [id, bis, bisher]));
  const values = { alt: { ziel, ...alt }, neu: { ab: alt.ab, bis } };
  await visit.record(tx, { resource, deed: "bearbeiten", object: id, person, values });
}

/** Row-level security lets nobody change their own, but for those who have the right to that; else somebody was quicker. */
async function geaendert(tx: Transaction, tabelle: string, id: string, bisher: string, rows: number): Promise<void> {
  if (rows > 0) return;
  const now = await tx.one<{ bis: string }>(
    `SELECT (upper(z.gueltig) - 1)::text AS bis FROM ${tabelle} z WHERE z.id = $1`,
    [id],
  );
  throw now?.bis === bisher ? eigene() : veraltet(now?.bis);
}

function veraltet(bis: string | undefined): InputProblem {
  const jetzt =
    bis === undefined ? "Der Eintrag wurde inzwischen entfernt." : `Als letzter Tag steht jetzt ${germanDay(bis)} da.`;
  return new InputProblem({
    field: "zum",
    text: `Jemand hat das inzwischen geändert. ${jetzt} Es wurde nichts überschrieben.`,
  });
}

function eigene(): InputProblem {
  const text = "Die eigene Zuordnung kann niemand selbst eintragen oder ändern. Bitten Sie die Schulleitung darum.";
  return new InputProblem({ field: "suche", text });
}

/** What the database says about them, in words. */
export function inWorten(error: unknown): InputProblem | undefined {
  if (isOverlap(error)) {
    const text = "Jemand wurde gerade für dieselbe Zeit eingetragen. Bitte sehen Sie die Liste noch einmal an.";
    return new InputProblem({ field: "suche", text });
  }
  if (isRefusedBy(error, "CM005")) {
    const text = "Diese Tage liegen nicht ganz im Schuljahr. Es wurde nichts geändert.";
    return new InputProblem({ field: "ab", text }, { field: "zum", text });
  }
  return undefined;
}
