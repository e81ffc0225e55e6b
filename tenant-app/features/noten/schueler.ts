import { personalKeys } from "../../ground/crypto/personal.ts";
import type { Reply } from "../../ground/gate/reply.ts";
import { type Declared, route, type Subject } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { page, view } from "../../ground/pages/page.ts";
import { meineKinder, namenDer } from "../personen/public.ts";
import { warum, warumJe } from "../rollen/public.ts";
import {
  eigenerUnterricht,
  klassenDerJahre,
  namenFruehererKurse,
  type Unterricht,
  unterrichtMitIds,
} from "../struktur/public.ts";
import { inWorten, oeffne } from "./inhalt.ts";
import { Note, Notenprofil } from "./public.ts";

/** Marks of one person: for themselves, their parents, who teaches them, the school. And where marks begin: the way to each of them. */

interface Einzelne {
  readonly name: string;
  readonly datum: string;
  readonly halbjahr: number;
  readonly note: string;
}
interface Kursnoten {
  readonly name: string;
  readonly jahr: string;
  readonly gruende: readonly string[];
  readonly halbjahre: ReadonlyArray<{
    readonly nr: number;
    readonly note: string;
    readonly noten: readonly Einzelne[];
  }>;
}
const seite = view<{
  readonly name: string;
  readonly gruende: readonly string[];
  readonly kurse: readonly Kursnoten[];
}>("noten/person");
const anfang = view<{
  readonly kurse: readonly Unterricht[];
  readonly kinder: ReadonlyArray<{ readonly id: string; readonly name: string }>;
  readonly jahre: Awaited<ReturnType<typeof klassenDerJahre>>;
  readonly leer: string;
  readonly ich: string | undefined;
  readonly darfRegeln: boolean;
}>("noten/anfang");

interface Wer {
  readonly id: string;
  readonly name: string;
}
const person: Subject<Wer> = {
  relation: "notenperson",
  load: async (tx, id) => {
    const [name] = await namenDer(tx, [id]);
    return name === undefined ? undefined : { id, name };
  },
};

const lesen = { right: Note.right("lesen") } as const;
export const schuelerRoutes: readonly Declared[] = [
  route({ method: "GET", path: "/noten", policy: lesen, handle: uebersicht }),
  route({ method: "GET", path: "/noten/:id", policy: lesen, object: person, handle: personenseite }),
];

async function uebersicht(visit: PersonVisit): Promise<Reply> {
  const alle = visit.may(Note.right("lesen"), "schule");
  const data = await visit.transaction(async (tx) => ({
    kurse: visit.may(Note.right("lesen"), "unterrichtet") ? await eigenerUnterricht(tx) : [],
    kinder: visit.may(Note.right("lesen"), "kind") ? await meineKinder(tx) : [],
    jahre: alle ? await klassenDerJahre(tx) : [],
  }));
  const ich = visit.may(Note.right("lesen"), "eigen") ? visit.person.accountId : undefined;
  const darfRegeln = visit.may(Notenprofil.right("bearbeiten"), "schule");
  const etwas = ich !== undefined || [data.kurse, data.kinder, data.jahre].some(({ length }) => length > 0);
  const warum = alle
    ? "Es gibt noch keine Klassen, oder Sie dürfen keine sehen."
    : "Sie unterrichten heute keinen Kurs, und es sind keine Kinder für Sie eingetragen.";
  return page(visit, anfang, { ...data, ich, darfRegeln, leer: etwas ? "" : warum }, { title: "Noten" });
}

interface Row {
  readonly id: string;
  readonly kurs_id: string;
  readonly person_id: string;
  readonly verschlossen: Buffer;
}

async function personenseite(visit: PersonVisit, { id, name }: Wer): Promise<Reply> {
  const data = await visit.transaction(async (tx) => {
    const [verschlossene, halbjahre, keys] = await Promise.all([
      tx.all<Row & { readonly leistung_id: string } & Record<string, unknown>>(
        "SELECT n.id, n.leistung_id, n.kurs_id, n.person_id, n.verschlossen FROM note n WHERE n.person_id = $1",
        [id],
      ),
      tx.all<Row & { readonly halbjahr: number } & Record<string, unknown>>(
        "SELECT h.id, h.kurs_id, h.halbjahr, h.person_id, h.verschlossen FROM halbjahresnote h WHERE h.person_id = $1",
        [id],
      ),
      personalKeys(tx, visit.app.fieldKey, [id]),
    ]);
    // By their ids: row-level security knows no index to what one may see of all that the school has.
    const leistungen = await tx.all<{ id: string; halbjahr: number; name: string; datum: string }>(
      "SELECT l.id, l.halbjahr, l.name, l.datum::text FROM leistung l WHERE l.id = ANY ($1::uuid[]) ORDER BY l.datum, l.name, l.id",
      [verschlossene.map(({ leistung_id }) => leistung_id)],
    );
    const noten = leistungen.flatMap(({ id: leistung, ...worin }) =>
      verschlossene.filter(({ leistung_id }) => leistung_id === leistung).map((row) => ({ ...row, ...worin })),
    );
    await visit.record(tx, { resource: Note, deed: "lesen", object: id, person: id });
    const ids = [...new Set([...noten, ...halbjahre].map(({ kurs_id }) => kurs_id))];
    const kurse = await unterrichtMitIds(tx, ids);
    const log = visit.app.log;
    const einzelne = noten.map((row) => ({ ...row, note: inWorten(oeffne(keys, log, "note", row)) }));
    const gegeben = halbjahre.map((row) => ({ ...row, note: inWorten(oeffne(keys, log, "halbjahresnote", row)) }));
    const gezeigt: Kursnoten[] = [];
    const fehlende = ids.filter((eine) => !kurse.some((kurs) => kurs.id === eine));
    const alle = [...kurse, ...(fehlende.length === 0 ? [] : await namenFruehererKurse(tx, fehlende))];
    const [jeKurs, gruende] = await Promise.all([
      warumJe(
        tx,
        visit,
        lesen.right,
        "notenbuch",
        alle.flatMap((kurs) => {
          const worte = { ...schulweit, unterricht: `den Kurs ${kurs.name}` };
          return [
            { id: kurs.id, worte },
            { id: kurs.id, worte, aktion: "einsehen" },
          ];
        }),
      ),
      warum(tx, visit, lesen.right, "notenperson", { id, worte: { ...schulweit, unterricht: name } }),
    ]);
    for (const [at, kurs] of alle.entries()) {
      const nr = [1, 2].map((halbjahr) => ({
        nr: halbjahr,
        note: gegeben.find((eine) => eine.kurs_id === kurs.id && eine.halbjahr === halbjahr)?.note ?? "",
        noten: einzelne.filter((eine) => eine.kurs_id === kurs.id && eine.halbjahr === halbjahr),
      }));
      gezeigt.push({
        name: kurs.name,
        jahr: kurs.jahr,
        gruende: [...(jeKurs[2 * at] ?? []), ...(jeKurs[2 * at + 1] ?? [])],
        halbjahre: nr.filter(({ note, noten: liste }) => note !== "" || liste.length > 0),
      });
    }
    return { kurse: gezeigt, gruende };
  });
  return page(
    visit,
    seite,
    { name, ...data },
    { title: id === visit.person.accountId ? "Meine Noten" : `Noten: ${name}` },
  );
}

const schulweit = { schule: "die Noten der ganzen Schule ansehen" } as const;
