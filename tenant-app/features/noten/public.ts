import { resource } from "../../ground/gate/rights.ts";

/** What rules say of marks. */
export const Note = resource({
  name: "Note",
  title: "Noten",
  actions: {
    lesen: ["ansehen", "eigen", "unterrichtet", "kind", "schule"],
    bearbeiten: ["eintragen und ändern", "unterrichtet"],
  },
  deeds: ["anlegen", "loeschen", "freigeben", "zuruecknehmen"],
  sensitive: () => true,
});

/** What rules say of how marks are reckoned. */
export const Notenprofil = resource({
  name: "Notenprofil",
  title: "Notenprofile und Notenschlüssel",
  actions: { bearbeiten: ["anlegen und ändern", "schule"] },
  deeds: ["anlegen", "loeschen"],
  // Its preview shows whose proposal would be what.
  sensitive: () => true,
});
