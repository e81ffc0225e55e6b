import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { UnreadableField } from "../../ground/crypto/fields.ts";
import { type PersonalKeys, personalKeys, sealUnlessErased } from "../../ground/crypto/personal.ts";
import type { Transaction } from "../../ground/database/database.ts";
import { sealedValues } from "../../ground/journal/write.ts";
import { AdminError, type AdminTools, command } from "../../ground/operator/command.ts";
import { vermerke, zugriff } from "../betreiber/public.ts";
import { kontoZurAnmeldung } from "../konten/public.ts";
import { type Inhalt, inhalt, type Notentabelle, oeffneGenau, verschliesse } from "./inhalt.ts";
import { Note } from "./public.ts";

/**
 * The journal put to use (R30, R44, R45): what of the marks was changed, added or taken away behind the app's back, putting it right from the
 * journal, and taking back what an account did. Answers name marks and people by their ids, never a mark.
 */

const ort = z.looseObject({ kurs: z.uuid(), leistung: z.uuid().optional(), halbjahr: z.number().optional() });
type Ort = z.infer<typeof ort>;
/** An entry says where a mark stands beside what it is. */
const stand = inhalt.strip();

/** What an entry says of one mark. */
interface Eintrag {
  readonly objekt: string;
  readonly person: string;
  readonly konto: string | null;
  readonly zeit: Date;
  /** Where it stands; of what was before and after, undefined if there was none. */
  readonly ort: Ort;
  readonly alt: Inhalt | undefined;
  readonly neu: Inhalt | undefined;
}

interface Eintraege {
  /** Those that write marks, in the order of the chain. */
  readonly alle: readonly Eintrag[];
  /** Marks of whose entries some do not decrypt: somebody was erased. */
  readonly verschwiegen: ReadonlySet<string>;
}

async function eintraege(tx: Transaction, tools: AdminTools): Promise<Eintraege> {
  const rows = await tx.all<{
    id: string;
    zeit: Date;
    konto_id: string | null;
    person_id: string;
    objekt: string;
    verschlossen: Buffer;
  }>(
    `SELECT e.id, e.zeit, e.konto_id, e.person_id, e.objekt, e.verschlossen FROM journal.eintrag e JOIN journal.glied g ON g.eintrag = e.id AND g.zeit = e.zeit
      WHERE e.ressource = 'Note' AND e.person_id IS NOT NULL AND e.verschlossen IS NOT NULL ORDER BY g.nummer`,
  );
  const keys = await personalKeys(
    tx,
    tools.fieldKey,
    rows.map(({ person_id }) => person_id),
  );
  const verschwiegen = new Set<string>();
  const alle = rows.flatMap(({ id, zeit, konto_id, person_id, objekt, verschlossen }) => {
    const values = lies(keys, person_id, id, verschlossen);
    if (!values) verschwiegen.add(objekt);
    const wo = ort.safeParse(values?.neu ?? values?.alt);
    if (!values || !wo.success) return [];
    const { kurs, leistung, halbjahr } = wo.data;
    return [
      {
        objekt,
        person: person_id,
        konto: konto_id,
        zeit,
        ort: { kurs, leistung, halbjahr },
        alt: inhaltAus(values.alt),
        neu: inhaltAus(values.neu),
      },
    ];
  });
  return { alle, verschwiegen };
}

function lies(keys: PersonalKeys, person: string, id: string, verschlossen: Buffer) {
  try {
    const text = keys.open(person, sealedValues(id), verschlossen).toString("utf8");
    return z.object({ alt: z.looseObject({}).optional(), neu: z.looseObject({}).optional() }).parse(JSON.parse(text));
  } catch (error) {
    if (error instanceof UnreadableField) return undefined;
    throw error;
  }
}

function inhaltAus(values: unknown): Inhalt | undefined {
  const found = stand.safeParse(values);
  if (!found.success) return undefined;
  return Object.keys(found.data).length === 0 ? undefined : found.data;
}

interface Zeile {
  readonly id: string;
  readonly table: Notentabelle;
  readonly person_id: string;
  readonly kurs_id: string;
  readonly leistung_id: string | null;
  readonly halbjahr: number | null;
  readonly verschlossen: Buffer;
  readonly geaendert_am: Date;
}

