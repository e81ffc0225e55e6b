import type { Register } from "../feature.ts";
import type { Declared } from "../gate/route.ts";
import { assetRoutes } from "./assets-route.ts";
import { healthRoutes } from "./health.ts";

/** Every route of a school: the ground's and those of its features. */
export function routesOf({ routes }: Register): readonly Declared[] {
  return [...healthRoutes, ...assetRoutes, ...routes];
}
