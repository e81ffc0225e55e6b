import type { App } from "../app.ts";
import { personalKeys } from "../crypto/personal.ts";
import { DatabaseUnavailable, RefusedByDatabase, type Transaction } from "../database/database.ts";
import { writeJournal, writeJournalAll } from "../journal/write.ts";
import { InputProblem } from "../pages/input.ts";
import { type RegisteredKind, type StepOutcome, WorkRefused, type WorkResult } from "./kind.ts";
import { type Outcome, openOrder, sealResult } from "./orders.ts";

/**
 * Does what was ordered, one step at a time, whoever waited longest first. Each step is a transaction that holds the order's row: two
 * processes never do the same step, and one that is killed gives it back with its connection. Nothing is asked while nothing is ordered.
 */
export interface Worker {
  /** Something was ordered. */
  wake(): void;
  /** Begins no other step; resolves when the running one has ended. */
  stop(): Promise<void>;
}

/** So often a step is begun in vain before the work is given up. */
const mostAttempts = 5;
/** The process before this one may leave something behind that it still had when this one looked first; it has gone by then. */
const lookAgainMs = 60_000;
const longestPauseMs = 10 * 60_000;

interface Taken {
  readonly id: string;
  readonly art: string;
  readonly stand: string;
  readonly versuche: number;
}

interface Begun {
  readonly person_id: string | null;
  readonly auftrag: Buffer;
  readonly erledigt: number;
  readonly gesamt: number | null;
  readonly handelt: boolean;
}

/** Starts it: it looks at once for what an earlier process left. */
export function startWorker(app: App, kinds: ReadonlyMap<string, RegisteredKind>): Worker {
  let stopped = false;
  let asked = false;
  let running: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;

  const later = (ms: number) => {
    clearTimeout(timer);
    timer = setTimeout(wake, Math.min(Math.max(ms, 50), longestPauseMs));
    timer.unref();
  };
  async function run(): Promise<void> {
    while (asked && !stopped) {
      asked = false;
      try {
        while (!stopped && (await workOnce(app, kinds)));
        const next = stopped ? undefined : await waitingSince(app, kinds);
        // What is due and was not to be had is in somebody else's hands.
        if (next) later(Math.max(next.getTime() - app.now().getTime(), 5_000));
      } catch (error) {
        app.log.warn({ error: nameOf(error) }, "background work could not be looked for");
        later(5_000);
      }
    }
  }
  function wake(): void {
    if (stopped || kinds.size === 0) return;
    asked = true;
    running ??= run().finally(() => {
      running = undefined;
      if (asked) wake();
    });
  }
  const again = setTimeout(wake, lookAgainMs);
  again.unref();
  wake();
  return {
    wake,
    stop: async () => {
      stopped = true;
      clearTimeout(timer);
      clearTimeout(again);
      await running;
    },
  };
}

/** Takes one order and does one step of it; false if there is none. A step that fails is logged and tried again later. */
async function workOnce(app: App, kinds: ReadonlyMap<string, RegisteredKind>): Promise<boolean> {
  const names = [...kinds.keys()];
  const taken = await app.database.as({}, (tx) =>
    tx.one<Taken & Record<string, unknown>>("SELECT * FROM arbeit_nehmen($1, $2)", [names, app.now()]),
  );
  const kind = kinds.get(taken?.art ?? "");
  if (taken === undefined || kind === undefined) {
    return false;
  }
  const about = { work: taken.id, kind: kind.name };
  try {
    await inStep(app, taken, async (tx, begun) => {
      if (taken.versuche > mostAttempts) {
        app.log.error(about, "background work was given up");
        return end("gescheitert", "Dabei ist mehrmals ein Fehler aufgetreten. Was bis dahin getan war, gilt.");
      }
      return attempt(app, kind, taken, begun, tx);
    });
  } catch (error) {
    const refused = refusalOf(error);
    if (refused !== undefined) {
      // Its step left nothing behind; that it is over is said in a transaction of its own.
      await inStep(app, taken, async () => ({ outcome: "abgelehnt", ...refused }));
    } else if (error instanceof DatabaseUnavailable) {
      throw error;
    } else {
      app.log.warn({ ...about, error: nameOf(error), attempt: taken.versuche }, "a step of background work failed");
    }
  }
  return true;
}

