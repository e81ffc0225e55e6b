import { type Declared, route } from "../../ground/gate/route.ts";
import { germanDay } from "../../ground/pages/days.ts";
import { choose, type Paging, paging, requestedCut } from "../../ground/pages/keyset.ts";
import { page, view } from "../../ground/pages/page.ts";
import { nameDerPerson } from "../personen/public.ts";
import { Unterrichtsauftrag } from "./public.ts";

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

const columns = `a.id, a.zeit, ${nameDerPerson("a.konto_id")} AS wer, ${nameDerPerson("a.person_id")} AS lehrkraft, k.id AS kurs_id, k.name AS kurs,
  lower(a.vorher)::text AS vorher_ab, (upper(a.vorher) - 1)::text AS vorher_bis,
  lower(a.nachher)::text AS nachher_ab, (upper(a.nachher) - 1)::text AS nachher_bis`;
const listed = { from: "auftragsaenderung a WHERE true", values: [], at: "a.zeit", id: "a.id" };
const shown = { columns, join: "(auftragsaenderung a JOIN kurs k ON k.id = a.kurs_id) ON a.id = gewaehlt.id" };

function inWorten({ vorher_ab, vorher_bis, nachher_ab, nachher_bis }: Zeile): string {
  const dauer = (ab: string | null, bis: string | null) => `${germanDay(ab ?? "")} bis ${germanDay(bis ?? "")}`;
  if (vorher_ab === null) return `neu: ${dauer(nachher_ab, nachher_bis)}`;
  if (nachher_ab === null) return `entfernt: ${dauer(vorher_ab, vorher_bis)}`;
  return `${dauer(nachher_ab, nachher_bis)}, vorher ${dauer(vorher_ab, vorher_bis)}`;
}

const liste = view<Paging & { readonly aenderungen: readonly Aenderung[] }>("struktur/aenderungen");

export const aenderungsRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/unterrichtsauftraege",
    policy: { right: Unterrichtsauftrag.right("eigener"), scope: "schule" },
    handle: async (visit) => {
      const found = await visit.transaction((tx) => choose<Zeile>(tx, listed, shown, requestedCut(visit.query)));
      const aenderungen = found.rows.map((row) => ({ ...row, was: inWorten(row) }));
      const data = { aenderungen, ...paging("/unterrichtsauftraege", found.slice) };
      return page(visit, liste, data, { title: "Änderungen an Unterrichtsaufträgen" });
    },
  }),
];
