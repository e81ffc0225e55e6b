import { randomUUID } from "node:crypto";
import type { Transaction } from "../../ground/database/database.ts";
import { type Reply, redirect } from "../../ground/gate/reply.ts";
import { type Declared, route } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { germanDay } from "../../ground/pages/days.ts";
import { type InputError, InputProblem } from "../../ground/pages/input.ts";
import { numberedLinks } from "../../ground/pages/numbered.ts";
import { page, view } from "../../ground/pages/page.ts";
import { StaleForm, versionOf } from "../../ground/pages/stale.ts";
import { formNumber } from "../../ground/pages/submit.ts";
import { orderWork } from "../../ground/work/orders.ts";
import { schuljahre } from "../struktur/public.ts";
import { merkeAngaben, mitInhalt, type Einlesung as Offen, offeneEinlesung } from "./ablage.ts";
import { einlesenArbeit } from "./arbeit.ts";
import { ausgelassen, neuePerson } from "./einstellungen.ts";
import { liesAlle } from "./erkennen.ts";
import { prueferMit } from "./kennungen.ts";
import { plane } from "./plan.ts";
import { type Gruppe, gruppen, type Plan, type Planzeile } from "./planform.ts";
import { Einlesung } from "./public.ts";
import { fehlendeRechte } from "./rechte.ts";
import { ladeBestand } from "./stand.ts";

/** What an Einlesung would do, before it does: everything by its kind, what is doubtful to be decided, then the confirmation. */

const einlesen = { right: Einlesung.right("einlesen"), scope: "schule" } as const;

const namen: Readonly<Record<Gruppe, string>> = {
  fehler: "Fehler",
  zweifelhaft: "Zu klären",
  neu: "Neu",
  geaendert: "Geändert",
  fehlt: "Fehlt in der Datei",
  ausgelassen: "Ausgelassen",
  unveraendert: "Unverändert",
};

interface Zeile extends Planzeile {
  /** File and row, in words. */
  readonly wo: string;
  readonly nummer: number;
}

const vorschau = view<{
  readonly pfad: string;
  readonly version: number;
  readonly vorgang: string;
  readonly jahr: string;
  readonly ab: string;
  readonly reiter: ReadonlyArray<{
    readonly gruppe: Gruppe;
    readonly name: string;
    readonly zahl: number;
    readonly gewaehlt: boolean;
  }>;
  readonly gruppe: Gruppe;
  readonly gruppenname: string;
  readonly zeilen: readonly Zeile[];
  readonly seite: number;
  readonly seiten: number;
  readonly mehrere: boolean;
  readonly zurueck: string | undefined;
  readonly weiter: string | undefined;
  readonly hinweise: readonly string[];
  readonly pruefwert: string;
  readonly moeglich: boolean;
  /** What the person may not do and the plan needs. */
  readonly ohneRecht: string;
  readonly leer: boolean;
  readonly fehler_zahl: number;
  readonly zweifel_zahl: number;
  /** How many doubtful rows were decided. */
  readonly entschieden: number;
  readonly neuePerson: string;
  readonly ausgelassen: string;
}>("einlesen/vorschau");

export const vorschauRoutes: readonly Declared[] = [
  route({ method: "GET", path: "/einlesen/vorschau", policy: einlesen, handle: (visit) => zeige(visit) }),
  route({ method: "POST", path: "/einlesen/vorschau", policy: einlesen, handle: entscheide }),
  route({ method: "POST", path: "/einlesen/uebernehmen", policy: einlesen, handle: uebernimm }),
];

const werIst = ({ app, person }: PersonVisit) => ({ app, ich: person.accountId });

interface Geplant {
  readonly offen: Offen;
  readonly plan: Plan;
  readonly jahr: string;
  readonly ab: string;
}

/** The plan as of now; undefined while there is nothing to plan. */
async function planeJetzt(tx: Transaction, visit: PersonVisit): Promise<Geplant | undefined> {
  const offen = await offeneEinlesung(tx, werIst(visit));
  if (!offen?.einstellungen) return undefined;
  const bestand = await ladeBestand(tx, offen.einstellungen, visit.person.accountId, visit.may);
  if (!bestand) return undefined;
  const saetze = liesAlle(await mitInhalt(tx, werIst(visit), offen), bestand.ab);
  const jahr = (await schuljahre(tx)).find(({ id }) => id === bestand.jahr)?.name ?? "";
  return {
    offen,
    plan: plane(saetze, bestand, prueferMit(visit.app.fieldKey), offen.entscheidungen),
    jahr,
    ab: bestand.ab,
  };
}

const jeSeite = 50;

