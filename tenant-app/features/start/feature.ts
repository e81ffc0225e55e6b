import type { Feature } from "../../ground/feature.ts";
import { startRoutes } from "./routes.ts";

/** The first page after login: what the other features put on it. */
export const start: Feature = { name: "start", tables: [], routes: startRoutes };
