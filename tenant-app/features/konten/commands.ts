import type { Transaction } from "../../ground/database/database.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { writeJournal } from "../../ground/journal/write.ts";
import { gibRollen, nimmRollen, Rolle, rollenDesKontos } from "../rollen/public.ts";
import { beendeSitzungen, imPasswortgang, neuesEinmalpasswort, setzeEinmalpasswort } from "../zugang/public.ts";
import { type Personenangaben, speichereKonto } from "./anlegen.ts";
import { searchName } from "./benutzername.ts";
import { type Kontaktdaten, speichereKontaktdaten } from "./kontaktdaten.ts";
import { Konto } from "./public.ts";
import type { Kontozeile } from "./queries.ts";

export interface NeuerZugang {
  readonly benutzername: string;
  /** Shown once and stored nowhere in clear. */
  readonly einmalpasswort: string;
}

/** Creates an account with its roles. Throws a violation of `konto_pkey` when the same form was sent before. */
export async function legeKontoAn(
  visit: PersonVisit,
  id: string,
  angaben: Personenangaben,
  rollen: readonly string[],
): Promise<NeuerZugang> {
  const { einmalpasswort, pruefwert } = await imPasswortgang(visit.app, neuesEinmalpasswort);
  return visit.transaction(async (tx) => {
    const benutzername = await speichereKonto(tx, visit.now, { ...angaben, id });
    await setzeEinmalpasswort(tx, visit.now, id, pruefwert);
    const gegeben = await gibRollen(tx, id, rollen);
    await schreibe(tx, visit, "anlegen", id, { neu: { ...angaben, benutzername, rollen: gegeben } });
    return { benutzername, einmalpasswort };
  });
}

/** Changes name, mail address and contact data of an account; the user name stays. */
export function aendereKonto(
  visit: PersonVisit,
  konto: Kontozeile,
  angaben: Personenangaben,
  kontakt: Kontaktdaten | undefined,
): Promise<void> {
  return visit.transaction(async (tx) => {
    await tx.run("UPDATE konto SET vorname = $2, nachname = $3, email = $4, suchname = $5 WHERE id = $1", [
      konto.id,
      angaben.vorname,
      angaben.nachname,
      angaben.email,
      searchName(angaben.vorname, angaben.nachname),
    ]);
    if (kontakt) {
      await speichereKontaktdaten(tx, visit.app.fieldKey, konto.id, visit.now, kontakt);
    }
    const { vorname, nachname, email } = konto;
    await schreibe(tx, visit, "bearbeiten", konto.id, { alt: { vorname, nachname, email }, neu: angaben });
  });
}

/** Locks an account: its sessions are gone with this transaction (R35). */
export function sperreKonto(visit: PersonVisit, konto: Kontozeile): Promise<void> {
  return visit.transaction(async (tx) => {
    await tx.run("UPDATE konto SET gesperrt_am = coalesce(gesperrt_am, $2) WHERE id = $1", [konto.id, visit.now]);
    await beendeSitzungen(tx, konto.id);
    await schreibe(tx, visit, "sperren", konto.id, {});
  });
}

export function entsperreKonto(visit: PersonVisit, konto: Kontozeile): Promise<void> {
  return visit.transaction(async (tx) => {
    await tx.run("UPDATE konto SET gesperrt_am = NULL WHERE id = $1", [konto.id]);
    await schreibe(tx, visit, "entsperren", konto.id, {});
  });
}

/** A new one-time password for somebody else; their sessions end. */
export async function erneuerePasswort(visit: PersonVisit, konto: Kontozeile): Promise<NeuerZugang> {
  const { einmalpasswort, pruefwert } = await imPasswortgang(visit.app, neuesEinmalpasswort);
  await visit.transaction(async (tx) => {
    await setzeEinmalpasswort(tx, visit.now, konto.id, pruefwert);
    await beendeSitzungen(tx, konto.id);
    await schreibe(tx, visit, "einmalpasswort", konto.id, {});
  });
  return { benutzername: konto.benutzername, einmalpasswort };
}

/** Gives an account exactly these roles; row-level security refuses it for one's own (matrix: never one's own). */
export function weiseRollenZu(visit: PersonVisit, konto: Kontozeile, rollen: readonly string[]): Promise<void> {
  return visit.transaction(async (tx) => {
    const vorher = (await rollenDesKontos(tx, konto.id)).filter((rolle) => rolle.gewaehlt).map((rolle) => rolle.id);
    await nimmRollen(tx, konto.id, rollen);
    const nachher = await gibRollen(tx, konto.id, rollen);
    await writeJournal(tx, visit.now, {
      by: visit.person.accountId,
      resource: Rolle,
      deed: "zuweisen",
      object: konto.id,
      values: { alt: vorher, neu: nachher },
    });
  });
}

/** Own contact data and mail address. */
export function aendereProfil(visit: PersonVisit, email: string | undefined, kontakt: Kontaktdaten): Promise<void> {
  const { accountId: kontoId } = visit.person;
  return visit.transaction(async (tx) => {
    if (email !== undefined) {
      await tx.run("UPDATE konto SET email = $2 WHERE id = $1", [kontoId, email]);
    }
    await speichereKontaktdaten(tx, visit.app.fieldKey, kontoId, visit.now, kontakt);
    await schreibe(tx, visit, "bearbeiten", kontoId, { neu: email === undefined ? {} : { email } });
  });
}

function schreibe(
  tx: Transaction,
  visit: PersonVisit,
  deed: "anlegen" | "bearbeiten" | "sperren" | "entsperren" | "einmalpasswort",
  object: string,
  values: object,
): Promise<void> {
  return writeJournal(tx, visit.now, { by: visit.person.accountId, resource: Konto, deed, object, values });
}
