import type { Transaction } from "../database/database.ts";
import { page, type Reply, redirect } from "../gate/reply.ts";
import { type Declared, type Found, route } from "../gate/route.ts";
import type { PersonVisit } from "../gate/visit.ts";
import { type Eingabefehler, Eingabeproblem, felder, jeFeld, pruefe } from "../pages/eingaben.ts";
import { personFrame } from "../pages/layout.ts";
import { personenangaben } from "./anlegen.ts";
import { aendereProfil } from "./commands.ts";
import { kontaktangaben, ladeKontaktdaten } from "./kontaktdaten.ts";
import { findeKonto, type Konto } from "./queries.ts";

/** One's own account: there is no id in the address, so nobody else's can be asked for. */
export const profilRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/profil",
    policy: { resource: "Kontaktdaten", action: "lesen" },
    find: (tx, visit) => ownAccount(tx, visit.kontoId),
    handle: (visit, konto) => profilePage(visit, konto, {}, []),
  }),
  route({
    method: "POST",
    path: "/profil",
    policy: { resource: "Kontaktdaten", action: "bearbeiten" },
    find: (tx, visit) => ownAccount(tx, visit.kontoId),
    handle: change,
  }),
];

function ownAccount(tx: Transaction, kontoId: string): Promise<Found<Konto> | undefined> {
  return findeKonto(tx, kontoId, kontoId);
}

async function profilePage(
  visit: PersonVisit,
  konto: Konto,
  eingabe: Readonly<Record<string, string>>,
  fehler: readonly Eingabefehler[],
): Promise<Reply> {
  const kontakt = await visit.transaction((tx) => ladeKontaktdaten(tx, visit.app.fieldKey, konto.id));
  return page(
    "konto/profil",
    {
      ...personFrame(visit),
      titel: "Mein Profil",
      konto,
      werte: { email: konto.email, ...kontakt, ...eingabe },
      rollentext: konto.rollen.join(", "),
      darfKontakt: visit.may("Kontaktdaten", "bearbeiten"),
      darfEmail: visit.may("Konto", "bearbeiten"),
      ...(fehler.length > 0 ? { fehler, fehlerJe: jeFeld(fehler) } : {}),
    },
    { status: fehler.length > 0 ? 422 : 200 },
  );
}

async function change(visit: PersonVisit, konto: Konto): Promise<Reply> {
  const werte = felder(visit.form, "email", "telefon", "mobil", "anschrift");
  try {
    const email = visit.may("Konto", "bearbeiten")
      ? pruefe(personenangaben.pick({ email: true }), werte).email
      : undefined;
    await aendereProfil(visit, email, pruefe(kontaktangaben, werte));
    return redirect("/profil?erledigt=profil");
  } catch (error) {
    if (error instanceof Eingabeproblem) {
      return profilePage(visit, konto, werte, error.fehler);
    }
    throw error;
  }
}
