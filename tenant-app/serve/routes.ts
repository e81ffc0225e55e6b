import { dateienRoutes } from "../dateien/routes.ts";
import type { Declared } from "../gate/route.ts";
import { healthRoutes } from "../health/routes.ts";
import { profilRoutes } from "../konto/profil.ts";
import { kontoRoutes } from "../konto/routes.ts";
import { nachrichtenRoutes } from "../nachrichten/routes.ts";
import { assetRoutes } from "../pages/routes.ts";
import { rollenRoutes } from "../rollen/routes.ts";
import { startRoutes } from "../start/routes.ts";
import { zugangRoutes } from "../zugang/routes.ts";

/** Every route of the platform. */
export const allRoutes: readonly Declared[] = [
  ...healthRoutes,
  ...assetRoutes,
  ...zugangRoutes,
  ...startRoutes,
  ...profilRoutes,
  ...kontoRoutes,
  ...rollenRoutes,
  ...nachrichtenRoutes,
  ...dateienRoutes,
];
