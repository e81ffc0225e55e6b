import type { Feature } from "../../ground/feature.ts";
import { Rolle } from "./public.ts";
import { rollenRoutes } from "./routes.ts";

/** Roles and what they may. */
export const rollen: Feature = {
  name: "rollen",
  tables: ["rolle", "recht", "konto_rolle"],
  resources: [Rolle],
  routes: rollenRoutes,
  navigation: [{ href: "/rollen", text: "Rollen", right: Rolle.right("lesen"), scope: "schule", place: 85 }],
};
