import { page, type Reply } from "../gate/reply.ts";
import { type Declared, route } from "../gate/route.ts";
import type { PersonVisit } from "../gate/visit.ts";
import { personFrame } from "../pages/layout.ts";

/** What each role may do, for those who answer for it. */
export const rollenRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/rollen",
    policy: { resource: "Rolle", action: "lesen", scope: "schule" },
    handle: rolesPage,
  }),
];

interface Rollenzeile {
  readonly id: string;
  readonly name: string;
  readonly aktiv: boolean;
  readonly konten: number;
  readonly rechte: readonly Recht[] | null;
}

interface Recht {
  readonly ressource: string;
  readonly aktion: string;
  readonly umfang: string;
}

/** In words, one row for all that is allowed of a thing within the same scope. */
function grouped(rechte: readonly Recht[]): readonly Recht[] {
  const rows = new Map<string, Recht>();
  for (const { ressource, aktion, umfang } of rechte) {
    const key = JSON.stringify([ressource, umfang]);
    const word = actions.get(aktion) ?? aktion;
    const row = rows.get(key);
    rows.set(key, {
      ressource,
      aktion: row === undefined ? word : `${row.aktion}, ${word}`,
      umfang: scopes.get(umfang) ?? umfang,
    });
  }
  return [...rows.values()];
}

async function rolesPage(visit: PersonVisit): Promise<Reply> {
  const rows = await visit.transaction((tx) =>
    tx.all<Rollenzeile>(
      `SELECT r.id, r.name, r.aktiv,
              (SELECT count(*)::int FROM konto_rolle kr JOIN konto k ON k.id = kr.konto_id AND k.geloescht_am IS NULL
                WHERE kr.rolle_id = r.id) AS konten,
              (SELECT json_agg(json_build_object('ressource', x.ressource, 'aktion', x.aktion, 'umfang', x.umfang)
                               ORDER BY x.ressource, x.aktion) FROM recht x WHERE x.rolle_id = r.id) AS rechte
         FROM rolle r ORDER BY r.rang, r.name`,
    ),
  );
  const rollen = rows.map((rolle) => ({
    ...rolle,
    rechte: grouped(rolle.rechte ?? []),
  }));
  return page("rollen/liste", { ...personFrame(visit), titel: "Rollen", rollen });
}

const actions: ReadonlyMap<string, string> = new Map([
  ["lesen", "lesen"],
  ["anlegen", "anlegen"],
  ["bearbeiten", "bearbeiten"],
  ["sperren", "sperren"],
  ["loeschen", "löschen"],
]);

const scopes: ReadonlyMap<string, string> = new Map([
  ["eigen", "eigene"],
  ["unterrichtet", "im eigenen Unterricht"],
  ["mitglied", "als Mitglied oder durch Freigabe"],
  ["kind", "des eigenen Kindes"],
  ["schule", "der ganzen Schule"],
]);
