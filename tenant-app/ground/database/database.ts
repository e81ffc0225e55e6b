import { createHash } from "node:crypto";
import pg from "pg";
import { fairQueue, TooBusy } from "../queue.ts";

/** The database cannot be used right now (gone, restarting, pool exhausted, statement timed out). */
export class DatabaseUnavailable extends Error {
  override readonly name = "DatabaseUnavailable";
}

/** Row-level security, or a grant, refused what the gate had allowed: the right was taken meanwhile. */
export class RefusedByDatabase extends Error {
  override readonly name = "RefusedByDatabase";
}

/** Who acts in a transaction, when and for what; row-level security sees exactly this. Nobody: before login and for health checks. */
export interface Acting {
  readonly konto?: string;
  /** Hash of the session key, hexadecimal. */
  readonly sitzung?: string;
  /** The app's time. */
  readonly jetzt?: Date;
  /** Which request this is for. */
  readonly anfrage?: string;
  /** One unchanging view of everything, for reading only. */
  readonly snapshot?: true;
}

/**
 * Statements are sent as they are asked for: two that need nothing of each other's answers, asked for together, cost one journey. They
 * run in the order in which they were asked for.
 */
export interface Transaction {
  /** All rows. */
  all<Row extends pg.QueryResultRow>(sql: string, values?: readonly unknown[]): Promise<Row[]>;
  /** The first row, if there is one. */
  one<Row extends pg.QueryResultRow>(sql: string, values?: readonly unknown[]): Promise<Row | undefined>;
  /** Number of rows affected. */
  run(sql: string, values?: readonly unknown[]): Promise<number>;
}

export interface Database {
  /** Runs `work` in one transaction as `acting`. Throws DatabaseUnavailable when the database cannot be used. */
  as<T>(acting: Acting, work: (tx: Transaction) => Promise<T>): Promise<T>;
  /** One round trip; throws DatabaseUnavailable. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

export interface ConnectionSettings {
  readonly host: string;
  readonly port: number;
  readonly name: string;
  readonly user: "school_app" | "school_owner";
  readonly password: string;
  /** Upper bound of connections; an idle school keeps one. */
  readonly max?: number;
  /** Milliseconds to wait for a free or new connection. */
  readonly connectMs?: number;
  /** Milliseconds after which the server stops a statement; 0 for no limit. */
  readonly statementMs?: number;
}

/** Opens a pool. Connections are made on demand and closed when idle, so that an idle school stays small. */
export function openDatabase(settings: ConnectionSettings): Database {
  const statementMs = settings.statementMs ?? 5_000;
  const max = settings.max ?? 5;
  const pool = new pg.Pool({
    host: settings.host,
    port: settings.port,
    database: settings.name,
    user: settings.user,
    password: settings.password,
    max,
    idleTimeoutMillis: 30_000,
    connectionTimeoutMillis: settings.connectMs ?? 2_000,
    application_name: settings.user,
    options: `-c statement_timeout=${statementMs} -c lock_timeout=${statementMs} -c idle_in_transaction_session_timeout=30000 -c timezone=UTC`,
    // A server that vanished without closing the connection must not hold a request for ever.
    ...(statementMs > 0 ? { query_timeout: statementMs + 2_000 } : {}),
    keepAlive: true,
    pipeline: true,
  });
  // Of one session some connections are left to the others, and in a rush the sessions take turns: somebody who asks for many slow pages at
  // once waits for their own.
  const inTurn = fairQueue({
    running: max,
    perSource: Math.max(1, max - 2),
    waiting: 2_000,
    patienceMs: settings.connectMs ?? 2_000,
  });
  // A connection that breaks while idle is dropped by the pool; the next request opens a new one.
  pool.on("error", () => undefined);
  // And one that breaks while a transaction holds it fails that transaction's next statement; without a listener of
  // its own it would end the process.
  pool.on("connect", (client) => client.on("error", () => undefined));
  return {
    as: async (acting, work) => {
      try {
        return await inTurn({ source: acting.sitzung }, () => inTransaction(pool, acting, work));
      } catch (error) {
        throw error instanceof TooBusy ? new DatabaseUnavailable("no database connection", { cause: error }) : error;
      }
    },
    ping: async () => {
      const client = await connect(pool);
      let broken: Error | undefined;
      try {
        // The pool's own query timeout would wait longer than a probe does.
        await withDeadline(client.query("SELECT 1"), 1_500);
      } catch (error) {
        broken = asError(error);
        throw translated(error);
      } finally {
        client.release(broken);
      }
    },
    close: () => pool.end(),
  };
}

