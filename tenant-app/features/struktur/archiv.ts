import type { Archive } from "../../ground/erasure/archive.ts";
import { germanDay } from "../../ground/pages/days.ts";

/** Classes and courses somebody belonged to, and when: part of the archive. */
export const archiviereStruktur: Archive = async (tx, _app, id) => {
  const rows = await tx.all<{ als: string; name: string; fach: string | null; jahr: string; ab: string; bis: string }>(
    "SELECT als, name, fach, jahr, ab, bis FROM archiv_zugehoerigkeiten($1)",
    [id],
  );
  return {
    name: "zugehoerigkeiten",
    data: rows.map(({ als, name, fach, jahr, ab, bis }) => ({ als, name, fach, schuljahr: jahr, von: ab, bis })),
    title: "Klassen und Kurse",
    tables: [
      {
        caption: "",
        columns: ["Schuljahr", "Als", "Klasse oder Kurs", "Fach", "Von", "Bis"],
        rows: rows.map(({ als, name, fach, jahr, ab, bis }) => [
          jahr,
          als,
          name,
          fach ?? "",
          germanDay(ab),
          germanDay(bis),
        ]),
      },
    ],
  };
};
