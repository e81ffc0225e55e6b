import type { KeyObject } from "node:crypto";
import type { Transaction } from "../../ground/database/database.ts";
import { dropKey, securityCookie, sessionCookie, setKey } from "../../ground/gate/cookies.ts";
import { keyHash, newKey } from "../../ground/gate/keys.ts";
import type { Keys } from "../../ground/gate/person.ts";

/** Begins a session with two new keys; returns them and their cookies. Keys that the browser sent before are never adopted. */
export async function beginneSitzung(
  tx: Transaction,
  sessionKey: KeyObject,
  now: Date,
  konto: { readonly id: string; readonly nurPasswort: boolean },
): Promise<{ readonly cookies: readonly string[]; readonly keys: Keys }> {
  const sitzung = newKey();
  const sicherheit = newKey();
  await tx.run(
    `INSERT INTO sitzung (schluessel, sicherheit, konto_id, begonnen_am, zuletzt_am, nur_passwort)
     VALUES ($1, $2, $3, $4, $4, $5)`,
    [
      keyHash(sessionKey, "sitzung", sitzung),
      keyHash(sessionKey, "sicherheit", sicherheit),
      konto.id,
      now,
      konto.nurPasswort,
    ],
  );
  const cookies = [setKey(sessionCookie, sitzung), setKey(securityCookie, sicherheit)];
  return { cookies, keys: { sitzung, sicherheit } };
}

/** Ends one session; returns the cookies that remove its keys from the browser. */
export async function beendeSitzung(tx: Transaction, sitzung: string): Promise<string[]> {
  await tx.run("DELETE FROM sitzung WHERE schluessel = decode($1, 'hex')", [sitzung]);
  return [dropKey(sessionCookie), dropKey(securityCookie)];
}
