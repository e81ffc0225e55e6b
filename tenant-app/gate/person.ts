import type { Transaction } from "../database/database.ts";
import type { Regel } from "./rechte.ts";
import { keyHash, sameSecret } from "./schluessel.ts";

/** A session ends after so long without a request, and so long after login; milliseconds. */
export const idleMs = 2 * 60 * 60 * 1000;
export const absoluteMs = 12 * 60 * 60 * 1000;
/** The time of the last request is written at most this often. */
const touchMs = 60 * 1000;

/** Who is signed in, read afresh with every request: a changed role or a lock counts at once (R4, R35). */
export interface Person {
  readonly kontoId: string;
  readonly benutzername: string;
  readonly vorname: string;
  readonly nachname: string;
  readonly rollen: readonly string[];
  readonly regeln: readonly Regel[];
  /** Signed in with a one-time password: may do nothing but choose their own. */
  readonly nurPasswort: boolean;
  readonly ungelesen: number;
  /** Hash of the session key, hexadecimal: what row-level security is told. */
  readonly sitzung: string;
}

interface SessionRow {
  konto_id: string;
  sicherheit: Buffer;
  begonnen_am: Date;
  zuletzt_am: Date;
  nur_passwort: boolean;
  benutzername: string;
  vorname: string;
  nachname: string;
  gesperrt: boolean;
  rollen: string[] | null;
  regeln: Regel[] | null;
}

/**
 * The person behind the two keys, or undefined: unknown or expired session, security key of another session, locked
 * or deleted account. From here on the transaction acts as that person.
 */
export async function findPerson(
  tx: Transaction,
  sessionKey: Buffer,
  keys: { readonly sitzung: string; readonly sicherheit: string },
  now: Date,
): Promise<Person | undefined> {
  const schluessel = keyHash(sessionKey, "sitzung", keys.sitzung);
  const row = await tx.one<SessionRow>(
    `SELECT s.konto_id, s.sicherheit, s.begonnen_am, s.zuletzt_am, s.nur_passwort,
            k.benutzername, k.vorname, k.nachname,
            (k.gesperrt_am IS NOT NULL OR k.geloescht_am IS NOT NULL) AS gesperrt,
            (SELECT array_agg(r.name ORDER BY r.rang) FROM konto_rolle kr JOIN rolle r ON r.id = kr.rolle_id AND r.aktiv
              WHERE kr.konto_id = k.id) AS rollen,
            (SELECT json_agg(json_build_object('rolle', x.rolle_id, 'ressource', x.ressource, 'aktion', x.aktion,
                                               'umfang', x.umfang))
               FROM konto_rolle kr JOIN rolle r ON r.id = kr.rolle_id AND r.aktiv JOIN recht x ON x.rolle_id = r.id
              WHERE kr.konto_id = k.id) AS regeln
       FROM sitzung s JOIN konto k ON k.id = s.konto_id
      WHERE s.schluessel = $1`,
    [schluessel],
  );
  if (!row || row.gesperrt || !sameSecret(row.sicherheit, keyHash(sessionKey, "sicherheit", keys.sicherheit))) {
    return undefined;
  }
  if (now.getTime() - row.zuletzt_am.getTime() > idleMs || now.getTime() - row.begonnen_am.getTime() > absoluteMs) {
    return undefined;
  }
  // In a statement of its own: row-level security of the next one must already see the account.
  await tx.run("SELECT set_config('classmind.konto', $1, true)", [row.konto_id]);
  const state = await tx.one<{ ungelesen: number }>(
    "SELECT count(*)::int AS ungelesen FROM nachricht_empfaenger WHERE konto_id = $1 AND gelesen_am IS NULL",
    [row.konto_id],
  );
  if (now.getTime() - row.zuletzt_am.getTime() > touchMs) {
    await tx.run("UPDATE sitzung SET zuletzt_am = $2 WHERE schluessel = $1", [schluessel, now]);
  }
  return {
    kontoId: row.konto_id,
    benutzername: row.benutzername,
    vorname: row.vorname,
    nachname: row.nachname,
    rollen: row.rollen ?? [],
    regeln: row.regeln ?? [],
    nurPasswort: row.nur_passwort,
    ungelesen: state?.ungelesen ?? 0,
    sitzung: schluessel.toString("hex"),
  };
}
