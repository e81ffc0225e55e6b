import { randomUUID } from "node:crypto";
import { isDuplicate, isOverlap, type Transaction } from "../../ground/database/database.ts";
import { type Entry, entryOf } from "../../ground/journal/write.ts";
import { WorkRefused, type WorkStep } from "../../ground/work/kind.ts";
import { gibVielenKonten, Konto } from "../konten/public.ts";
import { nennePersonen, Person, speicherePersonen } from "../personen/public.ts";
import { beendeMitglieder, Klasse, Kurs, legeStrukturAn, ordneVieleZu } from "../struktur/public.ts";
import type { Pruefer } from "./bestand.ts";
import { geplant, type Handlungen, type Plan, type Verweis } from "./planform.ts";
import { Einlesung } from "./public.ts";

/** Carries out a plan: a few statements for a whole school, all or nothing. What has changed since the plan was made makes it fail. */

export interface Auftrag {
  /** Of the Einlesung. */
  readonly id: string;
  readonly jahr: string;
  readonly heute: string;
  readonly darfRollen: boolean;
}

/** Somebody has changed meanwhile what the plan is about. */
export class Veraltet extends WorkRefused {
  constructor() {
    super(
      "Inzwischen hat jemand etwas geändert. Es wurde nichts eingelesen. Sehen Sie sich die neue Vorschau an.",
      "/einlesen/vorschau",
    );
  }
}

export async function wendeAn(step: WorkStep, { handlungen }: Plan, pruefer: Pruefer, auftrag: Auftrag): Promise<void> {
  try {
    await schreibe(step, handlungen, pruefer, auftrag);
  } catch (error) {
    throw isDuplicate(error) || isOverlap(error) ? new Veraltet() : error;
  }
}

async function schreibe(step: WorkStep, handlungen: Handlungen, pruefer: Pruefer, auftrag: Auftrag): Promise<void> {
  const { tx, now } = step;
  const ids = new Map<Verweis, string>();
  const id = (verweis: Verweis): string => {
    const gefunden = verweis.startsWith("id:") ? verweis.slice(3) : ids.get(verweis);
    if (gefunden === undefined) throw new Error("a plan refers to something that it does not make");
    return gefunden;
  };
  const neu = <T>(liste: readonly T[], verweis: (eines: T) => Verweis) =>
    liste.map((eines) => {
      const neueId = randomUUID();
      ids.set(verweis(eines), neueId);
      return { ...eines, id: neueId };
    });
  const personen = neu(handlungen.personen, ({ ref }) => geplant(ref));
  const struktur = strukturMit(handlungen, auftrag.jahr);
  const ziel: Ziel = (art, verweis) => struktur.ids.get(`${art} ${verweis}`) ?? id(verweis);
  const belegung = zuordnungenMit(handlungen, id, ziel);

  await speicherePersonen(tx, now, personen);
  const konten = await legeKontenAn(step, handlungen, id, auftrag.darfRollen);
  const neuePersonen = personen.map(({ id: person, vorname, nachname }) =>
    entryOf({ resource: Person, deed: "anlegen", object: person, person, values: { neu: { vorname, nachname } } }),
  );
  await step.recordAll([
    ...neuePersonen,
    ...konten,
    ...aenderungen(handlungen),
    ...struktur.eintraege,
    ...belegung.eintraege,
  ]);
  // Whether all of it is in the journal is asked from here on by each statement, not at the end by one that would take too long. The
  // journal's chain, for which others wait, comes last.
  await tx.run("SET CONSTRAINTS protokoll, protokoll_danach IMMEDIATE");

  const namen = handlungen.umbenennungen.map(({ id: person, version, neu: name }) => ({
    id: person,
    version,
    ...name,
  }));
  unlessStale(await nennePersonen(tx, namen), namen.length);
  await legeStrukturAn(tx, auftrag.jahr, struktur);
  unlessStale(await beendeMitglieder(tx, handlungen.enden), handlungen.enden.length);
  for (const art of ["mitglied", "leitung", "auftrag", "einschreibung"] as const) {
    const dieser = belegung.neue.filter((eine) => eine.art === art);
    await ordneVieleZu(tx, art, dieser);
  }
  await merkeDich(tx, handlungen, { id, ziel, pruefer, auftrag });
}

/** Entries for names that change, and classes that are left. */
function aenderungen({ umbenennungen, enden }: Handlungen): readonly Entry<string>[] {
  return [
    ...umbenennungen.map(({ id: person, alt, neu }) =>
      entryOf({ resource: Person, deed: "bearbeiten", object: person, person, values: { alt, neu } }),
    ),
    ...enden.map(({ id: object, person, alt, bis }) => {
      const values = bis === undefined ? { alt } : { alt, neu: { ab: alt.ab, bis } };
      return entryOf({ resource: Klasse, deed: bis === undefined ? "loeschen" : "bearbeiten", object, person, values });
    }),
  ];
}

/** The id of a class or course that a plan means. */
type Ziel = (art: "klasse" | "kurs", verweis: Verweis) => string;

function unlessStale(changed: number, wanted: number): void {
  if (changed !== wanted) throw new Veraltet();
}