async function zeilen(tx: Transaction): Promise<Map<string, Zeile>> {
  const rows = await tx.all<Omit<Zeile, "table"> & { table: Notentabelle }>(
    `SELECT n.id, 'note' AS table, n.person_id, n.kurs_id, n.leistung_id, NULL::int AS halbjahr, n.verschlossen, n.geaendert_am FROM note n
     UNION ALL SELECT h.id, 'halbjahresnote', h.person_id, h.kurs_id, NULL, h.halbjahr::int, h.verschlossen, h.geaendert_am FROM halbjahresnote h`,
  );
  return new Map(rows.map((row) => [row.id, row]));
}

const fund = z.strictObject({
  /** As the journal names it, whatever somebody made of that. */
  mark: z.string(),
  person: z.uuid(),
  what: z.enum(["changed", "moved", "missing", "came-back", "without-entry", "unreadable"]),
});
type Befund = z.infer<typeof fund>["what"];
interface Fund extends z.infer<typeof fund> {
  readonly letzter: Eintrag | undefined;
  /** What its cell is to hold in its stead: nothing if another mark was entered there since. */
  readonly soll: Inhalt | undefined;
}

/** Compares every mark with the last entry about it. Marks that are older than the journal are sealed with a key that no database holds. */
async function pruefe(
  tx: Transaction,
  tools: AdminTools,
): Promise<{ readonly checked: number; readonly funde: readonly Fund[] }> {
  const [{ alle, verschwiegen }, da] = [await eintraege(tx, tools), await zeilen(tx)];
  const keys = await personalKeys(
    tx,
    tools.fieldKey,
    [...da.values()].map(({ person_id }) => person_id),
  );
  const letzte = new Map(alle.map((eintrag) => [eintrag.objekt, eintrag]));
  // What was entered last in each cell: what was taken away there since, of an earlier mark, changes nothing of it.
  const jeZelle = new Map(alle.filter(({ neu }) => neu).map((eintrag) => [zelleVon(eintrag), eintrag]));
  const aeltester = alle[0]?.zeit;
  const funde: Fund[] = [];
  for (const [mark, eintrag] of letzte) {
    const zeile = da.get(mark);
    const what = befund(eintrag, zeile, keys);
    const soll = jeZelle.get(zelleVon(eintrag)) === eintrag ? eintrag.neu : undefined;
    if (what) funde.push({ mark, person: eintrag.person, what, letzter: eintrag, soll });
  }
  for (const zeile of da.values()) {
    // What an invented school begins with has no entries; nor has what is older than they are.
    const jung = aeltester !== undefined && zeile.geaendert_am > aeltester;
    if (jung && !letzte.has(zeile.id) && !verschwiegen.has(zeile.id)) {
      const { id: mark, person_id: person } = zeile;
      funde.push({ mark, person, what: "without-entry", letzter: undefined, soll: undefined });
    }
  }
  return { checked: da.size, funde };
}

function befund(eintrag: Eintrag, zeile: Zeile | undefined, keys: PersonalKeys): Befund | undefined {
  if (!zeile) return eintrag.neu === undefined ? undefined : "missing";
  if (eintrag.neu === undefined) return "came-back";
  if (!stehtDort(eintrag, zeile)) return "moved";
  const wert = oeffneGenau(keys, zeile.table, zeile);
  if (wert === undefined) return "unreadable";
  return isDeepStrictEqual(wert, eintrag.neu) ? undefined : "changed";
}

/** Whether a row is in the cell that the entry names: the same mark elsewhere is somebody else's, or of another test. */
function stehtDort({ person, ort: wo }: Eintrag, zeile: Zeile): boolean {
  const halbjahr = wo.leistung === undefined ? (wo.halbjahr ?? null) : null;
  return (
    zeile.person_id === person &&
    zeile.kurs_id === wo.kurs &&
    zeile.leistung_id === (wo.leistung ?? null) &&
    zeile.halbjahr === halbjahr
  );
}

