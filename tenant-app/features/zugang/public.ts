import { perApp } from "../../ground/app.ts";
import { hashOneTime, oneTimePassword } from "../../ground/crypto/passwords.ts";
import { boundedQueue, TooBusy } from "../../ground/crypto/queue.ts";
import type { Transaction } from "../../ground/database/database.ts";
import { Refused } from "../../ground/gate/refusal.ts";

/** A one-time password is good for so long; milliseconds. */
export const einmalGueltigMs = 30 * 24 * 60 * 60 * 1000;

const queueOf = perApp(() => boundedQueue({ running: 2, waiting: 200 }));

/** Bounds what costs as much as a password's check, for the whole school. Throws Refused (503) when too many wait already. */
export async function imPasswortgang<T>(app: Parameters<typeof queueOf>[0], work: () => Promise<T>): Promise<T> {
  try {
    return await queueOf(app)(work);
  } catch (error) {
    if (!(error instanceof TooBusy)) {
      throw error;
    }
    throw new Refused(
      503,
      "Gerade melden sich sehr viele an",
      `Bitte warten Sie etwa ${error.retryAfter} Sekunden und versuchen Sie es dann noch einmal. Ihre Eingaben waren nicht falsch.`,
      { retryAfter: error.retryAfter },
    );
  }
}

/** A new one-time password and what is stored of it. */
export function neuesEinmalpasswort(): { readonly einmalpasswort: string; readonly pruefwert: string } {
  const einmalpasswort = oneTimePassword();
  return { einmalpasswort, pruefwert: hashOneTime(einmalpasswort) };
}

/**
 * Stores a one-time password, as the app: needs the right to create or edit accounts.
 * @param vorgang of the form that asks for it
 * @returns false when this form has set one before; then nothing changes
 */
export async function setzeEinmalpasswort(
  tx: Transaction,
  now: Date,
  { kontoId, pruefwert, vorgang }: { readonly kontoId: string; readonly pruefwert: string; readonly vorgang: string },
): Promise<boolean> {
  const bis = new Date(now.getTime() + einmalGueltigMs);
  const row = await tx.one<{ gesetzt: boolean }>("SELECT einmalpasswort_setzen($1, $2, $3, $4, $5) AS gesetzt", [
    kontoId,
    pruefwert,
    bis,
    now,
    vorgang,
  ]);
  return row?.gesetzt ?? false;
}

/** Stores a one-time password, as the owner of the database: for the operator's programs. */
export async function setzeEinmalpasswortAlsBetreiber(
  tx: Transaction,
  now: Date,
  kontoId: string,
  pruefwert: string,
): Promise<void> {
  await tx.run(
    `INSERT INTO zugang (konto_id, passwort, einmalig_bis, geaendert_am) VALUES ($1, $2, $3, $4)
     ON CONFLICT (konto_id) DO UPDATE SET passwort = excluded.passwort, einmalig_bis = excluded.einmalig_bis,
       geaendert_am = excluded.geaendert_am, vorgang = NULL`,
    [kontoId, pruefwert, new Date(now.getTime() + einmalGueltigMs), now],
  );
}

/** Ends all sessions of an account: one's own, or with the right to edit or lock accounts. */
export async function beendeSitzungen(tx: Transaction, kontoId: string): Promise<void> {
  await tx.run("SELECT sitzungen_beenden($1)", [kontoId]);
}

/** The same, as the owner of the database. */
export async function beendeSitzungenAlsBetreiber(tx: Transaction, kontoId: string): Promise<void> {
  await tx.run("DELETE FROM sitzung WHERE konto_id = $1", [kontoId]);
}
