import { hashPassword, oneTimePassword } from "../crypto/passwort.ts";
import type { Transaction } from "../database/database.ts";
import type { PersonVisit } from "../gate/visit.ts";
import { journalisiere } from "../journal/schreiben.ts";
import { einmalGueltigMs, type Personenangaben, speichereKonto } from "./anlegen.ts";
import { searchName } from "./benutzername.ts";
import { type Kontaktdaten, speichereKontaktdaten } from "./kontaktdaten.ts";
import { type Konto, rollenDesKontos } from "./queries.ts";

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
  const einmalpasswort = oneTimePassword();
  const pruefwert = await visit.app.passwordQueue(() => hashPassword(einmalpasswort));
  return visit.transaction(async (tx) => {
    const benutzername = await speichereKonto(tx, visit.now, { ...angaben, id });
    await setze(tx, visit, id, pruefwert);
    const gegeben = await gibRollen(tx, id, rollen);
    await schreibe(tx, visit, "anlegen", id, { neu: { ...angaben, benutzername, rollen: gegeben } });
    return { benutzername, einmalpasswort };
  });
}

/** Changes name, mail address and contact data of an account; the user name stays. */
export function aendereKonto(
  visit: PersonVisit,
  konto: Konto,
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
export function sperreKonto(visit: PersonVisit, konto: Konto): Promise<void> {
  return visit.transaction(async (tx) => {
    await tx.run("UPDATE konto SET gesperrt_am = coalesce(gesperrt_am, $2) WHERE id = $1", [konto.id, visit.now]);
    await tx.run("SELECT sitzungen_beenden($1)", [konto.id]);
    await schreibe(tx, visit, "sperren", konto.id, {});
  });
}

export function entsperreKonto(visit: PersonVisit, konto: Konto): Promise<void> {
  return visit.transaction(async (tx) => {
    await tx.run("UPDATE konto SET gesperrt_am = NULL WHERE id = $1", [konto.id]);
    await schreibe(tx, visit, "entsperren", konto.id, {});
  });
}

/** A new one-time password for somebody else; their sessions end. */
export async function erneuerePasswort(visit: PersonVisit, konto: Konto): Promise<NeuerZugang> {
  const einmalpasswort = oneTimePassword();
  const pruefwert = await visit.app.passwordQueue(() => hashPassword(einmalpasswort));
  await visit.transaction(async (tx) => {
    await setze(tx, visit, konto.id, pruefwert);
    await tx.run("SELECT sitzungen_beenden($1)", [konto.id]);
    await schreibe(tx, visit, "einmalpasswort", konto.id, {});
  });
  return { benutzername: konto.benutzername, einmalpasswort };
}

/** Gives an account exactly these roles; row-level security refuses it for one's own (matrix: never one's own). */
export function weiseRollenZu(visit: PersonVisit, konto: Konto, rollen: readonly string[]): Promise<void> {
  return visit.transaction(async (tx) => {
    const vorher = (await rollenDesKontos(tx, konto.id)).filter((rolle) => rolle.gewaehlt).map((rolle) => rolle.id);
    await tx.run("DELETE FROM konto_rolle WHERE konto_id = $1 AND rolle_id <> ALL ($2::text[])", [konto.id, rollen]);
    const nachher = await gibRollen(tx, konto.id, rollen);
    await journalisiere(tx, visit.now, {
      kontoId: visit.person.kontoId,
      ressource: "Rolle",
      aktion: "zuweisen",
      objekt: konto.id,
      werte: { alt: vorher, neu: nachher },
    });
  });
}

/** Own contact data and mail address. */
export function aendereProfil(visit: PersonVisit, email: string | undefined, kontakt: Kontaktdaten): Promise<void> {
  const { kontoId } = visit.person;
  return visit.transaction(async (tx) => {
    if (email !== undefined) {
      await tx.run("UPDATE konto SET email = $2 WHERE id = $1", [kontoId, email]);
    }
    await speichereKontaktdaten(tx, visit.app.fieldKey, kontoId, visit.now, kontakt);
    await schreibe(tx, visit, "bearbeiten", kontoId, { neu: email === undefined ? {} : { email } });
  });
}

async function setze(tx: Transaction, visit: PersonVisit, id: string, pruefwert: string): Promise<void> {
  const bis = new Date(visit.now.getTime() + einmalGueltigMs);
  await tx.run("SELECT passwort_setzen($1, $2, $3, $4)", [id, pruefwert, bis, visit.now]);
}

/** Adds those of the wanted roles that exist; returns them. */
async function gibRollen(tx: Transaction, kontoId: string, rollen: readonly string[]): Promise<string[]> {
  const known = await tx.all<{ id: string }>("SELECT id FROM rolle WHERE id = ANY ($1::text[])", [rollen]);
  for (const { id } of known) {
    await tx.run("INSERT INTO konto_rolle (konto_id, rolle_id) VALUES ($1, $2) ON CONFLICT DO NOTHING", [kontoId, id]);
  }
  return known.map((rolle) => rolle.id);
}

function schreibe(tx: Transaction, visit: PersonVisit, aktion: string, objekt: string, werte: object): Promise<void> {
  return journalisiere(tx, visit.now, { kontoId: visit.person.kontoId, ressource: "Konto", aktion, objekt, werte });
}
