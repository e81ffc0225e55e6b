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
  zf_da: boolean;
  zf_bestanden: boolean;
  zf_verlangt: boolean;
}

/** Sessions of accounts. */
export const sessions: Identity = {
  secondFactorPath: "/zweitfaktor",
  find: async (tx, sessionKey, keys, now) => {
    const schluessel = keyHash(sessionKey, "sitzung", keys.sitzung);
    const row = await tx.one<Row>(
      `SELECT p.*, z.* FROM person_der_sitzung($1, $2, $3, $4 * interval '1 millisecond', $5 * interval '1 millisecond') AS p
         CROSS JOIN LATERAL zweitfaktor_der_sitzung(p.konto_id, $1) AS z`,
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
      secondFactor: !row.zf_da ? "none" : row.zf_bestanden ? "shown" : "open",
      secondFactorDemanded: row.zf_verlangt,
      session: schluessel.toString("hex"),
    };
  },
};
