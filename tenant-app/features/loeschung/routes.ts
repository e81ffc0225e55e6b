import { z } from "zod";
import type { Holding } from "../../ground/erasure/erasure.ts";
import { type Reply, redirect } from "../../ground/gate/reply.ts";
import { type Declared, route, type Subject } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { checked, fieldsOf, InputProblem } from "../../ground/pages/input.ts";
import { type NumberedLinks, type NumberedPage, numbered, numberedLinks } from "../../ground/pages/numbered.ts";
import { page, view } from "../../ground/pages/page.ts";
import { StaleForm, versionOf } from "../../ground/pages/stale.ts";
import { type FormState, submit } from "../../ground/pages/submit.ts";
import { Konto, ladeZuloeschendes, type Zuloeschendes } from "../konten/public.ts";
import { vollerName } from "../personen/public.ts";
import { Archiv } from "./public.ts";
import { ladeVorgemerkte, merkeVor, nimmZurueck, standDesArchivs, type Vorgemerkte, vorgemerkte } from "./vormerken.ts";

const liste = view<
  NumberedPage<Vorgemerkte> & NumberedLinks & { readonly darf: boolean; readonly darfArchiv: boolean }
>("loeschung/liste");
const seite = view<{
  readonly konto: Zuloeschendes;
  readonly name: string;
  readonly vorgemerkt: Vorgemerkte | undefined;
  readonly bestand: readonly Holding[];
  /** When the archive was fetched last. */
  readonly abgerufen: Date | undefined;
  readonly darfArchiv: boolean;
  /** The day on which it would go, ISO 8601. */
  readonly faellig: string;
  readonly werte: { readonly inhalte: string; readonly bestaetigung: string };
}>("loeschung/loeschen");

const darf = { right: Konto.right("loeschen"), scope: "schule" } as const;
const konto: Subject<Zuloeschendes> = { relation: "loeschung", load: ladeZuloeschendes };

export const loeschungRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/loeschungen",
    policy: { right: Konto.right("lesen"), scope: "schule" },
    handle: uebersicht,
  }),
  route({
    method: "GET",
    path: "/konten/:id/loeschen",
    policy: darf,
    object: konto,
    handle: (visit, wessen) => loeschseite(visit, wessen, leer, { errors: [] }),
  }),
  route({ method: "POST", path: "/konten/:id/loeschen", policy: darf, object: konto, handle: vormerken }),
  route({ method: "POST", path: "/loeschungen/:id/zuruecknehmen", policy: darf, object: konto, handle: zuruecknehmen }),
];

const leer = { inhalte: "", bestaetigung: "" };

async function uebersicht(visit: PersonVisit): Promise<Reply> {
  const found = await visit.transaction((tx) => numbered<Vorgemerkte>(tx, vorgemerkte, visit.query));
  const data = {
    ...found,
    ...numberedLinks("/loeschungen", "", found),
    darf: visit.may(Konto.right("loeschen"), "schule"),
    darfArchiv: visit.may(Archiv.right("abrufen"), "schule"),
  };
  return page(visit, liste, data, { title: "Zur Löschung vorgemerkt" });
}

async function loeschseite(
  visit: PersonVisit,
  wessen: Zuloeschendes,
  werte: typeof leer,
  { errors }: FormState,
): Promise<Reply> {
  const { app } = visit;
  const found = await visit.transaction(async (tx) => {
    const vorgemerkt = await ladeVorgemerkte(tx, wessen.id);
    const bestand: Holding[] = [];
    for (const holdings of vorgemerkt ? [] : app.catalogue.holdings) {
      bestand.push(...(await holdings(tx, wessen.id)));
    }
    return { vorgemerkt, bestand, ...(await standDesArchivs(tx, wessen.id)) };
  });
  const darfArchiv = visit.may(Archiv.right("abrufen"), "schule");
  const data = { konto: wessen, name: vollerName(wessen), ...found, darfArchiv, werte };
  return page(visit, seite, data, { title: `Konto löschen: ${vollerName(wessen)}`, errors });
}

const angaben = z.object({
  inhalte: z.enum(["weg", "anonym"], "Bitte wählen Sie, was aus den Inhalten wird."),
  bestaetigung: z.string().trim().toLowerCase(),
});

function vormerken(visit: PersonVisit, wessen: Zuloeschendes): Promise<Reply> {
  const werte = fieldsOf(visit.form, "inhalte", "bestaetigung");
  return submit({
    done: "/loeschungen?erledigt=vorgemerkt",
    again: (state) => loeschseite(visit, wessen, werte, state),
    work: async () => {
      const { inhalte, bestaetigung } = checked(angaben, werte);
      if (bestaetigung !== wessen.benutzername) {
        const text = `Bitte geben Sie zur Bestätigung den Benutzernamen des Kontos ein: ${wessen.benutzername}.`;
        throw new InputProblem({ field: "bestaetigung", text });
      }
      try {
        await merkeVor(visit, wessen, { inhalte, version: versionOf(visit.form) });
        return undefined;
      } catch (error) {
        if (!(error instanceof StaleForm)) throw error;
        return await veraltet(visit, wessen);
      }
    },
  });
}

/** Somebody else was quicker: marked it, or gave the account another name, so that it may be somebody else who is meant. */
async function veraltet(visit: PersonVisit, { id }: Zuloeschendes): Promise<string> {
  if (await visit.transaction((tx) => ladeVorgemerkte(tx, id))) {
    return "/loeschungen?erledigt=schon-vorgemerkt";
  }
  const text =
    "Das Konto wurde inzwischen geändert. Es wurde nicht vorgemerkt. Prüfen Sie, ob es noch das richtige ist, und bestätigen Sie noch einmal.";
  throw new InputProblem({ field: "", text });
}

async function zuruecknehmen(visit: PersonVisit, wessen: Zuloeschendes): Promise<Reply> {
  const zurueck = await nimmZurueck(visit, wessen);
  return redirect(
    zurueck ? `/konten/${wessen.id}?erledigt=loeschung-zurueck` : "/loeschungen?erledigt=nicht-vorgemerkt",
  );
}
