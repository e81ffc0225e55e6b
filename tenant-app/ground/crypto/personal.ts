import { createSecretKey, type KeyObject, randomBytes, randomUUID } from "node:crypto";
import { isRefusedBy, type Transaction } from "../database/database.ts";
import { open, type Place, seal, UnreadableField } from "./fields.ts";

/**
 * What is sensitive about a person is sealed with a key of their own. The keys lie wrapped in a schema that the school's dump leaves out
 * (migration 0012): who destroys one has made everything sealed with it unreadable, in every copy.
 */

/** The person's key was destroyed: nothing more is sealed for them. */
export class PersonErased extends Error {
  override readonly name = "PersonErased";
}

/** First byte of what is sealed with a person's key; then the name of the key (a UUID), then what `seal` makes. */
const marker = 2;
const headLength = 17;

const wrapping = (person: string, name: string): Place => ({
  table: "schluessel.person",
  column: "verpackt",
  row: `${person}/${name}`,
});
const bytesOf = (uuid: string): Buffer => Buffer.from(uuid.replaceAll("-", ""), "hex");

/** Keys of some people, to open and to seal with. Only those are in it that were asked for and have one. */
export interface PersonalKeys {
  /**
   * Opens a value about a person, or one that an earlier version sealed with the school's key.
   * @throws UnreadableField, also when the person's key was destroyed
   */
  open(person: string, place: Place, sealed: Buffer): Buffer;
}

interface KeyRow {
  readonly person_id: string;
  readonly kennung: string;
  readonly verpackt: Buffer;
  readonly seit: Date;
}

function readKeys(tx: Transaction, persons: readonly string[]): Promise<KeyRow[]> {
  return tx.all<KeyRow>("SELECT person_id, kennung, verpackt, seit FROM schluessel.lesen($1::uuid[])", [persons]);
}

function unwrap(schoolKey: KeyObject, { person_id, kennung, verpackt }: KeyRow): KeyObject {
  return createSecretKey(open(schoolKey, wrapping(person_id, kennung), verpackt));
}

/** Reads the keys of people, all in one statement. */
export async function personalKeys(
  tx: Transaction,
  schoolKey: KeyObject,
  persons: readonly string[],
): Promise<PersonalKeys> {
  const rows = persons.length === 0 ? [] : await readKeys(tx, [...new Set(persons)]);
  const wrapped = new Map(rows.map((row) => [`${row.person_id}/${bytesOf(row.kennung).toString("hex")}`, row]));
  const opened = new Map<string, KeyObject>();
  return {
    open(person, place, sealed) {
      if (sealed[0] !== marker) {
        return open(schoolKey, place, sealed);
      }
      const name = `${person}/${sealed.subarray(1, headLength).toString("hex")}`;
      const row = wrapped.get(name);
      if (row === undefined) {
        throw new UnreadableField(`${place.table}.${place.column}: there is no key of this person that fits`);
      }
      const key = opened.get(name) ?? unwrap(schoolKey, row);
      opened.set(name, key);
      return open(key, place, sealed.subarray(headLength));
    },
  };
}

/** Seals values about one person. */
export type PersonalSeal = (place: Place, plaintext: Buffer | string) => Buffer;

/**
 * The newest key of a person, made if there is none yet.
 * @throws PersonErased when it was destroyed
 */
export async function sealFor(tx: Transaction, schoolKey: KeyObject, person: string, now: Date): Promise<PersonalSeal> {
  return sealWith(schoolKey, (await newestKey(tx, person)) ?? (await makeKey(tx, schoolKey, person, now)));
}

/** The same; undefined for somebody whose key was destroyed: of them nothing is kept any more. */
export async function sealUnlessErased(
  tx: Transaction,
  schoolKey: KeyObject,
  person: string,
  now: Date,
): Promise<PersonalSeal | undefined> {
  try {
    return await sealFor(tx, schoolKey, person, now);
  } catch (error) {
    if (error instanceof PersonErased) return undefined;
    throw error;
  }
}

/**
 * The same for many at once, in a few statements; those whose key was destroyed are left out of it.
 * @returns for each person what seals for them
 */
export async function sealForAll(
  tx: Transaction,
  schoolKey: KeyObject,
  persons: readonly string[],
  now: Date,
): Promise<ReadonlyMap<string, PersonalSeal>> {
  const wanted = [...new Set(persons)];
  const newest = newestOfEach(await readKeys(tx, wanted));
  const without = wanted.filter((person) => !newest.has(person));
  if (without.length > 0) {
    const names = without.map(() => randomUUID());
    const wrapped = without.map((person, index) =>
      seal(schoolKey, wrapping(person, names[index] ?? ""), randomBytes(32)),
    );
    await tx.run("SELECT schluessel.hinterlegen_viele($1::uuid[], $2::uuid[], $3::bytea[], $4)", [
      without,
      names,
      wrapped,
      now,
    ]);
    for (const [person, row] of newestOfEach(await readKeys(tx, without))) newest.set(person, row);
  }
  return new Map([...newest].map(([person, row]) => [person, sealWith(schoolKey, row)]));
}

function newestOfEach(rows: readonly KeyRow[]): Map<string, KeyRow> {
  const newest = new Map<string, KeyRow>();
  for (const row of [...rows].sort(newestLast)) newest.set(row.person_id, row);
  return newest;
}

const newestLast = (a: KeyRow, b: KeyRow): number =>
  a.seit.getTime() - b.seit.getTime() || (a.kennung < b.kennung ? 1 : -1);

function sealWith(schoolKey: KeyObject, newest: KeyRow): PersonalSeal {
  const key = unwrap(schoolKey, newest);
  const head = Buffer.concat([Buffer.from([marker]), bytesOf(newest.kennung)]);
  return (place, plaintext) => Buffer.concat([head, seal(key, place, plaintext)]);
}

async function newestKey(tx: Transaction, person: string): Promise<KeyRow | undefined> {
  return newestOfEach(await readKeys(tx, [person])).get(person);
}

/** Two at once end with one key: whoever comes second reads the first one's. */
async function makeKey(tx: Transaction, schoolKey: KeyObject, person: string, now: Date): Promise<KeyRow> {
  const name = randomUUID();
  // Refused, it leaves the transaction as it was.
  await tx.run("SAVEPOINT schluessel");
  try {
    await tx.run("SELECT schluessel.hinterlegen($1, $2, $3, $4)", [
      person,
      name,
      seal(schoolKey, wrapping(person, name), randomBytes(32)),
      now,
    ]);
  } catch (error) {
    await tx.run("ROLLBACK TO SAVEPOINT schluessel");
    if (isRefusedBy(error, "CM003")) {
      throw new PersonErased("the key of this person was destroyed");
    }
    throw error;
  }
  const made = await newestKey(tx, person);
  if (made === undefined) {
    throw new Error("a key that was just kept is not there");
  }
  return made;
}

/**
 * Destroys all keys of a person, for good; they get none again, in a school restored from an older backup neither. As the owner of the
 * database alone. Returns how many there were.
 */
export async function destroyPersonalKeys(tx: Transaction, person: string, now: Date): Promise<number> {
  const row = await tx.one<{ anzahl: number }>("SELECT schluessel.vernichten($1, $2) AS anzahl", [person, now]);
  return row?.anzahl ?? 0;
}
