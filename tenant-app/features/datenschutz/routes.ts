import { type Reply, redirect } from "../../ground/gate/reply.ts";
import { type Declared, route } from "../../ground/gate/route.ts";
import type { PersonVisit, Visit } from "../../ground/gate/visit.ts";
import { page, view } from "../../ground/pages/page.ts";
import { Konto } from "../konten/public.ts";
import { type Datentabelle, datenkatalog } from "./katalog.ts";
import { type Gruppe, verbindungsstatistik } from "./verbindungen.ts";
import { bestaetige, FASSUNG, standVon } from "./zustimmung.ts";

const erklaerung = view<{
  readonly fassung: string;
  readonly kontakt: string;
  readonly zustimmen: boolean;
  readonly schonEinmal: boolean;
  readonly bestaetigt: Date | undefined;
}>("datenschutz/erklaerung");
const daten = view<{ readonly tabellen: readonly Datentabelle[]; readonly anzahl: number }>("datenschutz/daten");

const statistik = view<{ readonly gruppen: readonly Gruppe[] }>("datenschutz/statistik");

const jederLiest = "what is stored and why is to be read before anybody signs in (R10, R12)";

export const datenschutzRoutes: readonly Declared[] = [
  route({ method: "GET", path: "/datenschutz", policy: { public: jederLiest }, handle: oeffentlich }),
  route({ method: "GET", path: "/datenschutz/daten", policy: { public: jederLiest }, handle: datenseite }),
  route({
    method: "GET",
    path: "/datenschutz/statistik",
    policy: { right: Konto.right("lesen"), scope: "schule" },
    handle: async (visit) => {
      const gruppen = await visit.transaction((tx) => verbindungsstatistik(tx));
      return page(visit, statistik, { gruppen }, { title: "Verbindungsstatistik" });
    },
  }),
  route({
    method: "GET",
    path: "/datenschutz/bestaetigen",
    policy: { signedIn: "the policy, and whether one has confirmed it oneself" },
    handle: fuerAngemeldete,
  }),
  route({
    method: "POST",
    path: "/datenschutz",
    policy: { signedIn: "everybody confirms the policy for themselves", signedOut: "/datenschutz" },
    handle: zustimmen,
  }),
];

/** Where questions go (R63): to those who run the school's instance. */
function kontaktVon({ origin }: Visit["app"]["config"]): string {
  const [, ...domain] = new URL(origin).hostname.split(".");
  return `datenschutz@${domain.join(".")}`;
}

async function oeffentlich(visit: Visit): Promise<Reply> {
  const data = {
    fassung: FASSUNG,
    kontakt: kontaktVon(visit.app.config),
    zustimmen: false,
    schonEinmal: false,
    bestaetigt: undefined,
  };
  return page(visit, erklaerung, data, { title: "Datenschutz" });
}

async function fuerAngemeldete(visit: PersonVisit): Promise<Reply> {
  const { bestaetigt, schonEinmal } = await visit.transaction((tx) => standVon(tx, visit.person.accountId));
  const data = {
    fassung: FASSUNG,
    kontakt: kontaktVon(visit.app.config),
    zustimmen: bestaetigt === undefined,
    schonEinmal,
    bestaetigt,
  };
  return page(visit, erklaerung, data, { title: "Datenschutz" });
}

async function zustimmen(visit: PersonVisit): Promise<Reply> {
  // A page of before an update: what was read there is not what holds now.
  if (visit.form.get("fassung") !== FASSUNG) {
    return redirect("/datenschutz/bestaetigen");
  }
  await visit.transaction((tx) => bestaetige(tx, visit.person.accountId, FASSUNG, visit.now));
  return redirect("/datenschutz/bestaetigen?erledigt=zugestimmt");
}

async function datenseite(visit: Visit): Promise<Reply> {
  const tabellen = await datenkatalog(visit.app);
  const anzahl = tabellen.reduce((summe, { angaben }) => summe + angaben.length, 0);
  return page(visit, daten, { tabellen, anzahl }, { title: "Gespeicherte Daten" });
}
