import { NotEmpty } from "../../ground/generator/generate.ts";
import type { InventedSchool } from "../../ground/generator/invented.ts";

/** Invented people. Throws NotEmpty. */
export async function erfindePersonen({ tx, now, people, size }: InventedSchool): Promise<void> {
  // Nobody comes between the count and what follows from it.
  await tx.run("LOCK TABLE person IN SHARE ROW EXCLUSIVE MODE");
  const there = await tx.one<{ zahl: number }>("SELECT count(*)::int AS zahl FROM person");
  if ((there?.zahl ?? 0) > (size.administered ? 1 : 0)) {
    throw new NotEmpty("The school has people already");
  }
  const rows = people.map(({ id, firstName, lastName }) => ({ id, vorname: firstName, nachname: lastName }));
  await tx.run(
    `INSERT INTO person (id, vorname, nachname, angelegt_am)
     SELECT x.id, x.vorname, x.nachname, $2 FROM json_to_recordset($1::json) AS x (id uuid, vorname text, nachname text)`,
    [JSON.stringify(rows), now],
  );
}
