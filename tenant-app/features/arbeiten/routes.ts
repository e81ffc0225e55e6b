import { notFound } from "../../ground/gate/refusal.ts";
import { type Reply, redirect } from "../../ground/gate/reply.ts";
import { type Declared, route } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { page, view } from "../../ground/pages/page.ts";
import { callOff, type Order, type Outcome, ownOrders } from "../../ground/work/orders.ts";

interface Arbeit {
  readonly id: string;
  readonly was: string;
  readonly seit: Date;
  readonly laeuft: boolean;
  /** E.g. „120 von 400". */
  readonly stand: string;
  readonly anteil: number | undefined;
  readonly stockt: boolean;
  readonly ende: Date | undefined;
  readonly ausgang: string;
  readonly gut: boolean;
  readonly text: string;
  readonly href: string;
}

const liste = view<{ readonly arbeiten: readonly Arbeit[] }>("arbeiten/liste");
const seite = view<{ readonly arbeit: Arbeit; readonly vonSelbst: boolean }>("arbeiten/arbeit");

const own = "Shows and calls off what the person has ordered; row-level security shows nothing else";
/** A page about running work asks again by itself after so many seconds, unless somebody wants to read in peace. */
const refreshSeconds = 3;

export const arbeitenRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/arbeiten",
    policy: { signedIn: own },
    handle: async (visit) => {
      const orders = await visit.transaction((tx) => ownOrders(tx, visit));
      return page(visit, liste, { arbeiten: orders.map((one) => inWords(visit, one)) }, { title: "Ihre Arbeiten" });
    },
  }),
  route({ method: "GET", path: "/arbeiten/:id", policy: { signedIn: own }, handle: show }),
  route({
    method: "POST",
    path: "/arbeiten/:id/abbrechen",
    policy: { signedIn: own },
    handle: async (visit) => {
      const id = visit.params.id ?? "";
      const stopped = await visit.transaction(async (tx) => {
        existing(await ownOrders(tx, visit, id));
        return callOff(tx, id, visit.now);
      });
      return redirect(`/arbeiten/${id}?erledigt=${stopped ? "abgebrochen" : "schon-zu-ende"}`);
    },
  }),
];

async function show(visit: PersonVisit): Promise<Reply> {
  const found = await visit.transaction((tx) => ownOrders(tx, visit, visit.params.id));
  const arbeit = inWords(visit, existing(found));
  const vonSelbst = arbeit.laeuft && visit.query.get("ruhig") !== "ja";
  const headers = vonSelbst ? { refresh: `${refreshSeconds};url=/arbeiten/${arbeit.id}` } : {};
  return page(visit, seite, { arbeit, vonSelbst }, { title: arbeit.was, headers });
}

function existing([order]: readonly Order[]): Order {
  if (order === undefined) {
    throw notFound();
  }
  return order;
}

const outcomes: Readonly<Record<Outcome, string>> = {
  fertig: "fertig",
  abgelehnt: "nicht möglich",
  abgebrochen: "abgebrochen",
  gescheitert: "fehlgeschlagen",
};

function inWords(visit: PersonVisit, order: Order): Arbeit {
  const { id, done, total, ended, outcome, result } = order;
  return {
    id,
    was: visit.app.catalogue.work.get(order.kind) ?? "Arbeit einer anderen Version",
    seit: order.ordered,
    laeuft: ended === undefined,
    stand: total === undefined ? (done > 0 ? `${done} erledigt` : "noch nicht begonnen") : `${done} von ${total}`,
    anteil: total === undefined || total === 0 ? undefined : Math.floor((100 * done) / total),
    stockt: ended === undefined && order.attempts > 1,
    ende: ended,
    ausgang: outcome === undefined ? "läuft" : outcomes[outcome],
    gut: outcome === "fertig",
    text: result?.text ?? "",
    href: result?.href ?? "",
  };
}
