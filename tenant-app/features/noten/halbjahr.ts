import { personalKeys } from "../../ground/crypto/personal.ts";
import type { Reply } from "../../ground/gate/reply.ts";
import { type Declared, route, type Subject } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { page, view } from "../../ground/pages/page.ts";
import { warum } from "../rollen/public.ts";
import { klasseMitMitgliedern, unterrichtDerKlasse } from "../struktur/public.ts";
import { type Halbjahr, tageDes } from "./buch.ts";
import { inWorten, oeffne } from "./inhalt.ts";
import { Note } from "./public.ts";

/** The half-year's marks of a class, for the office: who has which mark in which course; to look at and to print. */

type Klasse = NonNullable<Awaited<ReturnType<typeof klasseMitMitgliedern>>>;
const klasse: Subject<Klasse> = { relation: "klasse", load: klasseMitMitgliedern };

const seite = view<{
  readonly klasse: Klasse;
  readonly halbjahr: Halbjahr;
  readonly faecher: ReadonlyArray<{ readonly id: string; readonly name: string; readonly fach: string }>;
  readonly zeilen: ReadonlyArray<{
    readonly id: string;
    readonly name: string;
    readonly noten: readonly string[];
    readonly fehlend: number;
  }>;
  readonly fehlend: number;
  /** For the paper, which outlives what it says. */
  readonly stand: Date;
  readonly gruende: readonly string[];
}>("noten/klasse");

export const halbjahresRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/noten/klassen/:id",
    policy: { right: Note.right("lesen"), scope: "schule" },
    object: klasse,
    handle: klassenseite,
  }),
];

async function klassenseite(visit: PersonVisit, eine: Klasse): Promise<Reply> {
  const gesagt = visit.query.get("halbjahr");
  const halbjahr: Halbjahr = gesagt === "1" ? 1 : gesagt === "2" ? 2 : eine.halbjahr;
  const data = await visit.transaction(async (tx) => {
    const tage = tageDes(eine, halbjahr);
    const kurse = await unterrichtDerKlasse(tx, eine.id, tage);
    const mitglieder = eine.mitglieder.filter(({ ab, bis }) => ab <= tage.bis && bis >= tage.von);
    const personen = mitglieder.map(({ id }) => id);
    const [rows, keys] = await Promise.all([
      tx.all<{ id: string; kurs_id: string; person_id: string; verschlossen: Buffer }>(
        `SELECT h.id, h.kurs_id, h.person_id, h.verschlossen FROM halbjahresnote h
          WHERE h.person_id = ANY ($1::uuid[]) AND h.kurs_id = ANY ($2::uuid[]) AND h.halbjahr = $3`,
        [personen, kurse.map(({ id }) => id), halbjahr],
      ),
      personalKeys(tx, visit.app.fieldKey, personen),
    ]);
    await visit.record(tx, { resource: Note, deed: "lesen", object: eine.id });
    const von = new Map(rows.map((row) => [`${row.kurs_id}/${row.person_id}`, row]));
    const zeilen = mitglieder.map(({ id, name }) => {
      const noten = kurse.map((kurs) => {
        if (!kurs.personen.includes(id)) return "·";
        const row = von.get(`${kurs.id}/${id}`);
        return row ? inWorten(oeffne(keys, visit.app.log, "halbjahresnote", row)) : "";
      });
      return { id, name, noten, fehlend: noten.filter((note) => note === "").length };
    });
    const worte = { unterricht: `die Klasse ${eine.name}`, schule: "die Noten der ganzen Schule ansehen" };
    const [ersterKurs] = kurse;
    const gruende = ersterKurs
      ? await warum(tx, visit, Note.right("lesen"), "notenbuch", { id: ersterKurs.id, worte })
      : [];
    return { faecher: kurse, zeilen, gruende };
  });
  const fehlend = data.zeilen.reduce((summe, zeile) => summe + zeile.fehlend, 0);
  const title = `Halbjahresnoten ${eine.name}`;
  return page(visit, seite, { klasse: eine, halbjahr, fehlend, stand: visit.now, ...data }, { title });
}
