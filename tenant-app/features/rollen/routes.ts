import type { Catalogue } from "../../ground/catalogue.ts";
import type { Reply } from "../../ground/gate/reply.ts";
import { type Declared, route } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { page, view } from "../../ground/pages/page.ts";
import { istVorhanden } from "../konten/public.ts";
import { Rolle } from "./public.ts";

/** What each role may do, for those who answer for it. */
export const rollenRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/rollen",
    policy: { right: Rolle.right("lesen"), scope: "schule" },
    handle: rolesPage,
  }),
];

interface Recht {
  readonly ressource: string;
  readonly aktion: string;
  readonly umfang: string;
}

interface Rollenzeile {
  readonly id: string;
  readonly name: string;
  readonly aktiv: boolean;
  readonly konten: number;
  readonly rechte: readonly Recht[] | null;
}

const liste = view<{ readonly rollen: readonly Rollenzeile[] }>("rollen/liste");

/** In words, one row for all that is allowed of a thing within the same scope. */
function inWords({ resources }: Catalogue, rechte: readonly Recht[]): readonly Recht[] {
  const rows = new Map<string, Recht>();
  for (const { ressource, aktion, umfang } of rechte) {
    const known = resources.get(ressource);
    const key = JSON.stringify([ressource, umfang]);
    const word = known?.actions[aktion] ?? aktion;
    const row = rows.get(key);
    rows.set(key, {
      ressource: known?.title ?? ressource,
      aktion: row === undefined ? word : `${row.aktion}, ${word}`,
      umfang: scopeWords.get(umfang) ?? umfang,
    });
  }
  return [...rows.values()];
}

async function rolesPage(visit: PersonVisit): Promise<Reply> {
  const rows = await visit.transaction((tx) =>
    tx.all<Rollenzeile>(
      `SELECT r.id, r.name, r.aktiv,
              (SELECT count(*)::int FROM konto_rolle kr WHERE kr.rolle_id = r.id AND ${istVorhanden("kr.konto_id")}) AS konten,
              (SELECT json_agg(json_build_object('ressource', x.ressource, 'aktion', x.aktion, 'umfang', x.umfang)
                               ORDER BY x.ressource, x.aktion) FROM recht x WHERE x.rolle_id = r.id) AS rechte
         FROM rolle r ORDER BY r.rang, r.name`,
    ),
  );
  const rollen = rows.map((rolle) => ({ ...rolle, rechte: inWords(visit.app.catalogue, rolle.rechte ?? []) }));
  return page(visit, liste, { rollen }, { title: "Rollen" });
}

const scopeWords: ReadonlyMap<string, string> = new Map([
  ["eigen", "eigene"],
  ["unterrichtet", "im eigenen Unterricht"],
  ["mitglied", "als Mitglied oder durch Freigabe"],
  ["kind", "des eigenen Kindes"],
  ["schule", "der ganzen Schule"],
]);
