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

/** As the app asks the database, on a connection of the test's. */
function asked(client: pg.Client): Transaction {
  return {
    all: async (sql, values = []) => (await client.query(sql, [...values])).rows,
    one: async (sql, values = []) => (await client.query(sql, [...values])).rows[0],
    run: async (sql, values = []) => (await client.query(sql, [...values])).rowCount ?? 0,
  };
}

async function noteOf(living: Living, person: string): Promise<string> {
  return withClient(living, async (client) => {
    const tx = asked(client);
    const row = await tx.one<{ notiz: Buffer }>("SELECT notiz FROM akte WHERE person_id = $1", [person]);
    const keys = await personalKeys(tx, schoolKey, [person]);
    return keys.open(person, place(person), row?.notiz ?? Buffer.alloc(0)).toString("utf8");
  });
}

beforeAll(async () => {
  bench = await openBench("school");
  await withClient(bench, async (client) => {
    await client.query("ALTER DATABASE school OWNER TO school_owner; SET ROLE school_owner");
    const migrations = join(import.meta.dirname, "../../../tenant-app/migrations");
    await client.query(await readFile(join(migrations, "0012-schluessel.sql"), "utf8"));
    await client.query("CREATE TABLE akte (person_id uuid PRIMARY KEY, notiz bytea NOT NULL)");
    await client.query("RESET ROLE");
    const tx = asked(client);
    for (const person of [erased, other]) {
      const seal = await sealFor(tx, schoolKey, person, new Date());
      await tx.run("INSERT INTO akte VALUES ($1, $2)", [person, seal(place(person), NOTE)]);
    }
    await tx.run(
      "SELECT schluessel.hinterlegen(gen_random_uuid(), decode($1, 'hex'), now()) FROM generate_series(1, $2)",
      [randomBytes(KEY_BYTES).toString("hex"), MANY],
    );
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
        await expect(sealFor(asked(client), schoolKey, erased, new Date())).rejects.toThrow(PersonErased);
      });
    });
    // Taken again, as after an answer that was lost, the run leaves one.
    const again = keysResult.parse(succeeded(await bench.run("keys", { ...run, abandoned: [run.runId] })));
    expect(await below("snapshots").then((files) => files.map(({ name }) => name).sort())).toEqual(
      [first.databaseSnapshot, first.filesSnapshot, first.keysSnapshot, again.keysSnapshot].sort(),
    );
  });

  it("that were forgotten leave nothing behind, although it is little beside the rest", async () => {
    const before = await stored();
    succeeded(await bench.run("forget", { snapshots: [first.keysSnapshot], thorough: true }));
    expect(before - (await stored())).toBeGreaterThan(MANY * ID_BYTES);
  });
});
