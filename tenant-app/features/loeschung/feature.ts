import { erasedBy } from "../../ground/erasure/erasure.ts";
import type { Feature } from "../../ground/feature.ts";
import { archivRoutes } from "./archivseiten.ts";
import { holeLoeschungenNach, loescheFaellige } from "./ausfuehren.ts";
import { Archiv } from "./public.ts";
import { loeschungRoutes } from "./routes.ts";

/** Deletion of an account, with the person: marked, thirty days of grace, then for good. */
export const loeschung: Feature = {
  name: "loeschung",
  tables: ["loeschung", "archivabruf"],
  resources: [Archiv],
  routes: [...loeschungRoutes, ...archivRoutes],
  // Its row goes last, with the person.
  erasure: erasedBy("vorgemerkt_von_loeschen", [
    "loeschung.person_id",
    "loeschung.vorgemerkt_von",
    "archivabruf.person_id",
    "archivabruf.konto_id",
  ]),
  daily: loescheFaellige,
  beforeOpening: holeLoeschungenNach,
  confirmations: {
    vorgemerkt: "Das Konto ist zur Löschung vorgemerkt. Der Zugang ist beendet.",
    "schon-vorgemerkt": "Dieses Konto ist schon zur Löschung vorgemerkt. Es wurde nichts geändert.",
    "loeschung-zurueck": "Die Löschung ist zurückgenommen. Das Konto ist wieder wie vorher.",
    "nicht-vorgemerkt":
      "Dieses Konto war nicht mehr vorgemerkt: Die Löschung wurde schon zurückgenommen oder hat begonnen.",
  },
};
