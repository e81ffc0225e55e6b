import { keyHash } from "../../ground/gate/keys.ts";
import type { Identity } from "../../ground/gate/person.ts";
import type { Rule } from "../../ground/gate/rights.ts";

/** A session ends after so long without a request, and so long after login; milliseconds. */
export const idleMs = 2 * 60 * 60 * 1000;
export const absoluteMs = 12 * 60 * 60 * 1000;
/** The time of the last request is written at most this often. */
const touchMs = 60 * 1000;

interface Row {
  konto_id: string;
  benutzername: string;
  vorname: string;
  nachname: string;
  nur_passwort: boolean;
  zuletzt_am: Date;
  rollen: string[];
  regeln: Rule[];
}

/** Sessions of accounts. */
export const sessions: Identity = {
  find: async (tx, sessionKey, keys, now) => {
    const schluessel = keyHash(sessionKey, "sitzung", keys.sitzung);
    const row = await tx.one<Row>(
      `SELECT * FROM person_der_sitzung($1, $2, $3, $4 * interval '1 millisecond', $5 * interval '1 millisecond')`,
      [schluessel, keyHash(sessionKey, "sicherheit", keys.sicherheit), now, idleMs, absoluteMs],
    );
    if (!row) {
      return undefined;
    }
    if (now.getTime() - row.zuletzt_am.getTime() > touchMs) {
      await tx.run("UPDATE sitzung SET zuletzt_am = $2 WHERE schluessel = $1", [schluessel, now]);
    }
    return {
      accountId: row.konto_id,
      userName: row.benutzername,
      firstName: row.vorname,
      lastName: row.nachname,
      roles: row.rollen,
      rules: row.regeln,
      passwordOnly: row.nur_passwort,
      session: schluessel.toString("hex"),
    };
  },
};
