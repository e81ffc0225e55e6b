import { randomUUID } from "node:crypto";
import { z } from "zod";
import { isDuplicate } from "../database/database.ts";
import type { Aktion } from "../gate/rechte.ts";
import { page, type Reply, redirect } from "../gate/reply.ts";
import { type Declared, route } from "../gate/route.ts";
import type { PersonVisit } from "../gate/visit.ts";
import { type Eingabefehler, Eingabeproblem, felder, jeFeld, pruefe } from "../pages/eingaben.ts";
import { personFrame } from "../pages/layout.ts";
import { personenangaben } from "./anlegen.ts";
import {
  aendereKonto,
  entsperreKonto,
  erneuerePasswort,
  legeKontoAn,
  type NeuerZugang,
  sperreKonto,
  weiseRollenZu,
} from "./commands.ts";
import { kontaktangaben, ladeKontaktdaten } from "./kontaktdaten.ts";
import { findeFremdesKonto, findeKonto, type Konto, listeKonten, rollenDesKontos } from "./queries.ts";

const forEverybody = (action: Aktion) => ({ resource: "Konto", action, scope: "schule" }) as const;

/** Administration of accounts. */
export const kontoRoutes: readonly Declared[] = [
  route({ method: "GET", path: "/konten", policy: forEverybody("lesen"), handle: listPage }),
  route({
    method: "GET",
    path: "/konten/neu",
    policy: forEverybody("anlegen"),
    handle: (visit) => newPage(visit, { vorgang: randomUUID(), werte: {}, rollen: [], fehler: [] }),
  }),
  route({ method: "POST", path: "/konten", policy: forEverybody("anlegen"), handle: create }),
  route({
    method: "GET",
    path: "/konten/:id",
    policy: forEverybody("lesen"),
    find: (tx, visit) => findeKonto(tx, visit.params.id, visit.kontoId),
    handle: (visit, konto) => accountPage(visit, konto, {}, []),
  }),
  route({
    method: "POST",
    path: "/konten/:id",
    policy: forEverybody("bearbeiten"),
    find: (tx, visit) => findeKonto(tx, visit.params.id, visit.kontoId),
    handle: change,
  }),
  route({
    method: "POST",
    path: "/konten/:id/sperren",
    policy: forEverybody("sperren"),
    find: (tx, visit) => findeFremdesKonto(tx, visit.params.id, visit.kontoId),
    handle: async (visit, konto) => {
      await sperreKonto(visit, konto);
      return redirect(`/konten/${konto.id}?erledigt=gesperrt`);
    },
  }),
  route({
    method: "POST",
    path: "/konten/:id/entsperren",
    policy: forEverybody("sperren"),
    find: (tx, visit) => findeFremdesKonto(tx, visit.params.id, visit.kontoId),
    handle: async (visit, konto) => {
      await entsperreKonto(visit, konto);
      return redirect(`/konten/${konto.id}?erledigt=entsperrt`);
    },
  }),
  route({
    method: "POST",
    path: "/konten/:id/einmalpasswort",
    policy: forEverybody("bearbeiten"),
    find: (tx, visit) => findeFremdesKonto(tx, visit.params.id, visit.kontoId),
    handle: async (visit, konto) => passwordSlip(visit, konto, await erneuerePasswort(visit, konto), 200),
  }),
  route({
    method: "POST",
    path: "/konten/:id/rollen",
    policy: { resource: "Rolle", action: "bearbeiten", scope: "schule" },
    find: (tx, visit) => findeFremdesKonto(tx, visit.params.id, visit.kontoId),
    handle: async (visit, konto) => {
      await weiseRollenZu(visit, konto, visit.form.getAll("rolle"));
      return redirect(`/konten/${konto.id}?erledigt=rollen`);
    },
  }),
];

async function listPage(visit: PersonVisit): Promise<Reply> {
  const suche = visit.query.get("suche") ?? "";
  const seite = Number.parseInt(visit.query.get("seite") ?? "1", 10) || 1;
  const liste = await visit.transaction((tx) => listeKonten(tx, suche, seite));
  const link = (number: number) =>
    `/konten?${new URLSearchParams({ ...(suche ? { suche } : {}), seite: String(number) })}`;
  return page("konto/liste", {
    ...personFrame(visit),
    titel: "Konten",
    suche,
    ...liste,
    mehrere: liste.seiten > 1,
    zurueck: liste.seite > 1 ? link(liste.seite - 1) : undefined,
    weiter: liste.seite < liste.seiten ? link(liste.seite + 1) : undefined,
    darfAnlegen: visit.may("Konto", "anlegen", "schule"),
  });
}

