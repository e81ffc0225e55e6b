import { erasedBy } from "../../ground/erasure/erasure.ts";
import type { Feature } from "../../ground/feature.ts";
import { datenschutzRoutes } from "./routes.ts";
import { FASSUNG } from "./zustimmung.ts";

/** What is stored and why, for everybody to read; the privacy policy in its versions, and who confirmed which. */
export const datenschutz: Feature = {
  name: "datenschutz",
  tables: ["zustimmung"],
  routes: datenschutzRoutes,
  footer: [
    {
      href: "/datenschutz",
      text: "Datenschutz",
      badge: "datenschutz",
      badgeText: "bitte bestätigen",
      badgeHref: "/datenschutz/bestaetigen",
    },
  ],
  badges: {
    datenschutz: `SELECT CASE WHEN EXISTS (SELECT FROM zustimmung z WHERE z.person_id = ich() AND z.fassung = '${FASSUNG}') THEN 0 ELSE 1 END`,
  },
  erasure: erasedBy("zustimmungen_der_person_loeschen", ["zustimmung.person_id"]),
  confirmations: { zugestimmt: "Ihre Bestätigung wurde festgehalten." },
};
