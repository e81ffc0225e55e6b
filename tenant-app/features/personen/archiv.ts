import type { Archive, ArchivePart } from "../../ground/erasure/archive.ts";
import { germanDay } from "../../ground/pages/days.ts";
import { vollerName } from "./public.ts";

/** Who it is: part of the archive. */
export const archivierePerson: Archive = async (tx, _app, id): Promise<ArchivePart> => {
  const row = await tx.one<{ vorname: string; nachname: string; seit: string; eltern: string[] }>(
    "SELECT vorname, nachname, seit, eltern FROM archiv_person($1)",
    [id],
  );
  if (row === undefined) {
    throw new Error("there is no such person");
  }
  const { vorname, nachname, seit, eltern } = row;
  const rows: (readonly string[])[] = [
    ["Name", vollerName(row)],
    ["In dieser Schule geführt seit", germanDay(seit)],
    ...eltern.map((name) => ["Elternteil", name]),
  ];
  return {
    name: "person",
    data: { kennzeichen: id, vorname, nachname, gefuehrtSeit: seit, eltern },
    title: "Person",
    tables: [{ caption: "", columns: ["Angabe", "Inhalt"], rows }],
  };
};