/** Why work cannot go on, in words, if that is nothing that another attempt would change. */
function refusalOf(error: unknown): WorkResult | undefined {
  if (error instanceof InputProblem) {
    return { text: error.errors.map(({ text }) => text).join(" ") };
  }
  if (error instanceof RefusedByDatabase) {
    return { text: rightGone };
  }
  if (error instanceof WorkRefused) {
    return { text: error.message, ...(error.href === undefined ? {} : { href: error.href }) };
  }
  return undefined;
}

const rightGone = "Dafür fehlt Ihnen inzwischen das Recht. Was bis dahin getan war, gilt.";
type Ending = { readonly outcome: Outcome; readonly text: string; readonly href?: string; readonly done?: number };
const end = (outcome: Outcome, text: string): Ending => ({ outcome, text });

/** One transaction of an order: holds its row, lets `work` do something, keeps what that says. Nothing happens if the order has gone on. */
async function inStep(
  app: App,
  { id, stand }: Taken,
  work: (tx: Transaction, begun: Begun) => Promise<Ending | Extract<StepOutcome, { cursor: string }>>,
): Promise<void> {
  const now = app.now();
  await app.database.as({ jetzt: now, anfrage: id }, async (tx) => {
    const begun = await tx.one<Begun & Record<string, unknown>>("SELECT * FROM arbeit_schritt($1, $2)", [id, stand]);
    if (begun === undefined) {
      return;
    }
    const said = await work(tx, begun);
    const keep = (cursor: string, done: number, total: number | null, outcome: Outcome | null, result: Buffer | null) =>
      tx.run("SELECT arbeit_weiter($1, $2, $3, $4, $5, $6)", [cursor, done, total, outcome, result, now]);
    if ("cursor" in said) {
      await keep(said.cursor, said.done, said.total ?? null, null, null);
      return;
    }
    const { outcome, done = begun.erledigt, ...result } = said;
    const sealed = await sealResult(tx, { fieldKey: app.fieldKey, now }, { id, person: begun.person_id }, result);
    await keep(stand, done, outcome === "fertig" ? done : begun.gesamt, outcome, sealed);
  });
}

async function attempt(
  app: App,
  kind: RegisteredKind,
  { id, stand }: Taken,
  { person_id, auftrag, erledigt, handelt }: Begun,
  tx: Transaction,
): Promise<Ending | Extract<StepOutcome, { cursor: string }>> {
  if (!handelt) {
    return end("abgelehnt", "Das Konto, von dem der Auftrag kam, ist gesperrt oder gelöscht.");
  }
  if (!(await stillMay(tx, kind, person_id))) {
    return end("abgelehnt", rightGone);
  }
  const now = app.now();
  const keys = await personalKeys(tx, app.fieldKey, person_id === null ? [] : [person_id]);
  const outcome = await kind.run(
    {
      app,
      tx,
      now,
      accountId: person_id ?? undefined,
      cursor: stand,
      done: erledigt,
      record: (entry) => writeJournal(tx, { fieldKey: app.fieldKey, now, by: person_id ?? undefined }, entry),
      recordAll: (entries) => writeJournalAll(tx, { fieldKey: app.fieldKey, now, by: person_id ?? undefined }, entries),
    },
    openOrder(keys, id, person_id, auftrag),
  );
  if ("cursor" in outcome && outcome.cursor === stand) {
    // It would be begun again for ever; and whether somebody else has done a step shows by this.
    throw new Error(`${kind.name}: a step did not say where to go on`);
  }
  return "cursor" in outcome ? outcome : { outcome: "fertig", ...outcome.finished, done: outcome.done };
}

/** The rights of now, as the database knows them. */
async function stillMay(tx: Transaction, { policy }: RegisteredKind, person: string | null): Promise<boolean> {
  if (person === null || policy === undefined) {
    return person === null;
  }
  const row = await tx.one<{ scopes: string[] }>("SELECT meine_umfaenge($1, $2) AS scopes", [
    policy.right.resource,
    policy.right.action,
  ]);
  const scopes = row?.scopes ?? [];
  return policy.scope === undefined ? scopes.length > 0 : scopes.includes(policy.scope);
}

async function waitingSince(app: App, kinds: ReadonlyMap<string, RegisteredKind>): Promise<Date | undefined> {
  const row = await app.database.as({}, (tx) =>
    tx.one<{ wann: Date | null }>("SELECT arbeit_wartet($1) AS wann", [[...kinds.keys()]]),
  );
  return row?.wann ?? undefined;
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : "unknown";
}
