import { z } from "zod";
import { notFound } from "../../ground/gate/refusal.ts";
import { type Reply, redirect } from "../../ground/gate/reply.ts";
import { type Declared, route, type Subject } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { checked, fieldsOf, type InputError, InputProblem } from "../../ground/pages/input.ts";
import { page, view } from "../../ground/pages/page.ts";
import { type Difference, differences, StaleForm, versionOf } from "../../ground/pages/stale.ts";
import { vollerName } from "../personen/public.ts";
import { verlangePasswort } from "../zugang/public.ts";
import { email } from "./anlegen.ts";
import { aendereProfil } from "./commands.ts";
import { type Kontaktdaten as Angaben, kontaktangaben, ladeKontaktdaten } from "./kontaktdaten.ts";
import { Kontaktdaten, Konto } from "./public.ts";
import { type Kontozeile, ladeKonto } from "./queries.ts";

const profil = view<{
  readonly konto: Kontozeile;
  readonly name: string;
  readonly werte: Angaben & { readonly email: string };
  readonly rollentext: string;
  readonly darfKontakt: boolean;
  readonly darfEmail: boolean;
}>("konten/profil");

const eigenesKonto: Subject<Kontozeile> = {
  relation: "kontaktdaten",
  id: ({ accountId }) => accountId,
  load: ladeKonto,
};

/** One's own account: there is no id in the address, so nobody else's can be asked for. */
export const profilRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/profil",
    policy: { signedIn: "Shows nothing but the person's own account; contact data by right alone" },
    handle: async (visit) => {
      const konto = await visit.transaction((tx) => ladeKonto(tx, visit.person.accountId));
      if (konto === undefined) {
        throw notFound();
      }
      return profilePage(visit, konto, {});
    },
  }),
  route({
    method: "POST",
    path: "/profil",
    policy: { right: Kontaktdaten.right("bearbeiten") },
    object: eigenesKonto,
    handle: change,
  }),
];

interface ProfileState {
  /** What was typed. */
  readonly werte?: Angaben & { readonly email: string };
  readonly errors?: readonly InputError[];
  readonly stale?: readonly Difference[];
}

async function profilePage(visit: PersonVisit, konto: Kontozeile, state: ProfileState): Promise<Reply> {
  const kontakt = await visit.transaction((tx) => ladeKontaktdaten(tx, visit.app, konto.id));
  return page(
    visit,
    profil,
    {
      konto,
      name: vollerName(konto),
      werte: { email: konto.email, ...kontakt, ...state.werte },
      rollentext: konto.rollen.join(", "),
      darfKontakt: visit.may(Kontaktdaten.right("lesen")) && visit.may(Kontaktdaten.right("bearbeiten")),
      darfEmail: visit.may(Konto.right("bearbeiten")),
    },
    {
      title: "Mein Profil",
      errors: state.errors ?? [],
      ...(state.stale === undefined ? {} : { stale: state.stale }),
    },
  );
}

async function change(visit: PersonVisit, konto: Kontozeile): Promise<Reply> {
  const werte = fieldsOf(visit.form, "email", "telefon", "mobil", "anschrift");
  const mitEmail = visit.may(Konto.right("bearbeiten"));
  try {
    const neu = mitEmail ? checked(z.object({ email }), werte).email : undefined;
    const kontakt = checked(kontaktangaben, werte);
    // Whoever reads the mail box of an account can have its password replaced.
    if (neu !== undefined && neu !== konto.email) {
      await verlangePasswort(visit, visit.form.get("passwort") ?? "", "passwort");
    }
    await aendereProfil(visit, konto, versionOf(visit.form), neu, kontakt);
    return redirect("/profil?erledigt=profil");
  } catch (error) {
    if (error instanceof InputProblem) {
      return profilePage(visit, konto, { werte, errors: error.errors });
    }
    if (error instanceof StaleForm) {
      const now = (await visit.transaction((tx) => ladeKonto(tx, konto.id))) ?? konto;
      const kontakt = await visit.transaction((tx) => ladeKontaktdaten(tx, visit.app, konto.id));
      const inWords = ({ email, telefon, mobil, anschrift }: Angaben & { readonly email: string }) => ({
        ...(mitEmail ? { "E-Mail-Adresse": email } : {}),
        Telefon: telefon,
        Mobil: mobil,
        Anschrift: anschrift,
      });
      const stale = differences(inWords({ ...kontakt, email: now.email }), inWords(werte));
      return profilePage(visit, now, { werte, stale });
    }
    throw error;
  }
}
