import { resource } from "../../ground/gate/rights.ts";

/** What rules say of archives. They hold marks: a password alone does not do for who has a second factor, or must have. */
export const Archiv = resource({
  name: "Archiv",
  title: "Archive von Personen",
  actions: { abrufen: ["abrufen, mit Noten", "schule"] },
  sensitive: () => true,
});
