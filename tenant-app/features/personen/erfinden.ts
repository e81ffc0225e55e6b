import type { InventedSchool } from "../../ground/generator/invented.ts";

/** Invented people. */
export async function erfindePersonen({ tx, now, people }: InventedSchool): Promise<void> {
  const rows = people.map(({ id, firstName, lastName }) => ({ id, vorname: firstName, nachname: lastName }));
  await tx.run(
    `INSERT INTO person (id, vorname, nachname, angelegt_am)
     SELECT x.id, x.vorname, x.nachname, $2 FROM json_to_recordset($1::json) AS x (id uuid, vorname text, nachname text)`,
    [JSON.stringify(rows), now],
  );
}
