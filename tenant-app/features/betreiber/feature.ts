import { erasedBy } from "../../ground/erasure/erasure.ts";
import type { Feature } from "../../ground/feature.ts";
import { route } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { page, view } from "../../ground/pages/page.ts";
import { forgetOlder } from "../../ground/work/forget.ts";
import { Konto } from "../konten/public.ts";

interface Zugriff {
  readonly zeit: Date;
  readonly was: string;
  readonly grund: string;
  readonly von: string;
}
const seite = view<{ readonly zugriffe: readonly Zugriff[] }>("betreiber/zugriffe");

async function zugriffe(visit: PersonVisit) {
  const rows = await visit.transaction((tx) =>
    tx.all<Zugriff & Record<string, unknown>>(
      "SELECT b.zeit, b.was, b.grund, b.von FROM betreiberzugriff b ORDER BY b.zeit DESC, b.id LIMIT 200",
    ),
  );
  return page(visit, seite, { zugriffe: rows }, { title: "Zugriffe des Betreibers" });
}

/** For so long the school sees them; milliseconds. */
const sichtbarMs = 365 * 24 * 60 * 60 * 1000;

/** What those who run the instance did by hand in the school, for the school to see (R48). */
export const betreiber: Feature = {
  name: "betreiber",
  disclosure: { "betreiberzugriff.was": { names: "username" } },
  tables: ["betreiberzugriff"],
  daily: async (app) => ({ forgottenAccesses: await forgetOlder(app, "betreiberzugriffe_vergessen", sichtbarMs) }),
  routes: [
    route({
      method: "GET",
      path: "/betreiber",
      policy: { right: Konto.right("lesen"), scope: "schule" },
      handle: zugriffe,
    }),
  ],
  erasure: erasedBy("betreiberzugriffe_der_person_loeschen", ["betreiberzugriff.was"]),
  tiles: [
    {
      title: "Zugriffe des Betreibers",
      href: "/betreiber",
      right: Konto.right("lesen"),
      scope: "schule",
      place: 95,
      say: () => ({
        text: "Wo der Betreiber von Hand in die Daten der Schule eingegriffen oder Auskunft gegeben hat, und warum.",
      }),
      link: { href: "/betreiber", text: "Zugriffe ansehen" },
    },
  ],
};