/** Carries who acts into a transaction, for row-level security and triggers. */
const frame = `SELECT set_config('classmind.konto', $1, true), set_config('classmind.sitzung', $2, true),
  set_config('classmind.jetzt', $3, true), set_config('classmind.anfrage', $4, true)`;

async function inTransaction<T>(pool: pg.Pool, acting: Acting, work: (tx: Transaction) => Promise<T>): Promise<T> {
  const client = await connect(pool);
  let broken: Error | undefined;
  const { konto = "", sitzung = "", jetzt, anfrage = "" } = acting;
  try {
    // Not waited for: what comes after them fails if they do.
    const begun = Promise.all([
      ask(client, acting.snapshot ? "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY" : "BEGIN"),
      ask(client, frame, [konto, sitzung, jetzt?.toISOString() ?? "", anfrage]),
    ]);
    begun.catch(() => undefined);
    const tx = transactionOn(client);
    const result = await work(tx).finally(() => tx.end());
    await begun;
    const { command } = await ask(client, "COMMIT");
    if (command !== "COMMIT") {
      // What a statement that failed leaves, when its failure was overlooked.
      throw new Error("the transaction was rolled back: one of its statements had failed");
    }
    return result;
  } catch (error) {
    try {
      await ask(client, "ROLLBACK");
    } catch (rollbackError) {
      broken = asError(rollbackError);
    }
    throw error;
  } finally {
    client.release(broken);
  }
}

/** Takes statements until it is ended: one that comes later would run as whoever has the connection by then. */
function transactionOn(client: pg.PoolClient): Transaction & { end(): void } {
  let ended = false;
  const within = <Row extends pg.QueryResultRow>(sql: string, values?: readonly unknown[]) => {
    if (ended) {
      throw new Error("a statement after the end of its transaction");
    }
    return ask<Row>(client, sql, values);
  };
  return {
    all: async <Row extends pg.QueryResultRow>(sql: string, values?: readonly unknown[]) =>
      (await within<Row>(sql, values)).rows,
    one: async <Row extends pg.QueryResultRow>(sql: string, values?: readonly unknown[]) =>
      (await within<Row>(sql, values)).rows[0],
    run: async (sql, values) => (await within(sql, values)).rowCount ?? 0,
    end: () => {
      ended = true;
    },
  };
}

const names = new Map<string, string>();

/** Runs a statement by its name: each connection parses it once. Throws DatabaseUnavailable, or what the database said. */
async function ask<Row extends pg.QueryResultRow>(
  client: pg.PoolClient,
  text: string,
  values: readonly unknown[] = [],
): Promise<pg.QueryResult<Row>> {
  const name = names.get(text) ?? `s${createHash("sha256").update(text).digest("hex").slice(0, 30)}`;
  names.set(text, name);
  try {
    return await client.query<Row>({ name, text, values: [...values] });
  } catch (error) {
    throw translated(error);
  }
}

async function withDeadline(query: Promise<unknown>, ms: number): Promise<void> {
  query.catch(() => undefined);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new DatabaseUnavailable("the database did not answer in time")), ms);
  });
  try {
    await Promise.race([query, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function connect(pool: pg.Pool): Promise<pg.PoolClient> {
  try {
    return await pool.connect();
  } catch (error) {
    throw new DatabaseUnavailable("no database connection", { cause: error });
  }
}

/** Errors that mean "not now" become DatabaseUnavailable; all others are passed on unchanged. */
function translated(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof DatabaseUnavailable) {
    return error;
  }
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  if (code === "42501") {
    return new RefusedByDatabase(error.message, { cause: error });
  }
  const unusable =
    /^(08|57P|53)/.test(code) ||
    // Two that waited for each other: one of them may simply come again.
    code === "40P01" ||
    code === "57014" ||
    code === "55P03" ||
    /^E(CONN|PIPE|TIMEDOUT|NOENT|HOST)/.test(code) ||
    /^(Connection terminated|Client has encountered|Query read timeout)/.test(error.message);
  return unusable ? new DatabaseUnavailable("the database did not answer", { cause: error }) : error;
}

/** True when a row could not go because others refer to it, or come because what it refers to is gone. */
export function isReferenced(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === "23503";
}

/** True when a range would overlap one that is there. */
export function isOverlap(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === "23P01";
}

/** True for what a rule of our own in the database refuses, by its code (`CM…`). */
export function isRefusedBy(error: unknown, code: `CM${string}`): boolean {
  return error instanceof pg.DatabaseError && error.code === code;
}

/** True for a violated unique constraint; with `constraint`, only for that one. */
export function isDuplicate(error: unknown, constraint?: string): boolean {
  return (
    error instanceof pg.DatabaseError &&
    error.code === "23505" &&
    (constraint === undefined || error.constraint === constraint)
  );
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
