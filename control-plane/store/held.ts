import type { Pool } from "pg";
import type { Queryable } from "./queryable.ts";
import { inTransaction } from "./tenants.ts";

/**
 * The one way in which an attempt, or the long work that it began, writes about its school: inside a transaction that holds the
 * school's row and has found the lease to be the writer's. Functions that write take a `HeldClient`, which nothing else makes; so
 * whoever lost a lease (stopped, slow, cut off) cannot write over their successor.
 */

/** Who holds which school. */
export interface Hold {
  readonly uid: string;
  /** Of the process: attempts and long work of one school have one holder. */
  readonly holder: string;
}

declare const proven: unique symbol;
/** A client inside a transaction in which the lease holds, to its end. */
export type HeldClient = Queryable & { readonly [proven]: Hold };

/** The lease is another one's, or has run out: nothing was written. */
export class LeaseLostError extends Error {
  constructor() {
    super("the lease was lost");
    this.name = "LeaseLostError";
  }
}

/**
 * Does all of `write`, or nothing, and only while the lease holds. Short: whoever changes the school meanwhile waits.
 * @throws LeaseLostError
 */
export function whileHeld<T>(pool: Pool, hold: Hold, write: (db: HeldClient) => Promise<T>): Promise<T> {
  return inTransaction(pool, async (client) => {
    const { rowCount } = await client.query(
      "select from tenants where uid = $1 and lease_holder = $2 and lease_expires >= now() for no key update",
      [hold.uid, hold.holder],
    );
    if (rowCount !== 1) throw new LeaseLostError();
    // The one place that may say so.
    return write(client as unknown as HeldClient);
  });
}
