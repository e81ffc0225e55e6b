import type { Transaction } from "../../ground/database/database.ts";
import { type Declared, route } from "../../ground/gate/route.ts";
import { page, view } from "../../ground/pages/page.ts";
import { nameDerPerson } from "../personen/public.ts";
import { Unterrichtsauftrag } from "./public.ts";
import { deutsch } from "./zeitraum.ts";

/** Changes of who teaches what, for the head of the school. */

interface Zeile {
  readonly id: string;
  readonly zeit: Date;
  readonly wer: string | null;
  readonly lehrkraft: string | null;
  readonly kurs_id: string;
  readonly kurs: string;
  readonly vorher_ab: string | null;
  readonly vorher_bis: string | null;
  readonly nachher_ab: string | null;
  readonly nachher_bis: string | null;
}

interface Aenderung extends Zeile {
  readonly was: string;
}

/** No more are shown at once; older ones by the address of the last. */
const proSeite = 50;

function neueste(tx: Transaction, vor: Date | undefined): Promise<Zeile[]> {
  return tx.all<Zeile & Record<string, unknown>>(
    `SELECT a.id, a.zeit, ${nameDerPerson("a.konto_id")} AS wer, ${nameDerPerson("a.person_id")} AS lehrkraft, k.id AS kurs_id, k.name AS kurs,
            lower(a.vorher)::text AS vorher_ab, (upper(a.vorher) - 1)::text AS vorher_bis,
            lower(a.nachher)::text AS nachher_ab, (upper(a.nachher) - 1)::text AS nachher_bis
       FROM auftragsaenderung a JOIN kurs k ON k.id = a.kurs_id
      WHERE $1::timestamptz IS NULL OR a.zeit < $1 ORDER BY a.zeit DESC, a.id DESC LIMIT ${proSeite + 1}`,
    [vor ?? null],
  );
}

function inWorten({ vorher_ab, vorher_bis, nachher_ab, nachher_bis }: Zeile): string {
  const dauer = (ab: string | null, bis: string | null) => `${deutsch(ab ?? "")} bis ${deutsch(bis ?? "")}`;
  if (vorher_ab === null) return `neu: ${dauer(nachher_ab, nachher_bis)}`;
  if (nachher_ab === null) return `entfernt: ${dauer(vorher_ab, vorher_bis)}`;
  return `${dauer(nachher_ab, nachher_bis)}, vorher ${dauer(vorher_ab, vorher_bis)}`;
}

const liste = view<{ readonly aenderungen: readonly Aenderung[]; readonly weiter: string | undefined }>(
  "struktur/aenderungen",
);

export const aenderungsRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/unterrichtsauftraege",
    policy: { right: Unterrichtsauftrag.right("eigener"), scope: "schule" },
    handle: async (visit) => {
      const vor = new Date(visit.query.get("vor") ?? "");
      const rows = await visit.transaction((tx) => neueste(tx, Number.isNaN(vor.getTime()) ? undefined : vor));
      const shown = rows.slice(0, proSeite).map((row) => ({ ...row, was: inWorten(row) }));
      const last = rows.length > proSeite ? shown.at(-1)?.zeit : undefined;
      const weiter = last && `/unterrichtsauftraege?vor=${encodeURIComponent(last.toISOString())}`;
      return page(visit, liste, { aenderungen: shown, weiter }, { title: "Änderungen an Unterrichtsaufträgen" });
    },
  }),
];