export const verifyJournal = command({
  name: "verify-journal",
  purpose:
    "Checks the chain of the journal, and every mark against the last entry about it. Finds what was changed, added or taken away behind the app's back.",
  input: z.strictObject(zugriff),
  output: z.strictObject({
    marks: z.number().int(),
    chain: z.array(z.strictObject({ link: z.number().nullable(), what: z.string() })),
    findings: z.array(fund),
  }),
  run: async (input, tools) => {
    // First: who looks is named, whatever becomes of it.
    await tools.database.as({}, (tx) => vermerke(tx, tools.now, "Protokoll geprüft", input));
    // One view of everything: what somebody enters meanwhile is neither here nor there.
    return tools.database.as({ snapshot: true }, async (tx) => {
      const chain = await tx.all<{ link: number | null; what: string }>(
        "SELECT p.nummer::float8 AS link, p.was AS what FROM journal.pruefen() p",
      );
      const { checked, funde } = await pruefe(tx, tools);
      return { marks: checked, chain, findings: funde.map(({ mark, person, what }) => ({ mark, person, what })) };
    });
  },
});

/** Nobody enters marks between what is read and what is made of it. */
const halteNoten = (tx: Transaction) => tx.run("LOCK TABLE note, halbjahresnote IN SHARE ROW EXCLUSIVE MODE");

export const rebuildMarks = command({
  name: "rebuild-marks",
  purpose:
    "Puts marks back as the journal has them last: those that are missing, changed, unreadable or came back. What has no entry is left alone.",
  input: z.strictObject({ ...zugriff, marks: z.array(z.uuid()).max(10_000).optional() }),
  output: z.strictObject({ rebuilt: z.number().int(), left: z.array(fund) }),
  run: (input, tools) =>
    tools.database.as({}, async (tx) => {
      await halteNoten(tx);
      const { funde } = await pruefe(tx, tools);
      const gemeint = new Set(funde.filter(({ mark }) => input.marks?.includes(mark) ?? true));
      let rebuilt = 0;
      const left: Fund[] = [];
      // A set that grows while it is gone through.
      for (const einer of gemeint) {
        const { letzter, soll } = einer;
        // Without anything to put there it takes away its own row alone, and never what was entered in its cell since.
        const verdraengt = letzter && (await stelleHer(tx, tools, letzter, soll, soll !== undefined));
        if (!verdraengt) {
          left.push(einer);
          continue;
        }
        rebuilt += 1;
        // What stood in its place has one of its own: a mark that was swapped with it is not to be lost.
        for (const fund of funde) if (verdraengt.includes(fund.mark)) gemeint.add(fund);
      }
      await vermerke(tx, tools.now, `${rebuilt} Noten aus dem Protokoll wiederhergestellt`, input);
      return { rebuilt, left: left.map(({ mark, person, what }) => ({ mark, person, what })) };
    }),
});

/** Whether what it was given for is still there. */
async function hatPlatz(tx: Transaction, { ort: { leistung } }: Eintrag, wert: Inhalt | undefined): Promise<boolean> {
  if (wert === undefined || leistung === undefined) return true;
  return (await tx.one("SELECT FROM leistung l WHERE l.id = $1", [leistung])) !== undefined;
}

/**
 * Brings one mark to a state, and notes that in the journal. Undefined for somebody who was erased, and where its column is gone.
 * @param zelle whether other rows of its cell go with it
 * @returns those others
 */
async function stelleHer(
  tx: Transaction,
  tools: AdminTools,
  eintrag: Eintrag,
  wert: Inhalt | undefined,
  zelle: boolean,
): Promise<readonly string[] | undefined> {
  const { objekt, person, ort: wo } = eintrag;
  const table: Notentabelle = wo.leistung === undefined ? "halbjahresnote" : "note";
  if (!(await hatPlatz(tx, eintrag, wert))) return undefined;
  const seal = await sealUnlessErased(tx, tools.fieldKey, person, tools.now);
  if (!seal) return undefined;
  // Whatever stands in its place now: another row of the same cell, or this one.
  const same =
    table === "note" ? "leistung_id = $1 AND person_id = $2" : "kurs_id = $1 AND person_id = $2 AND halbjahr = $3";
  const key = table === "note" ? [wo.leistung, person] : [wo.kurs, person, wo.halbjahr];
  const dort = zelle ? await tx.all<{ id: string }>(`DELETE FROM ${table} t WHERE ${same} RETURNING t.id`, key) : [];
  const andere = dort.map(({ id }) => id).filter((id) => id !== objekt);
  const record = (object: string, neu: Inhalt | undefined) =>
    tools.record(tx, {
      resource: Note,
      deed: "zuruecknehmen",
      object,
      person,
      values: neu ? { neu: { ...wo, ...neu } } : { alt: { ...wo } },
    });
  for (const id of andere) await record(id, undefined);
  // Wherever it stands by now.
  await tx.run("DELETE FROM note WHERE id = $1", [objekt]);
  await tx.run("DELETE FROM halbjahresnote WHERE id = $1", [objekt]);
  if (wert) {
    const verschlossen = verschliesse(seal, table, objekt, wert);
    const [columns, values] =
      table === "note"
        ? (["leistung_id, kurs_id, person_id", [wo.leistung, wo.kurs, person]] as const)
        : (["kurs_id, halbjahr, person_id", [wo.kurs, wo.halbjahr, person]] as const);
    await tx.run(`INSERT INTO ${table} (id, verschlossen, geaendert_am, ${columns}) VALUES ($1, $2, $3, $4, $5, $6)`, [
      objekt,
      verschlossen,
      tools.now,
      ...values,
    ]);
  }
  await record(objekt, wert);
  return andere;
}

