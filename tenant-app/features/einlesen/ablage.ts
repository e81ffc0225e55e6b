import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { App } from "../../ground/app.ts";
import { type PersonalKeys, personalKeys, sealFor } from "../../ground/crypto/personal.ts";
import type { Transaction } from "../../ground/database/database.ts";
import { InputProblem } from "../../ground/pages/input.ts";
import { StaleForm } from "../../ground/pages/stale.ts";
import { forgetOlder } from "../../ground/work/forget.ts";
import type { Einstellungen, Entscheidungen } from "./einstellungen.ts";
import { type Format, formate, type Quelldatei } from "./erkennen.ts";
import type { Spalten } from "./formate/liste.ts";

/** What was uploaded and waits: sealed with the key of whoever uploaded it, a day at most. */

/** Of one file, and of all together, unpacked; bytes. */
export const groessteDatei = 10 * 1024 * 1024;
export const groessteEinlesung = 20 * 1024 * 1024;
export const meisteDateien = 20;
/** What nobody confirmed goes after so many milliseconds. */
const bleibtMs = 24 * 60 * 60 * 1000;

const spalte = z.number().int().min(0).max(1_000).optional();
const spaltenform = z.object({
  art: z.enum(["schueler", "lehrkraft"]),
  nachname: spalte,
  vorname: spalte,
  geburt: spalte,
  klasse: spalte,
  kennung: spalte,
  email: spalte,
  kuerzel: spalte,
  kurs: spalte,
  fach: spalte,
  lehrkraft: spalte,
});
const kopfform = z.object({ name: z.string(), format: z.enum(formate), spalten: spaltenform.optional() });
const angabenform = z.object({
  einstellungen: z
    .object({ jahr: z.string(), ab: z.string(), konten: z.boolean(), klassenkurse: z.boolean() })
    .optional(),
  entscheidungen: z.record(z.string(), z.string()),
});

export interface Dateikopf {
  readonly id: string;
  readonly groesse: number;
  readonly name: string;
  readonly format: Format;
  readonly spalten: Spalten | undefined;
}

export interface Einlesung {
  readonly id: string;
  readonly begonnen_am: Date;
  readonly version: number;
  readonly einstellungen: Einstellungen | undefined;
  readonly entscheidungen: Entscheidungen;
  readonly dateien: readonly Dateikopf[];
}

const ort = (table: string, column: string) => (row: string) => ({ table, column, row });
const angabenOrt = ort("einlesung", "angaben");
const kopfOrt = ort("einlesung_datei", "kopf");
const inhaltOrt = ort("einlesung_datei", "inhalt");

interface Wer {
  readonly app: Pick<App, "fieldKey">;
  readonly ich: string;
}

function gelesen(keys: PersonalKeys, ich: string, place: ReturnType<typeof angabenOrt>, sealed: Buffer): unknown {
  return JSON.parse(keys.open(ich, place, sealed).toString("utf8"));
}

/** The acting person's open Einlesung, without the contents of its files. */
export async function offeneEinlesung(tx: Transaction, { app, ich }: Wer): Promise<Einlesung | undefined> {
  const row = await tx.one<{ id: string; angaben: Buffer; begonnen_am: Date; version: number }>(
    "SELECT e.id, e.angaben, e.begonnen_am, e.version FROM einlesung e WHERE e.person_id = $1",
    [ich],
  );
  if (row === undefined) return undefined;
  const { id, angaben, begonnen_am, version } = row;
  const keys = await personalKeys(tx, app.fieldKey, [ich]);
  const dateien = await tx.all<{ id: string; groesse: number; kopf: Buffer }>(
    "SELECT d.id, d.groesse, d.kopf FROM einlesung_datei d WHERE d.einlesung_id = $1 ORDER BY d.nummer",
    [id],
  );
  const { einstellungen, entscheidungen } = angabenform.parse(gelesen(keys, ich, angabenOrt(id), angaben));
  return {
    id,
    begonnen_am,
    version,
    einstellungen,
    entscheidungen,
    dateien: dateien.map(({ id: datei, groesse, kopf }) => {
      const { name, format, spalten } = kopfform.parse(gelesen(keys, ich, kopfOrt(datei), kopf));
      return { id: datei, groesse, name, format, spalten };
    }),
  };
}

/** The files of an Einlesung with their contents. */
export async function mitInhalt(
  tx: Transaction,
  { app, ich }: Wer,
  einlesung: Einlesung,
): Promise<readonly (Quelldatei & { readonly id: string })[]> {
  const keys = await personalKeys(tx, app.fieldKey, [ich]);
  const rows = await tx.all<{ id: string; inhalt: Buffer }>(
    "SELECT d.id, d.inhalt FROM einlesung_datei d WHERE d.einlesung_id = $1",
    [einlesung.id],
  );
  const inhalte = new Map(rows.map(({ id, inhalt }) => [id, inhalt]));
  return einlesung.dateien.flatMap(({ id, name, format, spalten }) => {
    const inhalt = inhalte.get(id);
    return inhalt === undefined ? [] : [{ id, name, format, spalten, inhalt: keys.open(ich, inhaltOrt(id), inhalt) }];
  });
}

