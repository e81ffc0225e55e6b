import { resource } from "../../../tenant-app/ground/gate/rights.ts";

/** What rules say of wishes. */
export const Wunsch = resource({
  name: "Wunsch",
  title: "Wünsche",
  actions: { lesen: ["ansehen", "eigen", "schule"], anlegen: ["anlegen", "eigen"], loeschen: ["löschen", "eigen"] },
});
