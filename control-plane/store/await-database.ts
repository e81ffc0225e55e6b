import type { Clock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 10_000;

/** Nobody listens there, nobody knows the name, or the server is still starting or already ending (57P03, 57P01). */
const ABSENT = new Set([
  "ENOTFOUND",
  "EAI_AGAIN",
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ETIMEDOUT",
  "57P03",
  "57P01",
]);

function isAbsent(error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false;
  const code = "code" in error ? String(error.code) : "";
  // `pg` gives this one no code.
  return ABSENT.has(code) || messageOf(error).includes("timeout");
}

/**
 * Waits for a database that is only just coming up, beside us or on another node; whoever watches over this process sees that it is
 * not ready. A database that answers and refuses us is not waited for.
 */
export async function awaitDatabase(
  pool: { query(sql: string): Promise<unknown> },
  clock: Clock,
  log: Log,
): Promise<void> {
  for (let pause = FIRST_PAUSE; ; pause = Math.min(LONGEST_PAUSE, pause * 2)) {
    try {
      await pool.query("select 1");
      return;
    } catch (error) {
      if (!isAbsent(error)) throw error;
      log.warn({ error: messageOf(error) }, "the database does not answer yet");
      await clock.sleep(pause);
    }
  }
}