/** Classes, subjects and courses with their ids, and their entries in the journal. */
function strukturMit(handlungen: Handlungen, jahr: string) {
  const ids = new Map<Verweis, string>();
  const mit = <T>(liste: readonly T[], art: string, ref: (eines: T) => string) =>
    liste.map((eines) => {
      const id = randomUUID();
      ids.set(`${art} ${geplant(ref(eines))}`, id);
      return { ...eines, id };
    });
  const faecher = mit(handlungen.faecher, "fach", ({ kuerzel }) => kuerzel).map(({ id, kuerzel, name }) => ({
    id,
    kuerzel,
    name,
  }));
  const klassen = mit(handlungen.klassen, "klasse", ({ name }) => name);
  const fach = (verweis: Verweis) => ids.get(`fach ${verweis}`) ?? verweis.slice(3);
  const kurse = mit(handlungen.kurse, "kurs", ({ ref }) => ref).map((kurs) => ({
    id: kurs.id,
    name: kurs.name,
    fach: fach(kurs.fach),
  }));
  const eintraege = [
    ...[...faecher, ...kurse].map(({ id, ...neu }) =>
      entryOf({ resource: Kurs, deed: "anlegen", object: id, values: { neu } }),
    ),
    ...klassen.map(({ id, name }) =>
      entryOf({ resource: Klasse, deed: "anlegen", object: id, values: { neu: { name, jahr } } }),
    ),
  ];
  return { ids, faecher, klassen, kurse, eintraege };
}

/** What comes to one person is one entry in the journal. */
function zuordnungenMit(handlungen: Handlungen, id: (verweis: Verweis) => string, ziel: Ziel) {
  const sammlungen = new Map<string, { readonly id: string; readonly neu: Record<string, string[]> }>();
  const neue = handlungen.zuordnungen.map(({ art, person: wer, ziel: wohin, ab, bis }) => {
    const person = id(wer);
    const sammlung = sammlungen.get(person) ?? { id: randomUUID(), neu: { ab: [ab], bis: [bis] } };
    sammlungen.set(person, sammlung);
    const zielId = ziel(art === "mitglied" || art === "leitung" ? "klasse" : "kurs", wohin);
    sammlung.neu[art] = (sammlung.neu[art] ?? []).concat(zielId);
    return { art, id: randomUUID(), person, ziel: zielId, ab, bis, sammlung: sammlung.id };
  });
  const eintraege = [...sammlungen].map(([person, { id: object, neu }]) =>
    entryOf({ resource: Einlesung, deed: "zuordnen", object, person, values: { neu } }),
  );
  return { neue, eintraege };
}

async function legeKontenAn(
  { tx, now }: WorkStep,
  handlungen: Handlungen,
  id: (verweis: Verweis) => string,
  darfRollen: boolean,
): Promise<Entry<string>[]> {
  const rolle = { schueler: "schueler", lehrkraft: "lehrer" } as const;
  const wuensche = handlungen.konten.map(({ person, art, vorname, nachname, email }) => ({
    id: id(person),
    vorname,
    nachname,
    email,
    rolle: darfRollen ? rolle[art] : undefined,
  }));
  const neue = await gibVielenKonten(tx, now, wuensche);
  return neue.map(({ id: person, benutzername, email, rolle: eine }) =>
    entryOf({
      resource: Konto,
      deed: "anlegen",
      object: person,
      person,
      values: { neu: { benutzername, email, rollen: eine ? [eine] : [] } },
    }),
  );
}

interface Womit {
  readonly id: (verweis: Verweis) => string;
  readonly ziel: Ziel;
  readonly pruefer: Pruefer;
  readonly auftrag: Auftrag;
}

/** By what people and courses are known again in the next file. */
async function merkeDich(
  tx: Transaction,
  { merkmale, kurskennungen }: Handlungen,
  { id, ziel, pruefer, auftrag }: Womit,
): Promise<void> {
  const zeilen = merkmale.map(({ person, art, geburt, kennung }) => ({
    person: id(person),
    art,
    quelle: kennung?.quelle,
    geburt: geburt === undefined ? null : pruefer.geburt(id(person), geburt),
    kennung: kennung && pruefer.person(kennung.quelle, kennung.wert),
  }));
  await tx.run(
    `INSERT INTO eingelesene_person AS e (person_id, art, geburt, zuletzt_am)
     SELECT x.person, x.art, decode(x.geburt, 'hex'), $2 FROM json_to_recordset($1::json) AS x (person uuid, art text, geburt text)
     ON CONFLICT (person_id) DO UPDATE SET art = excluded.art, geburt = coalesce(excluded.geburt, e.geburt), zuletzt_am = excluded.zuletzt_am`,
    [JSON.stringify(zeilen), auftrag.heute],
  );
  const kennungen = JSON.stringify(zeilen.filter(({ kennung }) => kennung !== undefined));
  // Whoever had it before has it no more.
  await tx.run(
    `DELETE FROM fremde_kennung f USING json_to_recordset($1::json) AS x (quelle text, kennung text, person uuid)
      WHERE f.quelle = x.quelle AND f.kennung = decode(x.kennung, 'hex') AND f.person_id <> x.person`,
    [kennungen],
  );
  await tx.run(
    `INSERT INTO fremde_kennung (quelle, kennung, person_id)
     SELECT x.quelle, decode(x.kennung, 'hex'), x.person FROM json_to_recordset($1::json) AS x (quelle text, kennung text, person uuid)
     ON CONFLICT (person_id, quelle) DO UPDATE SET kennung = excluded.kennung`,
    [kennungen],
  );
  const kurse = kurskennungen.map(({ kurs, quelle, wert }) => ({
    kurs: ziel("kurs", kurs),
    quelle,
    kennung: pruefer.kurs(auftrag.jahr, quelle, wert),
  }));
  await tx.run(
    `INSERT INTO kurskennung (quelle, kennung, kurs_id)
     SELECT x.quelle, decode(x.kennung, 'hex'), x.kurs FROM json_to_recordset($1::json) AS x (quelle text, kennung text, kurs uuid)`,
    [JSON.stringify(kurse)],
  );
}
