import { erasedBy, heldBy } from "../../ground/erasure/erasure.ts";
import type { Feature } from "../../ground/feature.ts";
import { forgetOlder } from "../../ground/work/forget.ts";
import { archiviereNoten } from "./archiv.ts";
import { auskunft } from "./auskunft.ts";
import { buchRoutes } from "./buchseite.ts";
import { erfindeNoten } from "./erfinden.ts";
import { halbjahresRoutes } from "./halbjahr.ts";
import { leistungsRoutes } from "./leistungen.ts";
import { rebuildMarks, undoAccount, verifyJournal } from "./operator.ts";
import { profilRoutes } from "./profilseiten.ts";
import { Note, Notenprofil } from "./public.ts";
import { schluesselRoutes } from "./schluesselseiten.ts";
import { schuelerRoutes } from "./schueler.ts";

/** What somebody can take back is kept for so long; milliseconds. */
const zuruecknehmbarMs = 30 * 24 * 60 * 60 * 1000;

/** Marks: what pupils got, how a half-year's mark is reckoned from that, and the mark that the teacher gives. */
export const noten: Feature = {
  name: "noten",
  disclosure: auskunft,
  tables: [
    "notenprofil",
    "notenkategorie",
    "notenschluessel",
    "notenschluesselstufe",
    "kursnoten",
    "leistung",
    "note",
    "halbjahresnote",
    "noteneingabe",
    "noteneingabe_schritt",
  ],
  volatileTables: ["noteneingabe", "noteneingabe_schritt"],
  resources: [Note, Notenprofil],
  // Whose marks comes last: any other word after /noten is no person.
  routes: [
    ...buchRoutes,
    ...leistungsRoutes,
    ...halbjahresRoutes,
    ...profilRoutes,
    ...schluesselRoutes,
    ...schuelerRoutes,
  ],
  navigation: [{ href: "/noten", text: "Noten", right: Note.right("lesen"), place: 58 }],
  tiles: [
    {
      title: "Noten",
      href: "/noten",
      right: Note.right("lesen"),
      place: 58,
      say: ({ may }) => ({
        text: may(Note.right("bearbeiten"))
          ? "Noten Ihrer Kurse eintragen und Vorschläge für das Halbjahr ansehen."
          : may(Note.right("lesen"), "schule")
            ? "Halbjahresnoten der Klassen ansehen und festlegen, wie Noten berechnet werden."
            : "Noten ansehen.",
      }),
      link: { href: "/noten", text: "Noten ansehen" },
    },
  ],
  confirmations: {
    noten: "Die Noten wurden gespeichert.",
    "noten-gleich": "Es gab nichts zu ändern.",
    "noten-zurueck": "Die Eingabe wurde zurückgenommen.",
    "noten-gezeigt": "Die Halbjahresnoten werden jetzt gezeigt.",
    "noten-verborgen": "Die Halbjahresnoten werden nicht mehr gezeigt.",
    "notenprofil-gewaehlt": "Das Notenprofil gilt jetzt für diesen Kurs.",
    leistung: "Die Leistung wurde gespeichert.",
    "leistung-geloescht": "Die Leistung wurde gelöscht.",
    notenprofil: "Das Notenprofil wurde gespeichert.",
    notenschluessel: "Der Notenschlüssel wurde gespeichert.",
  },
  archive: archiviereNoten,
  holdings: heldBy("noten_der_person_zaehlen", {
    noten: ["Noten", "werden gelöscht"],
    halbjahresnoten: ["Halbjahresnoten", "werden gelöscht"],
  }),
  erasure: erasedBy(
    "noten_der_person_loeschen",
    ["note.person_id", "halbjahresnote.person_id", "noteneingabe.konto_id", "noteneingabe_schritt.person_id"],
    { bounded: true },
  ),
  daily: async (app) => ({ forgottenEntries: await forgetOlder(app, "noteneingaben_vergessen", zuruecknehmbarMs) }),
  commands: [verifyJournal, rebuildMarks, undoAccount],
  invent: erfindeNoten,
  usage: { marks: "SELECT count(*) FROM note" },
};
