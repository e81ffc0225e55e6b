import { notFound } from "../gate/refusal.ts";
import { text } from "../gate/reply.ts";
import { type Declared, route } from "../gate/route.ts";

/** Whether a browser takes an encoding (RFC 9110, 12.5.3); one with the weight 0 it does not. */
function accepts(encodings: string, encoding: string): boolean {
  return encodings.split(",").some((part) => {
    const [name = "", weight = ""] = part.split(";").map((text) => text.trim().toLowerCase());
    return name === encoding && !/^q=0(\.0*)?$/.test(weight);
  });
}

/**
 * Stylesheet and sign, the same for everybody. Pages are not compressed: how long a compressed page is tells whoever can put something into
 * it what else it holds (BREACH).
 */
export const assetRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/assets/:file",
    policy: { public: "The login page needs its stylesheet; these files hold nothing about anybody" },
    handle: async ({ app, path, encodings }) => {
      const asset = app.assets.all.find((candidate) => candidate.path === path);
      if (!asset) {
        throw notFound();
      }
      const headers = { "Cache-Control": "public, max-age=31536000, immutable", Vary: "Accept-Encoding" };
      const { brotli } = asset;
      return brotli && accepts(encodings, "br")
        ? text(200, brotli, asset.type, { headers: { ...headers, "Content-Encoding": "br" } })
        : text(200, asset.body, asset.type, { headers });
    },
  }),
];
