import { DatabaseUnavailable } from "../database/database.ts";
import { text } from "../gate/reply.ts";
import { type Declared, route } from "../gate/route.ts";

const policy = { public: "Probes of the platform ask by address, before any login, and learn nothing but a state" };

/** Probes: started, alive, ready. Only readiness asks the database. */
export const healthRoutes: readonly Declared[] = [
  route({ method: "GET", path: "/startupz", policy, anyHost: true, handle: async () => text(200, "started\n") }),
  route({ method: "GET", path: "/livez", policy, anyHost: true, handle: async () => text(200, "alive\n") }),
  route({
    method: "GET",
    path: "/readyz",
    policy,
    anyHost: true,
    handle: async ({ app }) => {
      if (!app.accepting()) {
        return text(503, "stopping\n");
      }
      try {
        await app.database.ping();
        return text(200, "ready\n");
      } catch (error) {
        if (error instanceof DatabaseUnavailable) {
          return text(503, "no database\n");
        }
        throw error;
      }
    },
  }),
];
