import type { KeyObject } from "node:crypto";
import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { App } from "../app.ts";
import { seal } from "../crypto/fields.ts";
import { type PersonalKeys, personalKeys, sealFor, sealUnlessErased } from "../crypto/personal.ts";
import { isDuplicate, type Transaction } from "../database/database.ts";
import type { PersonVisit } from "../gate/visit.ts";
import { InputProblem } from "../pages/input.ts";
import { forgetOlder } from "./forget.ts";
import type { WorkKind, WorkResult } from "./kind.ts";

/** Orders for work in the background, as rows: given, looked at, called off. */

const orderPlace = (id: string) => ({ table: "hintergrundarbeit", column: "auftrag", row: id });
const resultPlace = (id: string) => ({ table: "hintergrundarbeit", column: "ergebnis", row: id });
const resultSchema = z.object({ text: z.string(), href: z.string().startsWith("/").optional() });

/** Nobody has more at once: one person does not take everybody's turn. */
const mostAtOnce = 3;

/**
 * Gives an order, from a form; it is begun at once. Yields where to see how far it is.
 * @param id of the form (`formNumber`): sent twice, it is ordered once
 * @throws InputProblem, of no field, when too much is ordered already
 */
export async function orderWork<Order>(
  visit: PersonVisit,
  kind: WorkKind<Order>,
  id: string,
  what: NoInfer<Order>,
): Promise<string> {
  const { app, person, now } = visit;
  await visit
    .transaction(async (tx) => {
      // Two forms at once are counted one after the other.
      await tx.run("SELECT pg_advisory_xact_lock(7284021, hashtext($1))", [person.accountId]);
      const row = await tx.one<{ open: number }>(
        "SELECT count(*)::int AS open FROM hintergrundarbeit WHERE person_id = $1 AND beendet_am IS NULL AND id <> $2",
        [person.accountId, id],
      );
      if ((row?.open ?? 0) >= mostAtOnce) {
        const text = `Es laufen schon ${mostAtOnce} Arbeiten für Sie. Warten Sie, bis eine davon fertig ist, oder brechen Sie eine ab.`;
        throw new InputProblem({ field: "", text });
      }
      const seal = await sealFor(tx, app.fieldKey, person.accountId, now);
      await tx.run(
        "INSERT INTO hintergrundarbeit (id, art, person_id, auftrag, angelegt_am) VALUES ($1, $2, $3, $4, $5)",
        [id, kind.name, person.accountId, seal(orderPlace(id), JSON.stringify(what)), now],
      );
    })
    .catch((error: unknown) => {
      if (!isDuplicate(error, "hintergrundarbeit_pkey")) throw error;
    });
  app.wakeWorker();
  return `/arbeiten/${id}`;
}

/** Gives an order of the school itself; it is begun at once. False if there is one of this kind already. */
export async function orderForSchool(app: App, kind: Pick<WorkKind, "name">): Promise<boolean> {
  const id = randomUUID();
  const row = await app.database.as({}, (tx) =>
    tx.one<{ neu: boolean }>("SELECT arbeit_der_schule($1, $2, $3, $4) AS neu", [
      id,
      kind.name,
      seal(app.fieldKey, orderPlace(id), "{}"),
      app.now(),
    ]),
  );
  app.wakeWorker();
  return row?.neu === true;
}

/** Opens what an order says. Throws UnreadableField. */
export function openOrder(keys: PersonalKeys, id: string, person: string | null, sealed: Buffer): unknown {
  return JSON.parse(keys.open(person ?? "", orderPlace(id), sealed).toString("utf8"));
}

/** Seals what came of it; null for somebody who was erased meanwhile, and for the school's own work. */
export async function sealResult(
  tx: Transaction,
  { fieldKey, now }: { readonly fieldKey: KeyObject; readonly now: Date },
  { id, person }: { readonly id: string; readonly person: string | null },
  result: WorkResult,
): Promise<Buffer | null> {
  if (person === null) {
    return null;
  }
  const sealPersonal = await sealUnlessErased(tx, fieldKey, person, now);
  return sealPersonal?.(resultPlace(id), JSON.stringify(result)) ?? null;
}

/** How an order ended. */
export type Outcome = "fertig" | "abgelehnt" | "abgebrochen" | "gescheitert";

export interface Order {
  readonly id: string;
  readonly kind: string;
  readonly ordered: Date;
  readonly done: number;
  /** Undefined as long as it is not known. */
  readonly total: number | undefined;
  readonly ended: Date | undefined;
  readonly outcome: Outcome | undefined;
  /** Attempts that failed since the last step that did not. */
  readonly attempts: number;
  readonly result: WorkResult | undefined;
}

interface Row {
  readonly id: string;
  readonly art: string;
  readonly angelegt_am: Date;
  readonly erledigt: number;
  readonly gesamt: number | null;
  readonly beendet_am: Date | null;
  readonly ausgang: Outcome | null;
  readonly versuche: number;
  readonly ergebnis: Buffer | null;
}

/** The acting person's orders, the newest first, 50 at most; or the one with this id. */
export async function ownOrders(tx: Transaction, visit: PersonVisit, id?: string): Promise<readonly Order[]> {
  const { accountId } = visit.person;
  const rows = await tx.all<Row & Record<string, unknown>>(
    `SELECT id, art, angelegt_am, erledigt, gesamt, beendet_am, ausgang, versuche, ergebnis FROM hintergrundarbeit
      WHERE person_id = $1 AND ($2::uuid IS NULL OR id = $2) ORDER BY angelegt_am DESC, id DESC LIMIT 50`,
    [accountId, id ?? null],
  );
  const keys = await personalKeys(tx, visit.app.fieldKey, rows.some(({ ergebnis }) => ergebnis) ? [accountId] : []);
  return rows.map((row) => ({
    id: row.id,
    kind: row.art,
    ordered: row.angelegt_am,
    done: row.erledigt,
    total: row.gesamt ?? undefined,
    ended: row.beendet_am ?? undefined,
    outcome: row.ausgang ?? undefined,
    attempts: row.versuche,
    result: row.ergebnis ? resultOf(keys, row.id, accountId, row.ergebnis) : undefined,
  }));
}

function resultOf(keys: PersonalKeys, id: string, person: string, sealed: Buffer): WorkResult | undefined {
  const { href, ...rest } = resultSchema.parse(JSON.parse(keys.open(person, resultPlace(id), sealed).toString("utf8")));
  return href === undefined ? rest : { ...rest, href };
}

/** Calls an order of the acting person off: the step that runs is finished, and no other begun. False if it was over. */
export async function callOff(tx: Transaction, id: string, now: Date): Promise<boolean> {
  const changed = await tx.run(
    "UPDATE hintergrundarbeit SET beendet_am = $2, ausgang = 'abgebrochen' WHERE id = $1 AND beendet_am IS NULL",
    [id, now],
  );
  return changed > 0;
}

/** Orders that were over for so long are forgotten, with what came of them; milliseconds. */
const keptMs = 30 * 24 * 60 * 60 * 1000;

/** Forgets what is long over; returns how many. */
export const clearOrders = (app: App): Promise<number> => forgetOlder(app, "arbeiten_abraeumen", keptMs);
