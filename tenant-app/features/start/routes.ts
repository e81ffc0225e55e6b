import { type Declared, route } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { page, view } from "../../ground/pages/page.ts";

interface Kachel {
  readonly titel: string;
  readonly href: string;
  readonly wichtig: string | undefined;
  readonly text: string;
  readonly verweis: { readonly href: string; readonly text: string };
}

const startseite = view<{
  readonly gruss: string;
  readonly name: string;
  readonly ohneRolle: boolean;
  readonly kacheln: readonly Kachel[];
}>("start/start");

/** The first page after login. */
export const startRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/",
    policy: { signedIn: "Greets the person and links what their rights allow; shows nothing of anybody else" },
    handle: async (visit) =>
      page(
        visit,
        startseite,
        {
          gruss: greeting(visit.now),
          name: `${visit.person.firstName} ${visit.person.lastName}`,
          ohneRolle: visit.person.roles.length === 0,
          kacheln: kacheln(visit),
        },
        { title: "Start" },
      ),
  }),
];

function kacheln(visit: PersonVisit): Kachel[] {
  return visit.app.catalogue.tiles
    .filter(({ right, scope }) => visit.may(right, scope))
    .map(({ title, href, say, link }) => {
      const { important, text } = say(visit);
      return { titel: title, href, wichtig: important, text, verweis: link };
    });
}

/** Made once: making one takes longer than the rest of the page. */
const hourInGermany = new Intl.DateTimeFormat("en-GB", { hour: "numeric", hour12: false, timeZone: "Europe/Berlin" });

/** By the hour in Germany. */
export function greeting(now: Date): string {
  const hour = Number(hourInGermany.format(now));
  if (hour >= 5 && hour < 11) {
    return "Guten Morgen";
  }
  return hour >= 11 && hour < 18 ? "Guten Tag" : "Guten Abend";
}