export const undoAccount = command({
  name: "undo-account",
  purpose:
    "Takes back what an account did to marks since a time: each as it was before. Without `apply` it only says what would be taken back. What others changed since is a conflict and is left alone; so is all that is not marks, which is counted.",
  input: z.strictObject({
    ...zugriff,
    username: z.string().min(1).max(100),
    since: z.iso.datetime(),
    apply: z.boolean().default(false),
  }),
  output: z.strictObject({
    applied: z.boolean(),
    marks: z.array(z.strictObject({ mark: z.uuid(), person: z.uuid() })),
    conflicts: z.array(z.strictObject({ mark: z.uuid(), person: z.uuid() })),
    others: z.record(z.string(), z.number()),
  }),
  run: (input, tools) =>
    tools.database.as({}, async (tx) => {
      const konto = await kontoZurAnmeldung(tx, input.username);
      if (!konto) {
        throw new AdminError("unknown-account", `There is no account "${input.username}" in this school`, "username");
      }
      const since = new Date(input.since);
      const { marks, conflicts } = await zurueck(tx, tools, konto.id, since, input.apply);
      const others = await tx.all<{ ressource: string; zahl: number }>(
        `SELECT e.ressource, count(*)::int AS zahl FROM journal.eintrag e
          WHERE e.konto_id = $1 AND e.zeit >= $2 AND e.aktion <> 'lesen' AND (e.ressource <> 'Note' OR e.person_id IS NULL) GROUP BY e.ressource`,
        [konto.id, since],
      );
      const was = input.apply
        ? `${marks.length} Noten zurückgenommen, die ${input.username} eingetragen hat`
        : `Nachgesehen, welche Noten ${input.username} eingetragen hat`;
      await vermerke(tx, tools.now, was, input);
      return {
        applied: input.apply,
        marks,
        conflicts,
        others: Object.fromEntries(others.map(({ ressource, zahl }) => [ressource, zahl])),
      };
    }),
});

/** A cell of a book: what stands in it may be another row each time. */
const zelleVon = ({ person, ort: { kurs, leistung, halbjahr } }: Eintrag): string =>
  `${leistung ?? `${kurs} ${halbjahr}`} ${person}`;

async function zurueck(tx: Transaction, tools: AdminTools, konto: string, since: Date, apply: boolean) {
  if (apply) await halteNoten(tx);
  const jeZelle = new Map<string, Eintrag[]>();
  for (const eintrag of (await eintraege(tx, tools)).alle) {
    const zelle = zelleVon(eintrag);
    jeZelle.set(zelle, [...(jeZelle.get(zelle) ?? []), eintrag]);
  }
  const marks: Array<{ mark: string; person: string }> = [];
  const conflicts: Array<{ mark: string; person: string }> = [];
  for (const verlauf of jeZelle.values()) {
    const erster = verlauf.findIndex((eintrag) => eintrag.konto === konto && eintrag.zeit >= since);
    const dieser = verlauf[erster];
    if (!dieser) continue;
    const { objekt: mark, person } = dieser;
    const danach = verlauf.slice(erster).some((eintrag) => eintrag.konto !== konto);
    const geht = !danach && (await hatPlatz(tx, dieser, dieser.alt));
    (geht ? marks : conflicts).push({ mark, person });
    if (geht && apply) await stelleHer(tx, tools, dieser, dieser.alt, true);
  }
  return { marks, conflicts };
}
