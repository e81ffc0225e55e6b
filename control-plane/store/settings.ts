import type { z } from "zod";
import type { Queryable } from "./queryable.ts";

/** Small facts of the whole installation (CA certificate, last seen time). */
export async function readSetting<T>(db: Queryable, name: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const { rows } = await db.query<{ value: unknown }>("select value from settings where name = $1", [name]);
  return rows[0] === undefined ? undefined : schema.parse(rows[0].value);
}

export async function writeSetting(db: Queryable, name: string, value: unknown): Promise<void> {
  await db.query(
    "insert into settings (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value, updated_at = now()",
    [name, JSON.stringify(value)],
  );
}
