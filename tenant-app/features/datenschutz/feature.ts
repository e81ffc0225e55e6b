import { erasedBy } from "../../ground/erasure/erasure.ts";
import type { Feature } from "../../ground/feature.ts";
import { Konto } from "../konten/public.ts";
import { disclosePerson } from "./operator.ts";
import { datenschutzRoutes } from "./routes.ts";
import { raeumeVerbindungenAb } from "./verbindungen.ts";
import { FASSUNG } from "./zustimmung.ts";

/** What is stored and why, for everybody to read; the privacy policy in its versions, and who confirmed which. */
export const datenschutz: Feature = {
  name: "datenschutz",
  tables: ["zustimmung", "verbindung"],
  volatileTables: ["verbindung"],
  routes: datenschutzRoutes,
  commands: [disclosePerson],
  footer: [
    {
      href: "/datenschutz",
      text: "Datenschutz",
      badge: "datenschutz",
      badgeText: "bitte bestätigen",
      badgeHref: "/datenschutz/bestaetigen",
    },
  ],
  tiles: [
    {
      title: "Verbindungsstatistik",
      href: "/datenschutz/statistik",
      right: Konto.right("lesen"),
      scope: "schule",
      place: 96,
      say: () => ({ text: "Mit welchen Browsern und Geräten die Plattform aufgerufen wird, ohne Bezug zu Personen." }),
      link: { href: "/datenschutz/statistik", text: "Statistik ansehen" },
    },
  ],
  daily: async (app) => ({ connections: await raeumeVerbindungenAb(app) }),
  badges: {
    datenschutz: `SELECT CASE WHEN EXISTS (SELECT FROM zustimmung z WHERE z.person_id = ich() AND z.fassung = '${FASSUNG}') THEN 0 ELSE 1 END`,
  },
  erasure: erasedBy("zustimmungen_der_person_loeschen", ["zustimmung.person_id"]),
  confirmations: { zugestimmt: "Ihre Bestätigung wurde festgehalten." },
};
