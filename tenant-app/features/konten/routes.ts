import { randomUUID } from "node:crypto";
import { isDuplicate } from "../../ground/database/database.ts";
import { relationTo } from "../../ground/gate/relation.ts";
import { type Reply, redirect } from "../../ground/gate/reply.ts";
import { type Declared, route, type Subject } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { checked, fieldsOf, type InputError, InputProblem } from "../../ground/pages/input.ts";
import { type NumberedLinks, type NumberedPage, numberedLinks } from "../../ground/pages/numbered.ts";
import { page, view } from "../../ground/pages/page.ts";
import { type Difference, differences, StaleForm, versionOf } from "../../ground/pages/stale.ts";
import { formNumber } from "../../ground/pages/submit.ts";
import { Archiv } from "../loeschung/public.ts";
import { listenname, vollerName } from "../personen/public.ts";
import { Rolle, type Rollenwahl, rollenDesKontos } from "../rollen/public.ts";
import { personenangaben } from "./anlegen.ts";
import {
  aendereKonto,
  entsperreKonto,
  erneuerePasswort,
  legeKontoAn,
  type NeuerZugang,
  sperreKonto,
} from "./commands.ts";
import { type Kontaktdaten as Angaben, kontaktangaben, ladeKontaktdaten } from "./kontaktdaten.ts";
import { Kontaktdaten, Konto } from "./public.ts";
import { type Kontozeile, ladeKonto, listeKonten } from "./queries.ts";

const forEverybody = (action: Parameters<typeof Konto.right>[0]) =>
  ({ right: Konto.right(action), scope: "schule" }) as const;

const liste = view<
  NumberedPage<Kontozeile & { readonly listenname: string }> &
    NumberedLinks & { readonly suche: string; readonly darfAnlegen: boolean }
>("konten/liste");
const neu = view<{
  readonly vorgang: string;
  readonly werte: Angabenwerte;
  readonly rollen: readonly Rollenwahl[] | undefined;
}>("konten/neu");
const zugangszettel = view<
  NeuerZugang & {
    readonly konto: Pick<Kontozeile, "id">;
    readonly name: string;
    readonly adresse: string;
  }
>("konten/zugangszettel");
const kontoseite = view<{
  /** Of the form for a one-time password. */
  readonly vorgang: string;
  readonly konto: Kontozeile;
  readonly werte: Angabenwerte & Partial<Angaben> & { readonly version: number };
  readonly rollenwahl: readonly Rollenwahl[];
  readonly rollentext: string;
  readonly zeigeKontakt: boolean;
  readonly darfKontakt: boolean;
  readonly darfBearbeiten: boolean;
  readonly darfPasswort: boolean;
  readonly darfSperren: boolean;
  readonly darfLoeschen: boolean;
  readonly darfArchiv: boolean;
  readonly darfRollen: boolean;
  readonly eigenes: boolean;
  /** Whether it manages more than the person who looks. */
  readonly darueber: boolean;
}>("konten/konto");

/** What was typed. */
interface Angabenwerte {
  readonly vorname: string;
  readonly nachname: string;
  readonly email: string;
}
const leer: Angabenwerte = { vorname: "", nachname: "", email: "" };

const konto: Subject<Kontozeile> = { relation: "konto", load: ladeKonto };
/** Somebody else's: for what nobody does to their own. */
const fremdesKonto: Subject<Kontozeile> = {
  relation: "konto",
  load: async (tx, id, { accountId }) => (id === accountId ? undefined : ladeKonto(tx, id)),
};

