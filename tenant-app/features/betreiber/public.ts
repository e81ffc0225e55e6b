import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { Transaction } from "../../ground/database/database.ts";

/** What every command wants that reaches into a school by hand: why, and who asks for it (R48). */
export const zugriff = {
  reason: z.string().trim().min(3, "Give the reason in words").max(500),
  by: z.string().trim().min(1).max(100),
};

/** Notes an access for the school to see, in the transaction that makes it: neither is there without the other. */
export async function vermerke(
  tx: Transaction,
  now: Date,
  was: string,
  { reason, by }: { readonly reason: string; readonly by: string },
): Promise<void> {
  await tx.run("INSERT INTO betreiberzugriff (id, zeit, was, grund, von) VALUES ($1, $2, $3, $4, $5)", [
    randomUUID(),
    now,
    was,
    reason,
    by,
  ]);
}
