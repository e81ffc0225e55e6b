import { createSecretKey, randomBytes, randomUUID } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createResult, keysResult, restoreResult, verifyResult } from "../../../control-plane/backup/results.ts";
import { UnreadableField } from "../../../tenant-app/ground/crypto/fields.ts";
import { PersonErased, personalKeys, sealFor } from "../../../tenant-app/ground/crypto/personal.ts";
import type { Transaction } from "../../../tenant-app/ground/database/database.ts";
import { type Bench, type JobResult, type Living, openBench, type Volume } from "./bench.ts";
import { withClient, writeBlob } from "./school-data.ts";

/**
 * Keys of people are left out of the dump and lie in a snapshot of their own; a restore of any backup takes the newest. So who was erased is
 * unreadable in each of them, with every key of the school in hand.
 */

let bench: Bench;
/** The school's own key, which opens all that is not a person's. */
const schoolKey = createSecretKey(randomBytes(32));
const [erased, other] = [randomUUID(), randomUUID()];
const NOTE = "Nachteilsausgleich: mehr Zeit in Deutsch";
/** Other people's. */
const MANY = 2_000;
const KEY_BYTES = 61;
const ID_BYTES = 16;
const place = (row: string) => ({ table: "akte", column: "notiz", row });
let first: ReturnType<typeof createResult.parse>;
let newest: string;

/** As the app asks the database, in a transaction on a connection of the test's. */
async function asking<T>(client: pg.Client, work: (tx: Transaction) => Promise<T>): Promise<T> {
  await client.query("BEGIN");
  const done = await work({
    all: async (sql, values = []) => (await client.query(sql, [...values])).rows,
    one: async (sql, values = []) => (await client.query(sql, [...values])).rows[0],
    run: async (sql, values = []) => (await client.query(sql, [...values])).rowCount ?? 0,
  });
  await client.query("COMMIT");
  return done;
}

async function noteOf(living: Living, person: string): Promise<string> {
  return withClient(living, (client) =>
    asking(client, async (tx) => {
      const row = await tx.one<{ notiz: Buffer }>("SELECT notiz FROM akte WHERE person_id = $1", [person]);
      const keys = await personalKeys(tx, schoolKey, [person]);
      return keys.open(person, place(person), row?.notiz ?? Buffer.alloc(0)).toString("utf8");
    }),
  );
}

beforeAll(async () => {
  bench = await openBench("school");
  await withClient(bench, async (client) => {
    await client.query("ALTER DATABASE school OWNER TO school_owner; SET ROLE school_owner");
    const migrations = join(import.meta.dirname, "../../../tenant-app/migrations");
    const [schema = ""] = (await readFile(join(migrations, "0012-schluessel.sql"), "utf8")).split(
      "-- With a person goes",
    );
    await client.query(schema);
    await client.query("CREATE TABLE akte (person_id uuid PRIMARY KEY, notiz bytea NOT NULL)");
    await client.query("RESET ROLE");
    await asking(client, async (tx) => {
      for (const person of [erased, other]) {
        const seal = await sealFor(tx, schoolKey, person, new Date());
        await tx.run("INSERT INTO akte VALUES ($1, $2)", [person, seal(place(person), NOTE)]);
      }
      await tx.run(
        "SELECT schluessel.hinterlegen(gen_random_uuid(), gen_random_uuid(), decode($1, 'hex'), now()) FROM generate_series(1, $2)",
        [Buffer.concat([Buffer.from([1]), randomBytes(KEY_BYTES - 1)]).toString("hex"), MANY],
      );
    });
  });
  await writeBlob(bench, "aa/first", randomBytes(20_000_000));
});
afterAll(() => bench?.end());

async function below(directory: string): Promise<ReadonlyArray<{ readonly name: string; readonly path: string }>> {
  const entries = await readdir(join(bench.repository, directory), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => ({ name: entry.name, path: join(entry.parentPath, entry.name) }));
}

