import type { InventedSchool } from "../../ground/generator/invented.ts";

/** One password for all invented people, or none for any. */
export async function erfindeZugaenge({ tx, now, people, passwordHash }: InventedSchool): Promise<void> {
  if (passwordHash === undefined) {
    return;
  }
  await tx.run(
    "INSERT INTO zugang (konto_id, passwort, geaendert_am) SELECT id, $2, $3 FROM unnest($1::uuid[]) AS id",
    [people.map(({ id }) => id), passwordHash, now],
  );
}
