import { z } from "zod";
import type { Catalogue } from "../../ground/catalogue.ts";
import type { Reply } from "../../ground/gate/reply.ts";
import { type Scope, scopes } from "../../ground/gate/rights.ts";
import { type Declared, route, type Subject } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { checked, type InputError, InputProblem } from "../../ground/pages/input.ts";
import { page, view } from "../../ground/pages/page.ts";
import { type Difference, differences, versionOf } from "../../ground/pages/stale.ts";
import { submit } from "../../ground/pages/submit.ts";
import { aendereRolle, legeRolleAn, loescheRolle, type Rollenangaben, rollenname } from "./commands.ts";
import { Rolle as Rollenrecht } from "./public.ts";
import { ladeRolle, ladeRollen, type Recht, type Rolle } from "./queries.ts";

const lesen = { right: Rollenrecht.right("lesen"), scope: "schule" } as const;
const bearbeiten = { right: Rollenrecht.right("bearbeiten"), scope: "schule" } as const;

const rolle: Subject<Rolle> = { relation: "rolle", id: ({ params }) => params.rolle ?? "", load: ladeRolle };

/** What each role may do: shown to those who answer for it, edited by those who may. */
export const rollenRoutes: readonly Declared[] = [
  route({ method: "GET", path: "/rollen", policy: lesen, handle: (visit) => listPage(visit, "", []) }),
  route({ method: "POST", path: "/rollen", policy: bearbeiten, handle: create }),
  route({
    method: "GET",
    path: "/rollen/:rolle",
    policy: bearbeiten,
    object: rolle,
    handle: async (visit, found) => rolePage(visit, found, {}),
  }),
  route({ method: "POST", path: "/rollen/:rolle", policy: bearbeiten, object: rolle, handle: change }),
  route({ method: "POST", path: "/rollen/:rolle/loeschen", policy: bearbeiten, object: rolle, handle: remove }),
];

/** Rules in words: one row for all that is allowed of a thing within the same scope. */
interface Rechtezeile {
  readonly wofuer: string;
  readonly darf: string;
  readonly umfang: string;
}

const liste = view<{
  readonly rollen: ReadonlyArray<Rolle & { readonly zeilen: readonly Rechtezeile[] }>;
  readonly darfBearbeiten: boolean;
  readonly name: string;
}>("rollen/liste");

function inWords({ resources }: Catalogue, rechte: readonly Recht[]): readonly Rechtezeile[] {
  const rows = new Map<string, Rechtezeile>();
  for (const { ressource, aktion, umfang } of rechte) {
    const known = resources.get(ressource);
    const key = JSON.stringify([ressource, umfang]);
    const word = known?.actions[aktion]?.text ?? aktion;
    const row = rows.get(key);
    rows.set(key, {
      wofuer: known?.title ?? ressource,
      darf: row === undefined ? word : `${row.darf}, ${word}`,
      umfang: scopeWords[umfang] ?? umfang,
    });
  }
  return [...rows.values()];
}

async function listPage(visit: PersonVisit, name: string, errors: readonly InputError[]): Promise<Reply> {
  const found = await visit.transaction(ladeRollen);
  const rollen = found.map((one) => ({ ...one, zeilen: inWords(visit.app.catalogue, one.rechte) }));
  const darfBearbeiten = visit.may(bearbeiten.right, "schule");
  return page(visit, liste, { rollen, darfBearbeiten, name }, { title: "Rollen", errors });
}

function create(visit: PersonVisit): Promise<Reply> {
  const name = visit.form.get("name") ?? "";
  return submit({
    done: "/rollen",
    again: ({ errors }) => listPage(visit, name, errors),
    work: async () => {
      const id = await legeRolleAn(visit, checked(z.object({ name: rollenname }), { name }).name);
      return `/rollen/${id}?erledigt=rolle-angelegt`;
    },
  });
}

interface Auswahl {
  readonly wert: string;
  readonly text: string;
  readonly gewaehlt: boolean;
}

interface Rechtefrage {
  readonly feld: string;
  readonly text: string;
  readonly wahl: readonly Auswahl[];
  /** Whether nothing can be chosen but what is so already. */
  readonly fest: boolean;
}

const rollenseite = view<{
  readonly rolle: Rolle;
  readonly werte: {
    readonly name: string;
    readonly aktiv: boolean;
    readonly ansprechbar: boolean;
    readonly zweitfaktor: boolean;
    readonly version: number;
  };
  readonly gruppen: ReadonlyArray<{ readonly titel: string; readonly fragen: readonly Rechtefrage[] }>;
  readonly loeschbar: boolean;
}>("rollen/rolle");

const fieldOf = (ressource: string, aktion: string) => `recht-${ressource}-${aktion}`;

/** Every action of every resource, with the scopes that the person may give: those that they hold, and what is so already. */
function questions(visit: PersonVisit, stored: readonly Recht[], chosen: readonly Recht[]) {
  const scopeIn = (rechte: readonly Recht[], ressource: string, aktion: string): Scope | "" =>
    rechte.find((recht) => recht.ressource === ressource && recht.aktion === aktion)?.umfang ?? "";
  return [...visit.app.catalogue.resources.values()].map(({ name, title, actions, right }) => ({
    titel: title,
    fragen: Object.entries(actions).map(([aktion, { text, scopes: possible }]) => {
      const now = scopeIn(stored, name, aktion);
      const held = possible.filter((scope) => visit.may(right(aktion), scope) || visit.may(right(aktion), "schule"));
      const offered = ["", ...scopes.filter((scope) => held.includes(scope) || scope === now)] as const;
      const wanted = scopeIn(chosen, name, aktion);
      const wahl = offered.map((wert) => ({ wert, text: scopeWords[wert], gewaehlt: wert === wanted }));
      return { feld: fieldOf(name, aktion), text, wahl, fest: held.length === 0 };
    }),
  }));
}

