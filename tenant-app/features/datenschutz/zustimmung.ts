import type { Transaction } from "../../ground/database/database.ts";

/** The day of the policy's newest version. Whoever changes its text gives it a new one: everybody is asked again. */
export const FASSUNG = "2026-11-27";

export interface Stand {
  /** When this person confirmed the newest version. */
  readonly bestaetigt: Date | undefined;
  /** Whether they confirmed an earlier one. */
  readonly schonEinmal: boolean;
}

export async function standVon(tx: Transaction, kontoId: string): Promise<Stand> {
  const rows = await tx.all<{ fassung: string; am: Date }>(
    "SELECT z.fassung::text, z.am FROM zustimmung z WHERE z.person_id = $1",
    [kontoId],
  );
  return { bestaetigt: rows.find(({ fassung }) => fassung === FASSUNG)?.am, schonEinmal: rows.length > 0 };
}

/** Notes that this person confirmed a version; once is enough. */
export async function bestaetige(tx: Transaction, kontoId: string, fassung: string, now: Date): Promise<void> {
  await tx.run("INSERT INTO zustimmung (person_id, fassung, am) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", [
    kontoId,
    fassung,
    now,
  ]);
}
