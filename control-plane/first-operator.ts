import pg from "pg";
import { connectionOf, type DatabaseConfig } from "./config.ts";
import { appendAudit } from "./store/audit.ts";
import { createToken, putOperator } from "./store/operators.ts";

const DAYS = 90;

/**
 * Makes an operator and a token for them past the API: before the first operator nobody can ask it, and whoever may call this
 * could do anything anyway. Recorded in the audit like every other.
 * @param database as the reconciler's role, which owns the store
 * @param label what the token is called in lists, e.g. "root on this machine"
 * @returns the token's text; it expires after 90 days
 */
export async function createFirstOperator(database: DatabaseConfig, name: string, label: string): Promise<string> {
  const pool = new pg.Pool({ ...connectionOf(database), max: 1 });
  try {
    const db = await pool.connect();
    try {
      await db.query("begin");
      await putOperator(db, name, undefined);
      const made = await createToken(db, name, label, new Date(Date.now() + DAYS * 86_400_000));
      const event = {
        operator: name,
        token: made.info.id,
        source: "local",
        action: "operator.local-token",
        slug: undefined,
        tenantUid: undefined,
        reason: undefined,
        detail: { name },
      };
      await appendAudit(db, event, new Date());
      await db.query("commit");
      return made.token;
    } finally {
      db.release();
    }
  } finally {
    await pool.end();
  }
}
