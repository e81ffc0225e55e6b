import type { KeyObject } from "node:crypto";
import { hashPassword } from "../crypto/passwords.ts";
import type { Database } from "../database/database.ts";
import type { Feature } from "../feature.ts";
import { type InventedPerson, inventPeople, type SchoolSize, seededRandom } from "./invented.ts";

export interface Invention {
  /** As the owner of the database. */
  readonly database: Database;
  readonly fieldKey: KeyObject;
  readonly now: Date;
  readonly size: SchoolSize;
  readonly seed: number;
  /** Of all invented people; without it nobody has one. */
  readonly password?: string;
}

/** There are people already, who would be mixed with those who do not exist. */
export class NotEmpty extends Error {
  override readonly name = "NotEmpty";
}

/**
 * Fills an empty school with people who do not exist and what they did, one feature after the other, in one transaction. The same seed
 * makes the same school. Throws NotEmpty when it has people already, apart from the first who administers it.
 */
export async function inventSchool(
  features: readonly Feature[],
  wanted: Invention,
): Promise<readonly InventedPerson[]> {
  const random = seededRandom(wanted.seed);
  const people = inventPeople(random, wanted.size);
  const passwordHash = wanted.password === undefined ? undefined : await hashPassword(wanted.password);
  const { fieldKey, now, size } = wanted;
  await wanted.database.as({}, async (tx) => {
    // What nobody did is in the journal of nobody.
    await tx.run("SELECT set_config('classmind.umbau', 'ja', true)");
    for (const { invent } of features) {
      await invent?.({ tx, fieldKey, now, size, people, passwordHash, random });
    }
  });
  return people;
}
