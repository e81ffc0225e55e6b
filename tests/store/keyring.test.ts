import { randomBytes, randomUUID } from "node:crypto";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectionOf } from "../../control-plane/config.ts";
import { type Keyring, openKeyring } from "../../control-plane/keys/keyring.ts";
import { type PlatformDatabase, platformDatabase } from "../fixtures/platform-database.ts";

let databases: PlatformDatabase;
let keyring: Keyring;
beforeAll(async () => {
  databases = await platformDatabase();
  keyring = await openKeyring(databases.keyringPool, { id: "test", key: randomBytes(32) });
});
afterAll(() => databases.drop());

describe("the keyring", () => {
  it("lets the planner take no samples of wrapped keys: they would outlive their rows", async () => {
    for (let school = 0; school < 10; school += 1) await keyring.ensureSchoolKeys(randomUUID());
    await databases.keyringPool.query("analyze keys");
    const sampled = await databases.keyringPool.query<{ attname: string }>(
      "select attname from pg_stats where tablename = 'keys'",
    );
    const names = sampled.rows.map(({ attname }) => attname);
    expect(names).toContain("purpose");
    expect(names).not.toContain("wrapped");
  });

  it("destroys keys only once nobody can see their rows any more, not even who read them before", async () => {
    const uid = randomUUID();
    await keyring.ensureSchoolKeys(uid);
    const reader = new pg.Client(connectionOf(databases.keyring));
    await reader.connect();
    await reader.query("begin isolation level repeatable read");
    await reader.query("select 1");
    let over = false;
    const destroyed = keyring.destroy(uid).finally(() => {
      over = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(over).toBe(false);
    await reader.query("commit");
    await reader.end();
    expect(await destroyed).toBe(8);
    expect(await keyring.readSchoolKeys(uid)).toBeUndefined();
  });
});
