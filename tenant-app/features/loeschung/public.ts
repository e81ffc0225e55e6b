import type { Transaction } from "../../ground/database/database.ts";
import { resource } from "../../ground/gate/rights.ts";

/** What rules say of archives. They hold marks: a password alone does not do for who has a second factor, or must have. */
export const Archiv = resource({
  name: "Archiv",
  title: "Archive von Personen",
  actions: { abrufen: ["abrufen, mit Noten", "schule"] },
  sensitive: () => true,
});

/** Who is marked for deletion, each with the day on which they go (ISO 8601); as far as the acting account may know of it. */
export async function vorgemerktePersonen(tx: Transaction): Promise<ReadonlyMap<string, string>> {
  const rows = await tx.all<{ id: string; tag: string }>(
    "SELECT l.person_id AS id, l.faellig_am::text AS tag FROM loeschung l",
  );
  return new Map(rows.map(({ id, tag }) => [id, tag]));
}