/** Bytes of data that the repository holds. */
async function stored(): Promise<number> {
  const sizes = await Promise.all((await below("data")).map(async ({ path }) => (await stat(path)).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

function succeeded(result: JobResult): JobResult["output"] {
  expect(result.output.error, result.log).toBeUndefined();
  expect(result.code, result.log).toBe(0);
  return result.output;
}

const inputOf = (backup: typeof first, keysSnapshot: string | undefined) => ({
  runId: randomUUID(),
  databaseSnapshot: backup.databaseSnapshot,
  filesSnapshot: backup.filesSnapshot,
  fingerprint: backup.fingerprint,
  ...(keysSnapshot === undefined ? {} : { keys: { snapshot: keysSnapshot } }),
});

async function restored<T>(
  backup: typeof first,
  keysSnapshot: string | undefined,
  look: (living: Living) => Promise<T>,
): Promise<T> {
  const volume: Volume = await bench.volume();
  restoreResult.parse(succeeded(await bench.run("restore", inputOf(backup, keysSnapshot), { volume })));
  const living = await bench.open(volume);
  return look(living).finally(() => living.end());
}

describe("keys of people", () => {
  it("lie in a third snapshot of the run, and are nothing that a fingerprint tells", async () => {
    const input = { runId: randomUUID(), host: "gymnasium", allowInit: true };
    first = createResult.parse(succeeded(await bench.run("create", input)));
    const snapshots = [first.databaseSnapshot, first.filesSnapshot, first.keysSnapshot];
    expect(new Set(snapshots).size).toBe(3);
    expect(Object.keys(Object(first.fingerprint))).toEqual(["public.akte"]);
    const verified = await bench.run("verify", { ...inputOf(first, first.keysSnapshot) });
    expect(verifyResult.parse(succeeded(verified))).toMatchObject({ checked: true });
  });

  it("come back with a restore, and without any it is refused in words", async () => {
    const notes = (living: Living) => Promise.all([erased, other].map((person) => noteOf(living, person)));
    expect(await restored(first, first.keysSnapshot, notes)).toEqual([NOTE, NOTE]);
    const refused = await bench.run("restore", inputOf(first, undefined), { volume: await bench.volume() });
    expect(refused.output.error).toMatchObject({
      code: "KeysMissing",
      message: expect.stringContaining("no snapshot of the keys"),
    });
  });

  it("of an erased person are in none of the newest: an older backup comes back whole, and about them says nothing", async () => {
    const destroyed = await withClient(bench, (client) =>
      client.query("SELECT schluessel.vernichten($1, now()) AS anzahl", [erased]),
    );
    expect(destroyed.rows).toEqual([{ anzahl: 1 }]);
    const run = { runId: randomUUID(), host: "gymnasium" };
    const { keysSnapshot } = keysResult.parse(succeeded(await bench.run("keys", run)));
    await restored(first, keysSnapshot, async (living) => {
      expect(await noteOf(living, other)).toBe(NOTE);
      await expect(noteOf(living, erased)).rejects.toThrow(UnreadableField);
      // Nor do they get a new one, should somebody write about them again.
      await withClient(living, async (client) => {
        await expect(asking(client, (tx) => sealFor(tx, schoolKey, erased, new Date()))).rejects.toThrow(PersonErased);
      });
    });
    newest = keysSnapshot ?? "";
  });

  it("of before are brought together with those of a volume that takes the school's place again", async () => {
    // As it was before somebody was erased, and somebody had a key made there that the school does not know.
    const volume = await bench.volume();
    restoreResult.parse(succeeded(await bench.run("restore", inputOf(first, first.keysSnapshot), { volume })));
    const before = await bench.open(volume);
    const there = randomUUID();
    await withClient(before, (client) =>
      asking(client, async (tx) => {
        const seal = await sealFor(tx, schoolKey, there, new Date());
        await tx.run("INSERT INTO akte VALUES ($1, $2)", [there, seal(place(there), NOTE)]);
      }),
    );
    await before.end();
    const input = { ...inputOf(first, newest), runId: randomUUID() };
    expect(succeeded(await bench.run("bring-keys", input, { volume }))).toMatchObject({ keys: MANY + 2 });
    // Cut off and done again, it is the same.
    expect(succeeded(await bench.run("bring-keys", input, { volume }))).toMatchObject({ keys: MANY + 2 });
    const after = await bench.open(volume);
    try {
      expect(await noteOf(after, there)).toBe(NOTE);
      expect(await noteOf(after, other)).toBe(NOTE);
      await expect(noteOf(after, erased)).rejects.toThrow(UnreadableField);
    } finally {
      await after.end();
    }
  });

  it("go into a backup from before there were any: what came since does not lose them", async () => {
    // A school of that time: without the schema, and with somebody's name in it.
    await withClient(bench, (client) => client.query("ALTER SCHEMA schluessel RENAME TO beiseite"));
    const created = await bench.run("create", { runId: randomUUID(), host: "gymnasium" });
    await withClient(bench, (client) => client.query("ALTER SCHEMA beiseite RENAME TO schluessel"));
    const old = createResult.parse(succeeded(created));
    expect(old.keysSnapshot).toBeUndefined();
    await restored(old, newest, async (living) => expect(await noteOf(living, other)).toBe(NOTE));
  });

  it("that nobody knows of, of a job whose answer was lost, go with the next forgetting; never all of them", async () => {
    const names = async () => (await below("snapshots")).map(({ name }) => name);
    const { keysSnapshot: lost = "" } = keysResult.parse(
      succeeded(await bench.run("keys", { runId: randomUUID(), host: "gymnasium" })),
    );
    succeeded(await bench.run("forget", { snapshots: [], keepKeys: ["0".repeat(64)] }));
    expect(await names()).toContain(lost);
    succeeded(await bench.run("forget", { snapshots: [], keepKeys: [newest, first.keysSnapshot] }));
    expect(await names()).not.toContain(lost);
    expect(await names()).toEqual(expect.arrayContaining([newest, first.keysSnapshot, first.databaseSnapshot]));
  });

  it("that were forgotten leave nothing behind, although it is little beside the rest", async () => {
    const before = await stored();
    succeeded(await bench.run("forget", { snapshots: [first.keysSnapshot], thorough: true }));
    // The dump that is left holds the same, but for one.
    expect(before - (await stored())).toBeGreaterThan(MANY * ID_BYTES);
  });
});
