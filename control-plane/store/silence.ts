import { z } from "zod";
import type { Queryable } from "./queryable.ts";

/** An engine that does not answer: nobody can tell how its schools are. */
const silence = z.object({ since: z.iso.datetime(), reason: z.string(), message: z.string() });
export type Silence = z.infer<typeof silence>;

/** @param seen undefined: it answers */
export async function recordSilence(db: Queryable, engine: string, seen: Silence | undefined): Promise<void> {
  await db.query("update engines set silence = $2 where name = $1", [
    engine,
    seen === undefined ? null : JSON.stringify(seen),
  ]);
}

/** As a row has it. */
export function parseSilence(stored: unknown): Silence | undefined {
  return stored === null || stored === undefined ? undefined : silence.parse(stored);
}