/**
 * Adds files to the acting person's Einlesung, which is begun with the first.
 * @throws InputProblem when they are too many or too large together
 */
export async function legeAb(
  tx: Transaction,
  { app, ich }: Wer,
  now: Date,
  neue: readonly Quelldatei[],
): Promise<void> {
  const seal = await sealFor(tx, app.fieldKey, ich, now);
  const neueId = randomUUID();
  await tx.run(
    "INSERT INTO einlesung (id, person_id, angaben, begonnen_am) VALUES ($1, $2, $3, $4) ON CONFLICT (person_id) DO NOTHING",
    [neueId, ich, seal(angabenOrt(neueId), JSON.stringify({ entscheidungen: {} })), now],
  );
  // Two uploads at once are counted one after the other.
  const einlesung = await tx.one<{ id: string }>("SELECT e.id FROM einlesung e WHERE e.person_id = $1 FOR UPDATE", [
    ich,
  ]);
  if (einlesung === undefined)
    throw new InputProblem({
      field: "datei",
      text: "Die Dateien wurden inzwischen verworfen. Bitte laden Sie sie neu hoch.",
    });
  const bisher = await tx.one<{ zahl: number; groesse: number; nummer: number }>(
    "SELECT count(*)::int AS zahl, coalesce(sum(d.groesse), 0)::int AS groesse, coalesce(max(d.nummer), 0) AS nummer FROM einlesung_datei d WHERE d.einlesung_id = $1",
    [einlesung.id],
  );
  const { zahl = 0, groesse = 0, nummer = 0 } = bisher ?? {};
  const dazu = neue.reduce((summe, { inhalt }) => summe + inhalt.length, 0);
  if (zahl + neue.length > meisteDateien || groesse + dazu > groessteEinlesung) {
    const text = `Zusammen sind höchstens ${meisteDateien} Dateien mit ${groessteEinlesung / 1024 / 1024} MB möglich. Es wurde nichts hinzugefügt: Entfernen Sie zuerst andere.`;
    throw new InputProblem({ field: "datei", text });
  }
  for (const [index, { name, format, spalten, inhalt }] of neue.entries()) {
    const id = randomUUID();
    await tx.run(
      "INSERT INTO einlesung_datei (id, einlesung_id, nummer, groesse, kopf, inhalt) VALUES ($1, $2, $3, $4, $5, $6)",
      [
        id,
        einlesung.id,
        nummer + 1 + index,
        inhalt.length,
        seal(kopfOrt(id), JSON.stringify({ name, format, spalten })),
        seal(inhaltOrt(id), Buffer.from(inhalt)),
      ],
    );
  }
}

/** Changes what a file is taken for. */
export async function beschreibeDatei(
  tx: Transaction,
  { app, ich }: Wer,
  now: Date,
  { id, name, format, spalten }: Omit<Dateikopf, "groesse">,
): Promise<void> {
  const seal = await sealFor(tx, app.fieldKey, ich, now);
  await tx.run("UPDATE einlesung_datei SET kopf = $2 WHERE id = $1", [
    id,
    seal(kopfOrt(id), JSON.stringify({ name, format, spalten })),
  ]);
}

/** Takes one file away; with the last one the Einlesung goes. */
export async function entferneDatei(tx: Transaction, einlesung: Einlesung, datei: string): Promise<void> {
  await tx.run("DELETE FROM einlesung_datei WHERE id::text = $1 AND einlesung_id = $2", [datei, einlesung.id]);
  await tx.run(
    "DELETE FROM einlesung WHERE id = $1 AND NOT EXISTS (SELECT FROM einlesung_datei d WHERE d.einlesung_id = $1)",
    [einlesung.id],
  );
}

/**
 * Keeps settings and decisions.
 * @param version that they were made from
 * @throws StaleForm when another tab was quicker
 */
export async function merkeAngaben(
  tx: Transaction,
  { app, ich }: Wer,
  now: Date,
  {
    id,
    version,
    einstellungen,
    entscheidungen,
  }: Pick<Einlesung, "id" | "version" | "einstellungen" | "entscheidungen">,
): Promise<void> {
  const seal = await sealFor(tx, app.fieldKey, ich, now);
  const changed = await tx.run(
    "UPDATE einlesung SET angaben = $3, version = version + 1 WHERE id = $1 AND version = $2",
    [id, version, seal(angabenOrt(id), JSON.stringify({ einstellungen, entscheidungen }))],
  );
  if (changed === 0) throw new StaleForm();
}

/** Discards an Einlesung with its files. False if it was gone. */
export async function verwirf(tx: Transaction, id: string): Promise<boolean> {
  return (await tx.run("DELETE FROM einlesung WHERE id = $1", [id])) > 0;
}

/** Once a day: what nobody confirmed goes. */
export async function raeumeAb(app: App): Promise<Record<string, number>> {
  const einlesungen = await forgetOlder(app, "einlesungen_abraeumen", bleibtMs);
  return einlesungen > 0 ? { einlesungen } : {};
}
