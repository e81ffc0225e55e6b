import { join } from "node:path";
import pg from "pg";
import { connectionOf } from "../config.ts";
import { appendAudit } from "../store/audit.ts";
import { createToken, putOperator } from "../store/operators.ts";
import type { Instance } from "./instance.ts";
import { layoutOf } from "./layout.ts";

const DAYS = 90;

/**
 * Makes the operator at the keyboard and a token for them, past the API: whoever is root here could do anything anyway, and
 * before the first operator nobody can ask the API. Recorded in the audit like every other.
 * @returns the token's text
 */
export async function createFirstOperator(instance: Instance, name: string): Promise<string> {
  const layout = layoutOf(instance);
  const user = "controlplane_reconciler";
  const config = {
    host: layout.databaseSocketDir,
    port: 5432,
    name: "controlplane",
    user,
    passwordFile: join(layout.secretsDir, user),
  };
  const pool = new pg.Pool({ ...connectionOf(config), max: 1 });
  const db = await pool.connect();
  try {
    await db.query("begin");
    await putOperator(db, name, undefined);
    const made = await createToken(db, name, `root on this machine`, new Date(Date.now() + DAYS * 86_400_000));
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
    await pool.end();
  }
}
