import { erasedBy, heldBy } from "../../ground/erasure/erasure.ts";
import type { Feature } from "../../ground/feature.ts";
import { forgetOlder } from "../../ground/work/forget.ts";
import { aenderungsRoutes } from "./aenderungen.ts";
import { archiviereStruktur } from "./archiv.ts";
import { erfindeStruktur } from "./erfinden.ts";
import { fachRoutes } from "./faecher.ts";
import { jahrRoutes } from "./jahre.ts";
import { klassenRoutes } from "./klassen.ts";
import { kursRoutes } from "./kurse.ts";
import { Einschreibung, Klasse, Kurs, Unterrichtsauftrag } from "./public.ts";

/** For so long the head of the school sees who changed an assignment; milliseconds. */
const sichtbarMs = 30 * 24 * 60 * 60 * 1000;

/** The school's structure: years, subjects, classes, courses, and who belongs to them when. */
export const struktur: Feature = {
  name: "struktur",
  tables: [
    "schuljahr",
    "fach",
    "klasse",
    "klassenmitglied",
    "klassenleitung",
    "kurs",
    "unterrichtsauftrag",
    "einschreibung",
    "auftragsaenderung",
  ],
  daily: async (app) => ({ forgottenChanges: await forgetOlder(app, "auftragsaenderungen_vergessen", sichtbarMs) }),
  resources: [Klasse, Kurs, Unterrichtsauftrag, Einschreibung],
  routes: [...jahrRoutes, ...fachRoutes, ...klassenRoutes, ...kursRoutes, ...aenderungsRoutes],
  navigation: [
    { href: "/klassen", text: "Klassen", right: Klasse.right("lesen"), place: 60 },
    { href: "/kurse", text: "Kurse", right: Kurs.right("lesen"), place: 62 },
  ],
  tiles: [
    {
      title: "Klassen und Kurse",
      href: "/klassen",
      right: Klasse.right("bearbeiten"),
      scope: "schule",
      place: 60,
      say: () => ({ text: "Schuljahre, Fächer, Klassen und Kurse einrichten; wer dazugehört und wer unterrichtet." }),
      link: { href: "/schuljahre", text: "Schuljahre ansehen" },
    },
    {
      title: "Unterrichtsaufträge",
      href: "/unterrichtsauftraege",
      right: Unterrichtsauftrag.right("eigener"),
      scope: "schule",
      place: 65,
      say: () => ({ text: "Wer wann welchen Unterrichtsauftrag vergeben, geändert oder beendet hat." }),
      link: { href: "/unterrichtsauftraege", text: "Änderungen ansehen" },
    },
  ],
  confirmations: {
    struktur: "Die Änderung wurde gespeichert.",
    "struktur-geloescht": "Der Eintrag wurde gelöscht.",
    zugeordnet: "Eingetragen.",
    beendet: "Der Eintrag wurde geändert.",
  },
  archive: archiviereStruktur,
  holdings: heldBy("struktur_der_person_zaehlen", {
    klassen: ["Zugehörigkeiten zu Klassen", "werden gelöscht"],
    kurse: ["Einschreibungen in Kurse", "werden gelöscht"],
    unterricht: [
      "Unterrichtsaufträge",
      "werden gelöscht; die Noten, die dabei gegeben wurden, bleiben, ohne den Namen",
    ],
    leitungen: ["Klassenleitungen", "werden gelöscht"],
  }),
  erasure: erasedBy(
    "struktur_der_person_loeschen",
    [
      "klassenmitglied.person_id",
      "klassenleitung.person_id",
      "unterrichtsauftrag.person_id",
      "einschreibung.person_id",
      "auftragsaenderung.person_id",
      "auftragsaenderung.konto_id",
    ],
    { bounded: true },
  ),
  invent: erfindeStruktur,
  usage: { classes: "SELECT count(*) FROM klasse", courses: "SELECT count(*) FROM kurs" },
};
