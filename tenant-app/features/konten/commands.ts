import type { Transaction } from "../../ground/database/database.ts";
import { forbidden } from "../../ground/gate/refusal.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import type { Values } from "../../ground/journal/write.ts";
import { unlessStale } from "../../ground/pages/stale.ts";
import { haltePerson, nennePerson } from "../personen/public.ts";
import { bewahreAdministrator, gibRollen, nimmRollen, Rolle, rollenDesKontos } from "../rollen/public.ts";
import { beendeSitzungen, neuesEinmalpasswort, setzeEinmalpasswort } from "../zugang/public.ts";
import { type Personenangaben, speichereKonto } from "./anlegen.ts";
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
  const { einmalpasswort, pruefwert } = neuesEinmalpasswort();
  return visit.transaction(async (tx) => {
    const benutzername = await speichereKonto(tx, visit.now, { ...angaben, id });
    await setzeEinmalpasswort(tx, visit.now, { kontoId: id, pruefwert, vorgang: id });
    const gegeben = await gibRollen(tx, id, rollen);
    await schreibe(tx, visit, "anlegen", id, { neu: { ...angaben, benutzername, rollen: gegeben } });
    return { benutzername, einmalpasswort };
  });
}

export interface Kontoaenderung {
  readonly angaben: Personenangaben;
  /** Undefined: they stay as they are. */
  readonly kontakt: Kontaktdaten | undefined;
  /** Undefined: they stay as they are. Row-level security refuses a change of one's own (matrix: never one's own). */
  readonly rollen: readonly string[] | undefined;
}

/**
 * Changes name, mail address, contact data and roles of an account, all or nothing; the user name stays.
 * @param version of the account that the form was filled in from
 * @throws StaleForm when it has been changed since; Refused when nobody would be left to manage the school
 */
export function aendereKonto(
  visit: PersonVisit,
  konto: Kontozeile,
  version: number,
  { angaben, kontakt, rollen }: Kontoaenderung,
): Promise<void> {
  return bewahreAdministrator(() =>
    visit.transaction(async (tx) => {
      // The person first, as everybody who changes both.
      await haltePerson(tx, konto.id);
      unlessStale(
        await tx.run("UPDATE konto SET email = $3 WHERE id = $1 AND version = $2", [konto.id, version, angaben.email]),
      );
      await nennePerson(tx, { ...angaben, id: konto.id });
      if (kontakt) {
        await speichereKontaktdaten(tx, visit, konto.id, kontakt);
      }
      const { vorname, nachname, email } = konto;
      const neu = { ...angaben, ...(kontakt ? { kontaktdaten: "gespeichert" } : {}) };
      await schreibe(tx, visit, "bearbeiten", konto.id, { alt: { vorname, nachname, email }, neu });
      if (rollen) {
        await weiseRollenZu(tx, visit, konto.id, rollen);
      }
    }),
  );
}

/** Locks an account. Throws Refused when nobody would be left to manage the school. Its sessions are gone with this transaction (R35). */
export function sperreKonto(visit: PersonVisit, konto: Kontozeile): Promise<void> {
  return bewahreAdministrator(() =>
    visit.transaction(async (tx) => {
      await tx.run("UPDATE konto SET gesperrt_am = coalesce(gesperrt_am, $2) WHERE id = $1", [konto.id, visit.now]);
      await beendeSitzungen(tx, konto.id);
      await schreibe(tx, visit, "sperren", konto.id);
    }),
  );
}

export function entsperreKonto(visit: PersonVisit, konto: Kontozeile): Promise<void> {
  return visit.transaction(async (tx) => {
    const unlocked = await tx.run("UPDATE konto SET gesperrt_am = NULL WHERE id = $1 AND gesperrt_am IS NOT NULL", [
      konto.id,
    ]);
    if (unlocked > 0) {
      await schreibe(tx, visit, "entsperren", konto.id);
    }
  });
}

/**
 * A new one-time password for somebody else; their sessions end.
 * @returns undefined when the same form was sent before: then it stays as it was
 */
export async function erneuerePasswort(
  visit: PersonVisit,
  konto: Kontozeile,
  vorgang: string,
): Promise<NeuerZugang | undefined> {
  const { einmalpasswort, pruefwert } = neuesEinmalpasswort();
  return visit.transaction(async (tx) => {
    if (!(await setzeEinmalpasswort(tx, visit.now, { kontoId: konto.id, pruefwert, vorgang }))) {
      return undefined;
    }
    await beendeSitzungen(tx, konto.id);
    await schreibe(tx, visit, "einmalpasswort", konto.id);
    return { benutzername: konto.benutzername, einmalpasswort };
  });
}

/** Gives an account exactly these roles. */
async function weiseRollenZu(
  tx: Transaction,
  visit: PersonVisit,
  kontoId: string,
  rollen: readonly string[],
): Promise<void> {
  const vorher = (await rollenDesKontos(tx, kontoId)).filter((rolle) => rolle.gewaehlt).map((rolle) => rolle.id);
  if (vorher.length === rollen.length && vorher.every((id) => rollen.includes(id))) {
    return;
  }
  await nimmRollen(tx, kontoId, rollen);
  const nachher = await gibRollen(tx, kontoId, rollen);
  const values = { alt: vorher, neu: nachher };
  await visit.record(tx, { resource: Rolle, deed: "zuweisen", object: kontoId, person: kontoId, values });
}

/**
 * Own contact data and mail address.
 * @throws StaleForm when the account has been changed since the form was filled in
 */
export function aendereProfil(
  visit: PersonVisit,
  konto: Kontozeile,
  version: number,
  email: string | undefined,
  kontakt: Kontaktdaten,
): Promise<void> {
  const { accountId: kontoId } = visit.person;
  return visit.transaction(async (tx, jetzt) => {
    if (email !== undefined && !jetzt.may(Konto.right("bearbeiten"))) {
      throw forbidden();
    }
    unlessStale(
      await tx.run("UPDATE konto SET email = coalesce($3, email) WHERE id = $1 AND version = $2", [
        kontoId,
        version,
        email ?? null,
      ]),
    );
    await speichereKontaktdaten(tx, visit, kontoId, kontakt);
    const neu = { ...(email === undefined ? {} : { email }), kontaktdaten: "gespeichert" };
    await schreibe(tx, visit, "bearbeiten", kontoId, { alt: { email: konto.email }, neu });
  });
}

/** What is done to an account concerns the person whose it is. */
function schreibe(
  tx: Transaction,
  visit: PersonVisit,
  deed: "anlegen" | "bearbeiten" | "sperren" | "entsperren" | "einmalpasswort",
  id: string,
  values: Values = {},
): Promise<void> {
  return visit.record(tx, { resource: Konto, deed, object: id, person: id, values });
}
