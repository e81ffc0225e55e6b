import type { Feature } from "../../ground/feature.ts";
import { arbeitenRoutes } from "./routes.ts";

/** How far one's own background work is. What work there is, other features say. */
export const arbeiten: Feature = {
  name: "arbeiten",
  tables: [],
  routes: arbeitenRoutes,
  confirmations: {
    abgebrochen: "Die Arbeit ist abgebrochen. Was bis dahin getan war, gilt.",
    "schon-zu-ende": "Die Arbeit war schon zu Ende.",
  },
};
