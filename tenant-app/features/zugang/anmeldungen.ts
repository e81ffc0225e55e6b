import type { Transaction } from "../../ground/database/database.ts";
import { type Reply, redirect } from "../../ground/gate/reply.ts";
import { type Declared, route } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { page, view } from "../../ground/pages/page.ts";
import { absoluteMs, idleMs } from "./identity.ts";

/** Where one is signed in, and ending that: for whoever forgot to sign out at school, or fears that somebody else is in. */

interface Anmeldung {
  /** Names a session in a form; its key does not follow from it. */
  readonly kennung: string;
  readonly begonnen_am: Date;
  readonly zuletzt_am: Date;
  readonly diese: boolean;
}

const kennung = "encode(substr(sha256(s.schluessel), 1, 8), 'hex')";
const seite = view<{ readonly diese: readonly Anmeldung[]; readonly andere: readonly Anmeldung[] }>(
  "zugang/anmeldungen",
);

export const anmeldungenRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/anmeldungen",
    policy: { signedIn: "Shows nothing but the person's own sessions" },
    handle: uebersicht,
  }),
  route({
    method: "POST",
    path: "/anmeldungen",
    policy: { signedIn: "Ends nothing but the person's own sessions" },
    handle: beenden,
  }),
];

async function uebersicht(visit: PersonVisit): Promise<Reply> {
  const alle = await visit.transaction((tx) => offene(tx, visit));
  return page(
    visit,
    seite,
    { diese: alle.filter(({ diese }) => diese), andere: alle.filter(({ diese }) => !diese) },
    { title: "Meine Anmeldungen" },
  );
}

/** Those that still open something, the latest first. */
function offene(tx: Transaction, { person, now }: PersonVisit): Promise<Anmeldung[]> {
  return tx.all<Anmeldung & Record<string, unknown>>(
    `SELECT ${kennung} AS kennung, s.begonnen_am, s.zuletzt_am, s.schluessel = decode($2, 'hex') AS diese
       FROM sitzung s WHERE s.konto_id = $1 AND s.zuletzt_am >= $3 AND s.begonnen_am >= $4 ORDER BY s.zuletzt_am DESC, kennung`,
    [person.accountId, person.session, new Date(now.getTime() - idleMs), new Date(now.getTime() - absoluteMs)],
  );
}

/** Ends one, or all but this: this one is ended by signing out. */
async function beenden(visit: PersonVisit): Promise<Reply> {
  const welche = visit.form.get("anmeldung") ?? "";
  const { accountId, session } = visit.person;
  const beendet = await visit.transaction((tx) =>
    tx.run(
      `DELETE FROM sitzung s WHERE s.konto_id = $1 AND s.schluessel <> decode($2, 'hex') AND ($3 = 'andere' OR ${kennung} = $3)`,
      [accountId, session, welche],
    ),
  );
  return redirect(`/anmeldungen?erledigt=${beendet > 0 ? "anmeldung-beendet" : "anmeldung-vorbei"}`);
}