/** Administration of accounts. */
export const kontoRoutes: readonly Declared[] = [
  route({ method: "GET", path: "/konten", policy: forEverybody("lesen"), handle: listPage }),
  route({
    method: "GET",
    path: "/konten/neu",
    policy: forEverybody("anlegen"),
    handle: (visit) => newPage(visit, { vorgang: randomUUID(), werte: leer, rollen: [], fehler: [] }),
  }),
  route({ method: "POST", path: "/konten", policy: forEverybody("anlegen"), handle: create }),
  route({
    method: "GET",
    path: "/konten/:id",
    policy: forEverybody("lesen"),
    object: konto,
    handle: (visit, konto) => accountPage(visit, konto, {}),
  }),
  route({
    method: "POST",
    path: "/konten/:id",
    policy: forEverybody("bearbeiten"),
    object: konto,
    handle: change,
  }),
  route({
    method: "POST",
    path: "/konten/:id/sperren",
    policy: forEverybody("sperren"),
    object: konto,
    handle: async (visit, konto) => {
      await sperreKonto(visit, konto);
      return redirect(`/konten/${konto.id}?erledigt=gesperrt`);
    },
  }),
  route({
    method: "POST",
    path: "/konten/:id/entsperren",
    policy: forEverybody("sperren"),
    object: konto,
    handle: async (visit, konto) => {
      await entsperreKonto(visit, konto);
      return redirect(`/konten/${konto.id}?erledigt=entsperrt`);
    },
  }),
  route({
    method: "POST",
    path: "/konten/:id/einmalpasswort",
    policy: forEverybody("bearbeiten"),
    object: fremdesKonto,
    handle: async (visit, konto) => {
      const zugang = await erneuerePasswort(visit, konto, formNumber(visit.form));
      return zugang
        ? passwordSlip(visit, konto, zugang, 200)
        : redirect(`/konten/${konto.id}?erledigt=einmalpasswort-vorhanden`);
    },
  }),
];

async function listPage(visit: PersonVisit): Promise<Reply> {
  const suche = visit.query.get("suche") ?? "";
  const found = await visit.transaction((tx) => listeKonten(tx, suche, visit.query));
  const data = {
    ...found,
    ...numberedLinks("/konten", suche, found),
    zeilen: found.zeilen.map((konto) => ({ ...konto, listenname: listenname(konto) })),
    suche,
    darfAnlegen: visit.may(Konto.right("anlegen"), "schule"),
  };
  return page(visit, liste, data, { title: "Konten" });
}

interface NewState {
  /** Becomes the account's id: the same form sent twice makes one account. */
  readonly vorgang: string;
  readonly werte: Angabenwerte;
  readonly rollen: readonly string[];
  readonly fehler: readonly InputError[];
}

async function newPage(visit: PersonVisit, state: NewState): Promise<Reply> {
  const rollen = await visit.transaction((tx) => rollenDesKontos(tx, null));
  const wahl = visit.may(Rolle.right("bearbeiten"), "schule")
    ? rollen.map((rolle) => ({ ...rolle, gewaehlt: state.rollen.includes(rolle.id) }))
    : undefined;
  const { vorgang, werte, fehler } = state;
  return page(visit, neu, { vorgang, werte, rollen: wahl }, { title: "Konto anlegen", errors: fehler });
}

async function create(visit: PersonVisit): Promise<Reply> {
  const werte = fieldsOf(visit.form, "vorname", "nachname", "email");
  const rollen = visit.may(Rolle.right("bearbeiten"), "schule") ? visit.form.getAll("rolle") : [];
  const id = formNumber(visit.form);
  try {
    const zugang = await legeKontoAn(visit, id, checked(personenangaben, werte), rollen);
    return passwordSlip(visit, { id, ...werte }, zugang, 201);
  } catch (error) {
    if (error instanceof InputProblem) {
      return newPage(visit, { vorgang: id, werte, rollen, fehler: error.errors });
    }
    if (isDuplicate(error, "person_pkey")) {
      return redirect(`/konten/${id}?erledigt=konto-vorhanden`);
    }
    throw error;
  }
}

/** Shows a one-time password, once: it cannot be shown again because it is not stored. */
function passwordSlip(
  visit: PersonVisit,
  konto: { readonly id: string; readonly vorname: string; readonly nachname: string },
  zugang: NeuerZugang,
  status: 200 | 201,
): Reply {
  const { origin } = visit.app.config;
  const title = status === 201 ? "Konto angelegt" : "Neues Einmalpasswort";
  return page(visit, zugangszettel, { konto, name: vollerName(konto), ...zugang, adresse: origin }, { title, status });
}

/** Whether contact data of everybody may be changed; who does not see them cannot. */
function darfKontaktdaten(visit: PersonVisit): boolean {
  const { right } = Kontaktdaten;
  return visit.may(right("lesen"), "schule") && visit.may(right("bearbeiten"), "schule");
}

interface AccountState {
  /** What was typed. */
  readonly werte?: Angabenwerte & Partial<Angaben>;
  /** Which roles are ticked. */
  readonly rollen?: readonly string[] | undefined;
  readonly errors?: readonly InputError[];
  readonly stale?: readonly Difference[];
}

