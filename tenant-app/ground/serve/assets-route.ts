import { notFound } from "../gate/refusal.ts";
import { text } from "../gate/reply.ts";
import { type Declared, route } from "../gate/route.ts";

/** Stylesheet and sign, the same for everybody. */
export const assetRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/assets/:file",
    policy: { public: "The login page needs its stylesheet; these files hold nothing about anybody" },
    handle: async ({ app, path }) => {
      const asset = app.assets.all.find((candidate) => candidate.path === path);
      if (!asset) {
        throw notFound();
      }
      return text(200, asset.body, asset.type, { headers: { "Cache-Control": "public, max-age=31536000, immutable" } });
    },
  }),
];
