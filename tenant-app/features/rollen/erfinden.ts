import type { InventedSchool, Kind } from "../../ground/generator/invented.ts";

const rolleOf: Readonly<Record<Kind, string>> = {
  pupil: "schueler",
  teacher: "lehrer",
  head: "schulleitung",
  administrator: "administrator",
};

/** What invented people are in the school. */
export async function erfindeRollen({ tx, people }: InventedSchool): Promise<void> {
  const rows = people.map(({ id, kind }) => ({ konto_id: id, rolle_id: rolleOf[kind] }));
  await tx.run(
    `INSERT INTO konto_rolle (konto_id, rolle_id)
     SELECT x.konto_id, x.rolle_id FROM json_to_recordset($1::json) AS x (konto_id uuid, rolle_id text)`,
    [JSON.stringify(rows)],
  );
}
