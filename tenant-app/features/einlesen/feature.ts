import { erasedBy } from "../../ground/erasure/erasure.ts";
import type { Feature } from "../../ground/feature.ts";
import { registered } from "../../ground/work/kind.ts";
import { raeumeAb } from "./ablage.ts";
import { einlesenArbeit } from "./arbeit.ts";
import { Einlesung } from "./public.ts";
import { einlesenRoutes } from "./routes.ts";

/** Reading lists of people and structure that other programs of the school have written. */
export const einlesen: Feature = {
  name: "einlesen",
  tables: ["einlesung", "einlesung_datei", "eingelesene_person", "fremde_kennung", "kurskennung"],
  volatileTables: ["einlesung", "einlesung_datei"],
  disclosure: {
    "einlesung.angaben": { withheld: "Hochgeladene Liste; sie enthält Angaben über andere Personen." },
    "eingelesene_person.geburt": { withheld: "Prüfwert des Geburtsdatums; das Datum selbst ist nicht gespeichert." },
    "fremde_kennung.kennung": { withheld: "Prüfwert der Kennung; die Kennung selbst ist nicht gespeichert." },
  },
  erasure: erasedBy("einlesungen_der_person_loeschen", [
    "einlesung.person_id",
    "eingelesene_person.person_id",
    "fremde_kennung.person_id",
  ]),
  resources: [Einlesung],
  routes: einlesenRoutes,
  tiles: [
    {
      title: "Listen einlesen",
      href: "/einlesen",
      right: Einlesung.right("einlesen"),
      scope: "schule",
      place: 68,
      say: () => ({ text: "Personen, Klassen und Kurse aus Untis, SchILD-NRW, ASV, OneRoster oder einer CSV-Datei." }),
      link: { href: "/einlesen", text: "Einlesen beginnen" },
    },
  ],
  confirmations: {
    "datei-da": "Die Datei ist hochgeladen. Noch ist nichts eingelesen.",
    spalten: "Die Bedeutung der Spalten ist gespeichert.",
    entschieden: "Ihre Entscheidungen sind gespeichert.",
    verworfen: "Die hochgeladenen Dateien sind gelöscht. Es wurde nichts eingelesen.",
  },
  work: [registered(einlesenArbeit)],
  daily: raeumeAb,
};
