import { notFound } from "../../ground/gate/refusal.ts";
import { type Reply, redirect } from "../../ground/gate/reply.ts";
import { type Declared, route } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import type { InputError } from "../../ground/pages/input.ts";
import { page, view } from "../../ground/pages/page.ts";
import { Konto, kontenMitNamen } from "../konten/public.ts";
import { ownPath, versucheMit, warteText } from "../zugang/public.ts";
import { aendere, beginne, bestaetige, type Einrichtung, einrichtung, uebrigeCodes, zeige } from "./faktor.ts";

const seite = view<{
  readonly zustand: "keiner" | "einrichten" | "fragen" | "da";
  readonly verlangt: boolean;
  readonly weiter: string;
  readonly einrichtung: Einrichtung | undefined;
  readonly uebrig: number;
}>("zweitfaktor/faktor");
const codeseite = view<{ readonly codes: readonly string[]; readonly weiter: string }>("zweitfaktor/codes");

const eigener = "concerns nothing but the person's own second factor";
export const zweitfaktorRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/zweitfaktor",
    policy: { signedIn: eigener },
    handle: (visit) => faktorseite(visit, []),
  }),
  route({ method: "POST", path: "/zweitfaktor", policy: { signedIn: eigener }, handle: zeigen }),
  route({
    method: "POST",
    path: "/zweitfaktor/einrichten",
    policy: { signedIn: eigener },
    handle: async (visit) => {
      await visit.transaction((tx) => beginne(tx, visit));
      return redirect(`/zweitfaktor?weiter=${encodeURIComponent(weiterVon(visit))}`);
    },
  }),
  route({ method: "POST", path: "/zweitfaktor/bestaetigen", policy: { signedIn: eigener }, handle: bestaetigen }),
  route({ method: "POST", path: "/zweitfaktor/aendern", policy: { signedIn: eigener }, handle: aendern }),
  route({
    method: "POST",
    path: "/zweitfaktor/:id/entfernen",
    policy: { right: Konto.right("bearbeiten"), scope: "schule" },
    object: { relation: "konto", load: async (tx, id) => (await kontenMitNamen(tx, [id]))[0] },
    handle: entfernenFuer,
  }),
];

const weiterVon = (visit: PersonVisit): string => ownPath(visit.form.get("weiter") ?? visit.query.get("weiter") ?? "/");

async function faktorseite(visit: PersonVisit, errors: readonly InputError[], status?: number): Promise<Reply> {
  const { secondFactor, secondFactorDemanded: verlangt, accountId } = visit.person;
  const data = await visit.transaction(async (tx) => ({
    einrichtung: secondFactor === "none" ? await einrichtung(tx, visit) : undefined,
    uebrig: secondFactor === "shown" ? await uebrigeCodes(tx, accountId) : 0,
  }));
  const zustand =
    secondFactor === "open" ? "fragen" : secondFactor === "shown" ? "da" : data.einrichtung ? "einrichten" : "keiner";
  return page(
    visit,
    seite,
    { zustand, verlangt, weiter: weiterVon(visit), ...data },
    { title: "Zweiter Faktor", errors, ...(status === undefined ? {} : { status }) },
  );
}

/** Counts an attempt, and takes the count back when it was right: six digits are guessed in no time otherwise. */
async function mitBremse<T>(
  visit: PersonVisit,
  work: () => Promise<T | undefined>,
): Promise<{ readonly richtig: T } | { readonly fehler: InputError; readonly status: number }> {
  const versuch = await versucheMit(visit, `zweitfaktor ${visit.person.accountId}`);
  if (versuch.waitMs > 0) {
    return { fehler: { field: "code", text: warteText(Math.ceil(versuch.waitMs / 1000)) }, status: 429 };
  }
  const richtig = await work();
  if (richtig === undefined) {
    const text =
      "Dieser Code ist nicht richtig, abgelaufen oder schon benutzt. Bitte geben Sie den nächsten ein, den Ihre App zeigt.";
    return { fehler: { field: "code", text }, status: 422 };
  }
  await versuch.succeeded();
  return { richtig };
}

const codeVon = (visit: PersonVisit): string => (visit.form.get("code") ?? "").slice(0, 100);

async function zeigen(visit: PersonVisit): Promise<Reply> {
  const found = await mitBremse(visit, () =>
    visit.transaction(async (tx) => ((await zeige(tx, visit, codeVon(visit))) ? true : undefined)),
  );
  return "fehler" in found ? faktorseite(visit, [found.fehler], found.status) : redirect(weiterVon(visit));
}

async function bestaetigen(visit: PersonVisit): Promise<Reply> {
  const found = await mitBremse(visit, () => visit.transaction((tx) => bestaetige(tx, visit, codeVon(visit))));
  return "fehler" in found ? faktorseite(visit, [found.fehler], found.status) : zeigeCodes(visit, found.richtig);
}

async function aendern(visit: PersonVisit): Promise<Reply> {
  const was = visit.form.get("schritt") === "codes" ? "codes" : "entfernen";
  const found = await mitBremse(visit, () => visit.transaction((tx) => aendere(tx, visit, was, codeVon(visit))));
  if ("fehler" in found) return faktorseite(visit, [found.fehler], found.status);
  return was === "codes" ? zeigeCodes(visit, found.richtig) : redirect("/zweitfaktor?erledigt=zweitfaktor-entfernt");
}

/** Shown once: nothing keeps them in clear. */
const zeigeCodes = (visit: PersonVisit, codes: readonly string[]): Reply =>
  page(visit, codeseite, { codes, weiter: weiterVon(visit) }, { title: "Wiederherstellungscodes" });

/** Of somebody whose device and codes are gone. */
async function entfernenFuer(visit: PersonVisit, { id }: { readonly id: string }): Promise<Reply> {
  if (id === visit.person.accountId) throw notFound();
  const da = await visit.transaction(async (tx) => {
    const row = await tx.one<{ da: boolean }>("SELECT zweitfaktor_entfernen($1) AS da", [id]);
    if (row?.da) await visit.record(tx, { resource: Konto, deed: "zweitfaktor", object: id, person: id });
    return row?.da ?? false;
  });
  return redirect(`/konten/${id}?erledigt=${da ? "zweitfaktor-entfernt" : "kein-zweitfaktor"}`);
}
