import pg from "pg";

/** The database cannot be used right now (gone, restarting, pool exhausted, statement timed out). */
export class DatabaseUnavailable extends Error {
  override readonly name = "DatabaseUnavailable";
}

/** Who acts in a transaction; row-level security sees exactly this. Nobody: before login and for health checks. */
export interface Acting {
  readonly konto?: string;
  /** Hash of the session key, hexadecimal. */
  readonly sitzung?: string;
  /** One unchanging view of everything, for reading only. */
  readonly snapshot?: true;
}

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
  const pool = new pg.Pool({
    host: settings.host,
    port: settings.port,
    database: settings.name,
    user: settings.user,
    password: settings.password,
    max: settings.max ?? 5,
    idleTimeoutMillis: 30_000,
    connectionTimeoutMillis: settings.connectMs ?? 2_000,
    application_name: settings.user,
    options: `-c statement_timeout=${statementMs} -c lock_timeout=${statementMs} -c idle_in_transaction_session_timeout=30000 -c timezone=UTC`,
    // A server that vanished without closing the connection must not hold a request for ever.
    ...(statementMs > 0 ? { query_timeout: statementMs + 2_000 } : {}),
    keepAlive: true,
  });
  // A connection that breaks while idle is dropped by the pool; the next request opens a new one.
  pool.on("error", () => undefined);
  // And one that breaks while a transaction holds it fails that transaction's next statement; without a listener of
  // its own it would end the process.
  pool.on("connect", (client) => client.on("error", () => undefined));
  return {
    as: (acting, work) => inTransaction(pool, acting, work),
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

async function inTransaction<T>(pool: pg.Pool, acting: Acting, work: (tx: Transaction) => Promise<T>): Promise<T> {
  const client = await connect(pool);
  let broken: Error | undefined;
  try {
    await client.query(acting.snapshot ? "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY" : "BEGIN");
    await client.query("SELECT set_config('classmind.konto', $1, true), set_config('classmind.sitzung', $2, true)", [
      acting.konto ?? "",
      acting.sitzung ?? "",
    ]);
    const result = await work(transactionOn(client));
    await client.query("COMMIT");
    return result;
  } catch (error) {
    try {
      await client.query("ROLLBACK");
    } catch (rollbackError) {
      broken = asError(rollbackError);
    }
    throw translated(error);
  } finally {
    client.release(broken);
  }
}

function transactionOn(client: pg.PoolClient): Transaction {
  return {
    all: async <Row extends pg.QueryResultRow>(sql: string, values?: readonly unknown[]) =>
      (await client.query<Row>(sql, values ? [...values] : [])).rows,
    one: async <Row extends pg.QueryResultRow>(sql: string, values?: readonly unknown[]) =>
      (await client.query<Row>(sql, values ? [...values] : [])).rows[0],
    run: async (sql, values) => (await client.query(sql, values ? [...values] : [])).rowCount ?? 0,
  };
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
  const unusable =
    /^(08|57P|53)/.test(code) ||
    code === "57014" ||
    code === "55P03" ||
    /^E(CONN|PIPE|TIMEDOUT|NOENT|HOST)/.test(code) ||
    /^(Connection terminated|Client has encountered|Query read timeout)/.test(error.message);
  return unusable ? new DatabaseUnavailable("the database did not answer", { cause: error }) : error;
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