interface NewState {
  /** Becomes the account's id: the same form sent twice makes one account. */
  readonly vorgang: string;
  readonly werte: Readonly<Record<string, string>>;
  readonly rollen: readonly string[];
  readonly fehler: readonly Eingabefehler[];
}

async function newPage(visit: PersonVisit, state: NewState): Promise<Reply> {
  const rollen = await visit.transaction((tx) => rollenDesKontos(tx, null));
  return page(
    "konto/neu",
    {
      ...personFrame(visit),
      titel: "Konto anlegen",
      vorgang: state.vorgang,
      werte: state.werte,
      ...(visit.may("Rolle", "bearbeiten", "schule")
        ? { rollen: rollen.map((rolle) => ({ ...rolle, gewaehlt: state.rollen.includes(rolle.id) })) }
        : {}),
      ...errors(state.fehler),
    },
    { status: state.fehler.length > 0 ? 422 : 200 },
  );
}

async function create(visit: PersonVisit): Promise<Reply> {
  const werte = felder(visit.form, "vorname", "nachname", "email");
  const rollen = visit.may("Rolle", "bearbeiten", "schule") ? visit.form.getAll("rolle") : [];
  const vorgang = z.uuid().safeParse(visit.form.get("vorgang"));
  const id = vorgang.success ? vorgang.data.toLowerCase() : randomUUID();
  try {
    const zugang = await legeKontoAn(visit, id, pruefe(personenangaben, werte), rollen);
    return passwordSlip(visit, { id, ...werte }, zugang, 201);
  } catch (error) {
    if (error instanceof Eingabeproblem) {
      return newPage(visit, { vorgang: id, werte, rollen, fehler: error.fehler });
    }
    if (isDuplicate(error, "konto_pkey")) {
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
  const data = {
    ...personFrame(visit),
    titel: status === 201 ? "Konto angelegt" : "Neues Einmalpasswort",
    konto,
    ...zugang,
    adresse: visit.app.config.origin,
  };
  return page("konto/zugangszettel", data, { status });
}

async function accountPage(
  visit: PersonVisit,
  konto: Konto,
  eingabe: Readonly<Record<string, string>>,
  fehler: readonly Eingabefehler[],
): Promise<Reply> {
  const zeigeKontakt = visit.may("Kontaktdaten", "lesen", "schule");
  const { rollen, kontakt } = await visit.transaction(async (tx) => ({
    rollen: await rollenDesKontos(tx, konto.id),
    kontakt: zeigeKontakt ? await ladeKontaktdaten(tx, visit.app.fieldKey, konto.id) : undefined,
  }));
  const eigenes = konto.id === visit.person.kontoId;
  return page(
    "konto/konto",
    {
      ...personFrame(visit),
      titel: `${konto.vorname} ${konto.nachname}`,
      konto,
      werte: { ...konto, ...kontakt, ...eingabe },
      rollenwahl: rollen,
      rollentext: konto.rollen.join(", "),
      zeigeKontakt,
      darfKontakt: visit.may("Kontaktdaten", "bearbeiten", "schule"),
      darfBearbeiten: visit.may("Konto", "bearbeiten", "schule"),
      darfPasswort: visit.may("Konto", "bearbeiten", "schule") && !eigenes,
      darfSperren: visit.may("Konto", "sperren", "schule") && !eigenes,
      darfRollen: visit.may("Rolle", "bearbeiten", "schule") && !eigenes,
      eigenes,
      ...errors(fehler),
    },
    { status: fehler.length > 0 ? 422 : 200 },
  );
}

async function change(visit: PersonVisit, konto: Konto): Promise<Reply> {
  const mitKontakt = visit.may("Kontaktdaten", "bearbeiten", "schule");
  const werte = felder(visit.form, "vorname", "nachname", "email", "telefon", "mobil", "anschrift");
  try {
    const angaben = pruefe(personenangaben, werte);
    await aendereKonto(visit, konto, angaben, mitKontakt ? pruefe(kontaktangaben, werte) : undefined);
    return redirect(`/konten/${konto.id}?erledigt=konto`);
  } catch (error) {
    if (error instanceof Eingabeproblem) {
      return accountPage(visit, konto, werte, error.fehler);
    }
    throw error;
  }
}

function errors(fehler: readonly Eingabefehler[]): object {
  return fehler.length > 0 ? { fehler, fehlerJe: jeFeld(fehler) } : {};
}
