import { connect } from "node:net";

/**
 * What a PostgreSQL says to somebody who would log in. The same three answers as libpq's PQping, on which pg_isready is built:
 * `accepts` takes logins, `refuses` lives but takes none (it starts, recovers or stops), `silent` does not answer.
 */
export interface PostgresAnswer {
  readonly kind: "accepts" | "refuses" | "silent";
  /** Its own words, or what was waited for in vain. */
  readonly words: string;
}

/** "Cannot connect now": the server starts, recovers or shuts down. */
const CANNOT_CONNECT_NOW = "57P03";
const PROTOCOL_3_0 = 3 << 16;
/** An error message is longer and shorter than these, or it is one in the form of protocol 2, which has no code (as libpq takes it). */
const SHORTEST_ERROR = 8;
const LONGEST_ERROR = 30_000;

/** StartupMessage (PostgreSQL's documentation, "Message Formats"). The name stands for nobody: nothing is ever proved by it. */
function startupMessage(): Buffer {
  const parameters = ["user", "classmind_probe", "database", "classmind_probe", "application_name", "classmind probe"];
  const body = Buffer.from(`${parameters.map((text) => `${text}\0`).join("")}\0`);
  const head = Buffer.alloc(8);
  head.writeInt32BE(head.length + body.length, 0);
  head.writeInt32BE(PROTOCOL_3_0, 4);
  return Buffer.concat([head, body]);
}

/** Fields of an ErrorResponse by their letter: C is the SQLSTATE, M the message. */
function errorFields(body: Buffer): ReadonlyMap<string, string> {
  return new Map(
    body
      .toString("utf8")
      .split("\0")
      .filter((field) => field !== "")
      .map((field) => [field.slice(0, 1), field.slice(1)]),
  );
}

/** An ErrorResponse; undefined while it is not whole. */
function readError(received: Buffer, ended: boolean): PostgresAnswer | undefined {
  const length = received.readInt32BE(1);
  if (length < SHORTEST_ERROR || length > LONGEST_ERROR) {
    // What the postmaster itself can say when it cannot start a process for the connection: a line without a code.
    const words = received.toString("utf8", 1).split(/[\0\n]/)[0] ?? "";
    return ended ? { kind: "silent", words: words.trim() } : undefined;
  }
  if (received.length <= length) return ended ? { kind: "silent", words: "its answer broke off" } : undefined;
  const fields = errorFields(received.subarray(5, length + 1));
  const words = fields.get("M") ?? "it gave no reason";
  const code = fields.get("C") ?? "";
  if (code === CANNOT_CONNECT_NOW) return { kind: "refuses", words };
  // With any other code it is up and judges who may come in; what it thinks of us is no matter.
  return { kind: code.length === 5 ? "accepts" : "silent", words };
}

/**
 * What the first message of a server means; undefined while it is not whole. Pure.
 * @param ended whether nothing more will come
 */
export function readAnswer(received: Buffer, ended: boolean): PostgresAnswer | undefined {
  const type = received.toString("latin1", 0, 1);
  if (received.length >= 5) {
    if (type === "E") return readError(received, ended);
    // AuthenticationRequest, whatever it asks for: somebody took the connection and read the access rules.
    if (type === "R") return { kind: "accepts", words: "it takes logins" };
    return { kind: "silent", words: "it does not speak PostgreSQL's protocol" };
  }
  return ended ? { kind: "silent", words: "it closed the connection without an answer" } : undefined;
}

/**
 * Asks a PostgreSQL whether it takes logins, without logging in.
 * @param timeout milliseconds for all of it
 */
export function pingPostgres(host: string, port: number, timeout: number): Promise<PostgresAnswer> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    let received = Buffer.alloc(0);
    const settle = (answer: PostgresAnswer) => {
      clearTimeout(limit);
      // All it sent is read: closing resets nothing, and the server notes nothing in its log.
      socket.destroy();
      resolve(answer);
    };
    const limit = setTimeout(() => settle({ kind: "silent", words: `no answer within ${timeout / 1000} s` }), timeout);
    const look = (ended: boolean) => {
      const answer = readAnswer(received, ended);
      if (answer !== undefined) settle(answer);
    };
    socket
      .on("connect", () => socket.write(startupMessage()))
      .on("data", (chunk: Buffer) => {
        received = Buffer.concat([received, chunk]);
        look(false);
      })
      .on("end", () => look(true))
      .on("error", (error: NodeJS.ErrnoException) => {
        if (received.length > 0) look(true);
        else settle({ kind: "silent", words: `no connection (${error.code ?? error.message})` });
      });
  });
}
