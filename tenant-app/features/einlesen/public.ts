import { managing, resource } from "../../ground/gate/rights.ts";

/** What rules say of reading lists from other programs. What is written by it needs the rights to write it by hand, too. */
export const Einlesung = resource({
  name: "Einlesung",
  title: "Listen einlesen",
  actions: { einlesen: ["Personen, Klassen und Kurse aus Dateien einlesen", "schule"] },
  deeds: ["zuordnen"],
  sensitive: managing,
});
