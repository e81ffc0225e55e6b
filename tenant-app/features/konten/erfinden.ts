import type { InventedSchool } from "../../ground/generator/invented.ts";
import { baseUserName, freeUserName, searchName } from "./benutzername.ts";

/** Accounts for invented people. */
export async function erfindeKonten({ tx, now, people }: InventedSchool): Promise<void> {
  const taken = new Set<string>();
  const bases = await Promise.all(people.map(({ firstName, lastName }) => baseUserName(firstName, lastName)));
  const rows = people.map(({ id, firstName, lastName }, index) => {
    const benutzername = freeUserName(bases[index] ?? "konto", taken);
    taken.add(benutzername);
    return {
      id,
      benutzername,
      vorname: firstName,
      nachname: lastName,
      email: `${benutzername}@schule.example`,
      suchname: searchName(firstName, lastName),
    };
  });
  await tx.run(
    `INSERT INTO konto (id, benutzername, vorname, nachname, email, suchname, angelegt_am)
     SELECT x.id, x.benutzername, x.vorname, x.nachname, x.email, x.suchname, $2
       FROM json_to_recordset($1::json) AS x (id uuid, benutzername text, vorname text, nachname text, email text, suchname text)`,
    [JSON.stringify(rows), now],
  );
}
