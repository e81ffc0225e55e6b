import { z } from "zod";
import { quantityToBytes } from "../render/values.ts";
import { storageOf, type TenantSpec } from "../tenant.ts";
import type { Queryable } from "./queryable.ts";

/** Room for schools' volumes on an engine. They grow as they are filled: what is promised is more than what is used. */

const room = z.object({ totalBytes: z.number(), freeBytes: z.number() });
export type Room = z.infer<typeof room>;

export async function recordRoom(db: Queryable, engine: string, seen: Room): Promise<void> {
  await db.query("update engines set room = $2 where name = $1", [engine, JSON.stringify(seen)]);
}

/** What the reconciler last saw; undefined where an engine cannot tell. */
export async function readRoom(db: Queryable, engine: string): Promise<Room | undefined> {
  const { rows } = await db.query<{ room: unknown }>("select room from engines where name = $1", [engine]);
  const parsed = room.safeParse(rows[0]?.room);
  return parsed.success ? parsed.data : undefined;
}

/** Bytes that schools on an engine may still fill of the volumes that they have. */
export async function promisedBytes(db: Queryable, engine: string): Promise<number> {
  const { rows } = await db.query<{ spec: TenantSpec; used: string | null }>(
    "select spec, status -> 'volume' ->> 'usedBytes' as used from tenants where engine = $1",
    [engine],
  );
  return rows.reduce(
    (sum, { spec, used }) => sum + Math.max(0, quantityToBytes(storageOf(spec)) - Number(used ?? 0)),
    0,
  );
}