interface RoleState {
  readonly angaben?: Rollenangaben;
  readonly errors?: readonly InputError[];
  readonly stale?: readonly Difference[];
}

function rolePage(visit: PersonVisit, found: Rolle, { angaben, errors = [], stale }: RoleState): Reply {
  const { name, aktiv, ansprechbar, zweitfaktor, rechte } = angaben ?? found;
  return page(
    visit,
    rollenseite,
    {
      rolle: found,
      werte: { name, aktiv, ansprechbar, zweitfaktor, version: found.version },
      gruppen: questions(visit, found.rechte, rechte),
      loeschbar: !found.ausgeliefert && found.konten === 0,
    },
    { title: found.name, errors, ...(stale === undefined ? {} : { stale }) },
  );
}

/** What a form says, as far as it was offered: anything else stays as it is stored. */
function read(visit: PersonVisit, found: Rolle): Rollenangaben {
  const { form } = visit;
  const rechte = questions(visit, found.rechte, found.rechte).flatMap(({ fragen }) =>
    fragen.flatMap(({ feld, wahl }): Recht[] => {
      const [, ressource = "", aktion = ""] = feld.split("-");
      const stored = wahl.find(({ gewaehlt }) => gewaehlt)?.wert ?? "";
      const sent = form.get(feld) ?? stored;
      const wert = wahl.some((one) => one.wert === sent) ? sent : stored;
      const umfang = scopes.find((scope) => scope === wert);
      return umfang === undefined ? [] : [{ ressource, aktion, umfang }];
    }),
  );
  // Rules of a kind that this version does not know: of a newer one that was here before.
  const known = visit.app.catalogue.resources;
  const unknown = found.rechte.filter(
    ({ ressource, aktion }) => !Object.hasOwn(known.get(ressource)?.actions ?? {}, aktion),
  );
  return {
    name: form.get("name") ?? "",
    aktiv: form.has("aktiv"),
    ansprechbar: form.has("ansprechbar"),
    zweitfaktor: form.has("zweitfaktor"),
    rechte: [...rechte, ...unknown],
  };
}

function change(visit: PersonVisit, found: Rolle): Promise<Reply> {
  const angaben = read(visit, found);
  const version = versionOf(visit.form);
  const jetzt = async () => (await visit.transaction((tx) => ladeRolle(tx, found.id))) ?? found;
  const words = (one: Rollenangaben) => described(visit.app.catalogue, one);
  return submit({
    done: "/rollen?erledigt=rolle",
    stale: async () => differences(words(await jetzt()), words(angaben)),
    again: async (state) => rolePage(visit, state.stale ? await jetzt() : found, { angaben, ...state }),
    work: () => {
      const { name } = checked(z.object({ name: rollenname }), angaben);
      refuseBlind(visit.app.catalogue, angaben.rechte);
      return aendereRolle(visit, found.id, version, { ...angaben, name });
    },
  });
}

/** Who changes a thing sees it: without, what they did would look as if it had been refused. Throws InputProblem. */
function refuseBlind({ resources }: Catalogue, rechte: readonly Recht[]): void {
  for (const { name, title, actions } of resources.values()) {
    const held = new Map(
      rechte.filter(({ ressource }) => ressource === name).map((recht) => [recht.aktion, recht.umfang]),
    );
    const others = [...held].filter(([aktion]) => aktion !== "lesen");
    const seen = held.get("lesen");
    const everywhere = others.some(([, umfang]) => umfang === "schule");
    const words = actions.lesen;
    if (words && others.length > 0 && (seen === undefined || (everywhere && seen !== "schule"))) {
      const which = everywhere ? ", und zwar die der ganzen Schule" : "";
      const text = `${title}: Wer mehr darf als „${words.text}“, muss auch das dürfen${which}.`;
      throw new InputProblem({ field: fieldOf(name, "lesen"), text });
    }
  }
}

/** A role in words, by what people call each part. */
function described(
  { resources }: Catalogue,
  { name, aktiv, ansprechbar, zweitfaktor, rechte }: Rollenangaben,
): Record<string, string> {
  const rules = rechte.map(({ ressource, aktion, umfang }): [string, string] => {
    const known = resources.get(ressource);
    return [`${known?.title ?? ressource} ${known?.actions[aktion]?.text ?? aktion}`, scopeWords[umfang]];
  });
  return {
    Name: name,
    "In Gebrauch": aktiv ? "ja" : "nein",
    "Für alle ansprechbar": ansprechbar ? "ja" : "nein",
    "Zweiter Faktor verlangt": zweitfaktor ? "ja" : "nein",
    ...Object.fromEntries(rules),
  };
}

function remove(visit: PersonVisit, found: Rolle): Promise<Reply> {
  return submit({
    done: "/rollen?erledigt=rolle-geloescht",
    again: (state) => rolePage(visit, found, state),
    work: () => loescheRolle(visit, found),
  });
}

const scopeWords: Readonly<Record<Scope | "", string>> = {
  "": "nicht erlaubt",
  eigen: "nur eigene",
  unterrichtet: "im eigenen Unterricht",
  mitglied: "als Mitglied oder durch Freigabe",
  kind: "des eigenen Kindes",
  schule: "der ganzen Schule",
};
