import type { Declared } from "../gate/route.ts";
import { healthRoutes } from "../health/routes.ts";
import { assetRoutes } from "../pages/routes.ts";
import { startRoutes } from "../start/routes.ts";
import { zugangRoutes } from "../zugang/routes.ts";

/** Every route of the platform. */
export const allRoutes: readonly Declared[] = [...healthRoutes, ...assetRoutes, ...zugangRoutes, ...startRoutes];
