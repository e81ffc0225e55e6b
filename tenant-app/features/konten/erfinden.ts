import type { InventedSchool } from "../../ground/generator/invented.ts";
import { baseUserName, freeUserName } from "./benutzername.ts";

/** Accounts for invented people. */
export async function erfindeKonten({ tx, now, people }: InventedSchool): Promise<void> {
  const there = await tx.all<{ benutzername: string }>("SELECT benutzername FROM konto");
  const taken = new Set(there.map(({ benutzername }) => benutzername));
  const bases = await Promise.all(people.map(({ firstName, lastName }) => baseUserName(firstName, lastName)));
  const rows = people.map(({ id }, index) => {
    const benutzername = freeUserName(bases[index] ?? "konto", taken);
    taken.add(benutzername);
    return { id, benutzername, email: `${benutzername}@schule.example` };
  });
  await tx.run(
    `INSERT INTO konto (id, benutzername, email, angelegt_am)
     SELECT x.id, x.benutzername, x.email, $2 FROM json_to_recordset($1::json) AS x (id uuid, benutzername text, email text)`,
    [JSON.stringify(rows), now],
  );
}
