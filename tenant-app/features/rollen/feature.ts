import { erasedBy } from "../../ground/erasure/erasure.ts";
import type { Feature } from "../../ground/feature.ts";
import { erfindeRollen } from "./erfinden.ts";
import { Rolle } from "./public.ts";
import { rollenRoutes } from "./routes.ts";

/** Roles and what they may. */
export const rollen: Feature = {
  name: "rollen",
  tables: ["rolle", "recht", "konto_rolle"],
  resources: [Rolle],
  routes: rollenRoutes,
  confirmations: {
    "rolle-angelegt": "Die Rolle ist angelegt. Legen Sie nun fest, was sie erlaubt.",
    rolle: "Die Rolle wurde gespeichert. Ihre Rechte gelten ab sofort.",
    "rolle-geloescht": "Die Rolle wurde gelöscht.",
  },
  navigation: [{ href: "/rollen", text: "Rollen", right: Rolle.right("lesen"), scope: "schule", place: 85 }],
  erasure: erasedBy("rollen_der_person_loeschen", ["konto_rolle.konto_id"]),
  invent: erfindeRollen,
};