async function accountPage(visit: PersonVisit, konto: Kontozeile, state: AccountState): Promise<Reply> {
  const zeigeKontakt = visit.may(Kontaktdaten.right("lesen"), "schule");
  const { rollen, kontakt, bezug } = await visit.transaction(async (tx) => ({
    rollen: await rollenDesKontos(tx, konto.id),
    kontakt: zeigeKontakt ? await ladeKontaktdaten(tx, visit.app, konto.id) : undefined,
    bezug: await relationTo(tx, "konto", konto.id, "bearbeiten"),
  }));
  const eigenes = konto.id === visit.person.accountId;
  const darueber = bezug.schule !== true;
  const darfBearbeiten = visit.may(Konto.right("bearbeiten"), "schule") && !darueber;
  return page(
    visit,
    kontoseite,
    {
      vorgang: randomUUID(),
      konto,
      werte: { ...konto, ...kontakt, ...state.werte },
      rollenwahl: rollen.map((rolle) => ({ ...rolle, gewaehlt: state.rollen?.includes(rolle.id) ?? rolle.gewaehlt })),
      rollentext: konto.rollen.join(", "),
      zeigeKontakt,
      darfKontakt: darfKontaktdaten(visit),
      darfBearbeiten,
      darfPasswort: darfBearbeiten && !eigenes,
      darfSperren: visit.may(Konto.right("sperren"), "schule") && !eigenes && !darueber,
      darfLoeschen: visit.may(Konto.right("loeschen"), "schule") && !eigenes && !darueber,
      darfArchiv: visit.may(Archiv.right("abrufen"), "schule"),
      darueber: darueber && !eigenes,
      darfRollen: darfBearbeiten && visit.may(Rolle.right("bearbeiten"), "schule") && !eigenes,
      eigenes,
    },
    {
      title: vollerName(konto),
      errors: state.errors ?? [],
      ...(state.stale === undefined ? {} : { stale: state.stale }),
    },
  );
}

async function change(visit: PersonVisit, konto: Kontozeile): Promise<Reply> {
  const mitKontakt = darfKontaktdaten(visit);
  const mitRollen = visit.may(Rolle.right("bearbeiten"), "schule") && konto.id !== visit.person.accountId;
  const werte = fieldsOf(visit.form, "vorname", "nachname", "email", "telefon", "mobil", "anschrift");
  const rollen = mitRollen ? visit.form.getAll("rolle") : undefined;
  const version = versionOf(visit.form);
  try {
    const angaben = checked(personenangaben, werte);
    const kontakt = mitKontakt ? checked(kontaktangaben, werte) : undefined;
    await aendereKonto(visit, konto, version, { angaben, kontakt, rollen });
    return redirect(`/konten/${konto.id}?erledigt=konto`);
  } catch (error) {
    if (error instanceof InputProblem) {
      return accountPage(visit, konto, { werte, rollen, errors: error.errors });
    }
    if (error instanceof StaleForm) {
      return stalePage(visit, konto, werte, rollen);
    }
    throw error;
  }
}

/** Both states of an account: what is stored by now, and what the form says. */
async function stalePage(
  visit: PersonVisit,
  konto: Kontozeile,
  werte: Angabenwerte & Angaben,
  rollen: readonly string[] | undefined,
): Promise<Reply> {
  const mitKontakt = darfKontaktdaten(visit);
  const { now, wahl, kontakt } = await visit.transaction(async (tx) => ({
    now: (await ladeKonto(tx, konto.id)) ?? konto,
    wahl: await rollenDesKontos(tx, konto.id),
    kontakt: mitKontakt ? await ladeKontaktdaten(tx, visit.app, konto.id) : undefined,
  }));
  const names = (ids: readonly string[]) =>
    wahl
      .filter(({ id }) => ids.includes(id))
      .map(({ name }) => name)
      .join(", ");
  const inWords = (
    { vorname, nachname, email }: Angabenwerte,
    angaben: Angaben | undefined,
    ids: readonly string[] | undefined,
  ) => ({
    Vorname: vorname,
    Nachname: nachname,
    "E-Mail-Adresse": email,
    ...(angaben && { Telefon: angaben.telefon, Mobil: angaben.mobil, Anschrift: angaben.anschrift }),
    ...(ids === undefined ? {} : { Rollen: names(ids) }),
  });
  const given = wahl.filter(({ gewaehlt }) => gewaehlt).map(({ id }) => id);
  const stale = differences(inWords(now, kontakt, rollen && given), inWords(werte, kontakt && werte, rollen));
  return accountPage(visit, now, { werte, rollen, stale });
}