async function zeige(visit: PersonVisit, errors: readonly InputError[] = [], status?: number): Promise<Reply> {
  const geplant = await visit.transaction((tx) => planeJetzt(tx, visit));
  if (!geplant) return redirect("/einlesen");
  const { offen, plan, jahr, ab } = geplant;
  const genannt = visit.query.get("gruppe") ?? visit.form.get("gruppe");
  const gruppe =
    gruppen.find((eine) => eine === genannt && plan.zahlen[eine] > 0) ??
    gruppen.find((eine) => plan.zahlen[eine] > 0) ??
    "unveraendert";
  const alle = plan.zeilen.filter((zeile) => zeile.gruppe === gruppe);
  const seiten = Math.max(1, Math.ceil(alle.length / jeSeite));
  const seite = Math.min(
    Math.max(1, Number.parseInt(visit.query.get("seite") ?? visit.form.get("seite") ?? "1", 10) || 1),
    seiten,
  );
  const links = numberedLinks("/einlesen/vorschau", "", { seite, seiten });
  const inGruppe = (link: string | undefined) => link && `${link}&gruppe=${gruppe}`;
  const ohneRecht = await fehlendeRechte(plan.handlungen, visit.may);
  const data = {
    pfad: "/einlesen/vorschau",
    version: offen.version,
    vorgang: randomUUID(),
    jahr,
    ab: germanDay(ab),
    gruppe,
    gruppenname: namen[gruppe],
    seite,
    seiten,
    reiter: gruppen
      .filter((eine) => plan.zahlen[eine] > 0)
      .map((eine) => ({ gruppe: eine, name: namen[eine], zahl: plan.zahlen[eine], gewaehlt: eine === gruppe })),
    zeilen: alle
      .slice((seite - 1) * jeSeite, seite * jeSeite)
      .map((zeile, nummer) => ({ ...zeile, nummer, wo: wo(zeile) })),
    mehrere: links.mehrere,
    zurueck: inGruppe(links.zurueck),
    weiter: inGruppe(links.weiter),
    hinweise: plan.hinweise,
    pruefwert: plan.pruefwert,
    moeglich: plan.moeglich && ohneRecht.length === 0,
    ohneRecht: ohneRecht.join(", "),
    leer: plan.leer,
    fehler_zahl: plan.zahlen.fehler,
    zweifel_zahl: plan.zahlen.zweifelhaft,
    entschieden: Object.keys(offen.entscheidungen).length,
    neuePerson,
    ausgelassen,
  };
  return page(visit, vorschau, data, { title: "Vorschau", errors, ...(status === undefined ? {} : { status }) });
}

const wo = ({ herkunft }: Planzeile) => (herkunft === undefined ? "" : `${herkunft.datei}, Zeile ${herkunft.zeile}`);

/** Keeps what was decided about doubtful rows. A row's name travels in the form beside its decision. */
async function entscheide(visit: PersonVisit): Promise<Reply> {
  const refs = visit.form.getAll("ref");
  const neue = refs.flatMap((ref, index) => {
    const wahl = visit.form.get(`wer_${index}`) ?? "";
    return wahl === "" || wahl.length > 40 ? [] : [[ref, wahl] as const];
  });
  try {
    await visit.transaction(async (tx) => {
      const offen = await offeneEinlesung(tx, werIst(visit));
      if (!offen) return;
      const bisher = visit.form.get("schritt") === "zurueck" ? {} : offen.entscheidungen;
      const entscheidungen = { ...bisher, ...Object.fromEntries(neue) };
      await merkeAngaben(tx, werIst(visit), visit.now, { ...offen, version: versionOf(visit.form), entscheidungen });
    });
    return redirect("/einlesen/vorschau?erledigt=entschieden");
  } catch (error) {
    if (error instanceof StaleForm) return zeige(visit, [{ field: "", text: anderswo }], 409);
    throw error;
  }
}

const anderswo =
  "Die Dateien, Einstellungen oder Entscheidungen wurden inzwischen geändert, vielleicht in einem anderen Fenster. Sehen Sie sich die neue Vorschau an.";

async function uebernimm(visit: PersonVisit): Promise<Reply> {
  const geplant = await visit.transaction((tx) => planeJetzt(tx, visit));
  if (!geplant) return redirect("/einlesen");
  const { offen, plan } = geplant;
  if (plan.pruefwert !== visit.form.get("pruefwert")) {
    const text =
      "Inzwischen hat sich etwas geändert. Es wurde nichts eingelesen. Dies ist die neue Vorschau: Bitte sehen Sie sie noch einmal durch.";
    return zeige(visit, [{ field: "", text }], 409);
  }
  if (!plan.moeglich || (await fehlendeRechte(plan.handlungen, visit.may)).length > 0)
    return zeige(visit, [{ field: "", text: "Zuerst sind die Fehler zu beheben und die offenen Fragen zu klären." }]);
  try {
    const anzahl = plan.zahlen.neu + plan.zahlen.geaendert;
    const where = await orderWork(visit, einlesenArbeit, formNumber(visit.form), {
      einlesung: offen.id,
      pruefwert: plan.pruefwert,
      anzahl,
    });
    return redirect(where);
  } catch (error) {
    if (error instanceof InputProblem) return zeige(visit, error.errors);
    throw error;
  }
}
