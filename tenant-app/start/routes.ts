import { page } from "../gate/reply.ts";
import { type Declared, route } from "../gate/route.ts";
import { personFrame } from "../pages/layout.ts";

/** The first page after login. */
export const startRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/",
    policy: { signedIn: "Greets the person and links what their rights allow; shows nothing of anybody else" },
    handle: async (visit) =>
      page("start/start", {
        ...personFrame(visit),
        titel: "Start",
        gruss: greeting(visit.now),
        vorname: visit.person.vorname,
        rollen: visit.person.rollen.join(", "),
        ungelesen: visit.person.ungelesen,
        darfSchreiben: visit.may("Nachricht", "anlegen"),
        darfHochladen: visit.may("Datei", "anlegen"),
        darfAnlegen: visit.may("Konto", "anlegen", "schule"),
        darfProfil: visit.may("Kontaktdaten", "lesen"),
      }),
  }),
];

/** By the hour in Germany. */
export function greeting(now: Date): string {
  const hour = Number(
    new Intl.DateTimeFormat("en-GB", { hour: "numeric", hour12: false, timeZone: "Europe/Berlin" }).format(now),
  );
  if (hour >= 5 && hour < 11) {
    return "Guten Morgen";
  }
  return hour >= 11 && hour < 18 ? "Guten Tag" : "Guten Abend";
}
