import { randomUUID } from "node:crypto";
import type { Transaction } from "../../ground/database/database.ts";
import { notFound } from "../../ground/gate/refusal.ts";
import { type Reply, redirect } from "../../ground/gate/reply.ts";
import { type Declared, route, type Subject } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { InputProblem } from "../../ground/pages/input.ts";
import { page, view } from "../../ground/pages/page.ts";
import { unlessStale, versionOf } from "../../ground/pages/stale.ts";
import { type FormState, formNumber, submit } from "../../ground/pages/submit.ts";
import { type Tabellenfeld, Tabellenzeile } from "../../ground/pages/table.ts";
import { warum } from "../rollen/public.ts";
import { type Unterricht, unterrichtMit } from "../struktur/public.ts";
import {
  type Buch,
  type Halbjahr,
  haltEinstellungen,
  ladeBuch,
  profilVon,
  type Spalte,
  type Zeile,
  type Zelle,
} from "./buch.ts";
import {
  buchJetzt,
  type Eingabe,
  type Getippt,
  getippteZellen,
  letzteEingabe,
  nimmZurueck,
  trageEin,
  widersprueche,
  zellenname,
} from "./eintragen.ts";
import { inWorten } from "./inhalt.ts";
import { Note } from "./public.ts";
import { type Gezeigt, zeigeRechnung } from "./rechenweg.ts";
import { alleProfile, endkategorien, vollerName } from "./regeln.ts";
import { zeigePunkte } from "./schluessel.ts";
import { type Skala, skalenName, zeigeBruch, zeigeNote } from "./skala.ts";

/** The book of marks of a course on one page: to read, to enter like a spreadsheet, to take back. */

interface Notenzeile {
  readonly person_id: string;
  readonly name: string;
  readonly zeitraum: { readonly ab: string; readonly bis: string } | undefined;
  readonly zellen: Tabellenzeile;
  readonly eigene: Tabellenzeile;
  readonly mittel: string;
  readonly vorschlag: string;
}
interface Kopf extends Omit<Spalte, "hoechstpunkte" | "schluessel"> {
  readonly punkte: string;
  readonly fehlend: number;
}
interface Wahl {
  readonly id: string;
  readonly name: string;
}
export interface Leistungswerte {
  readonly name: string;
  readonly datum: string;
  readonly kategorie: string;
  readonly faktor: string;
  readonly punkte: string;
  readonly schluessel: string;
  readonly sichtbar: boolean;
}

const seite = view<{
  readonly kurs: Unterricht;
  readonly halbjahr: Halbjahr;
  readonly profil: string;
  readonly skala: string;
  readonly hinweis: string;
  readonly profile: readonly Wahl[];
  readonly version: number;
  readonly freigegeben: boolean;
  readonly darf: boolean;
  readonly spalten: readonly Kopf[];
  readonly zeilen: readonly Notenzeile[];
  readonly fehlend: number;
  readonly eingabe: Eingabe | undefined;
  readonly vorgang: string;
  readonly neueLeistung: string;
  readonly kategorien: readonly Wahl[];
  readonly schluessel: readonly Wahl[];
  readonly werte: Leistungswerte;
  readonly gruende: readonly string[];
}>("noten/buch");
const ohneProfil = view<{ readonly kurs: Unterricht }>("noten/ohneprofil");
const rechnungsseite = view<{
  readonly kurs: Unterricht;
  readonly halbjahr: Halbjahr;
  readonly name: string;
  readonly rechnung: Gezeigt;
  readonly eigene: string;
  readonly weichtAb: boolean;
  readonly gruende: readonly string[];
}>("noten/rechnung");

export const notenbuch: Subject<Unterricht> = { relation: "notenbuch", load: unterrichtMit };
/** A book is all of a course: not for those who may see their own marks alone. */
const lesen = { right: Note.right("lesen"), scope: ["unterrichtet", "schule"] } as const;
const bearbeiten = { right: Note.right("bearbeiten") } as const;

export const buchRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/noten/kurse/:id",
    policy: lesen,
    object: notenbuch,
    handle: (visit, kurs) => buchseite(visit, kurs, {}),
  }),
  route({ method: "POST", path: "/noten/kurse/:id", policy: bearbeiten, object: notenbuch, handle: eintragen }),
  route({ method: "GET", path: "/noten/kurse/:id/rechnung", policy: lesen, object: notenbuch, handle: rechnung }),
  route({
    method: "POST",
    path: "/noten/kurse/:id/zuruecknehmen",
    policy: bearbeiten,
    object: notenbuch,
    handle: zuruecknehmen,
  }),
  route({
    method: "POST",
    path: "/noten/kurse/:id/freigeben",
    policy: bearbeiten,
    object: notenbuch,
    handle: freigeben,
  }),
  route({
    method: "POST",
    path: "/noten/kurse/:id/profil",
    policy: bearbeiten,
    object: notenbuch,
    handle: waehleProfil,
  }),
];

/** The half that a page or form is about; the one that runs when it does not say. */
export function halbjahrAus(visit: PersonVisit, kurs: Unterricht): Halbjahr {
  const gesagt = visit.form.get("halbjahr") ?? visit.query.get("halbjahr");
  return gesagt === "1" ? 1 : gesagt === "2" ? 2 : kurs.halbjahr;
}

/** Where a book is. */
export const adresse = (kurs: string, halbjahr: Halbjahr, erledigt = ""): string =>
  `/noten/kurse/${kurs}?halbjahr=${halbjahr}${erledigt === "" ? "" : `&erledigt=${erledigt}`}`;

const eingabehinweis: Readonly<Record<Skala, string>> = {
  noten: "Noten von 1 bis 6.",
  tendenzen: "Noten wie 2, 3+ oder 4-.",
  punkte: "Punkte von 15 bis 0.",
};

const gruende = (tx: Transaction, visit: PersonVisit, kurs: Unterricht) =>
  warum(tx, visit, Note.right("lesen"), "notenbuch", {
    id: kurs.id,
    worte: { unterricht: `den Kurs ${kurs.name}`, schule: "die Noten der ganzen Schule ansehen" },
  });

async function darfEintragen(tx: Transaction, kurs: string): Promise<boolean> {
  const row = await tx.one<{ darf: boolean }>(
    `SELECT EXISTS (SELECT FROM bezug.notenbuch b WHERE b.id = $1 AND b.aktion = 'bearbeiten'
       AND b.umfang = ANY (meine_umfaenge('Note', 'bearbeiten'))) AS darf`,
    [kurs],
  );
  return row?.darf ?? false;
}

interface Zustand extends Partial<FormState> {
  /** What was typed into the book. */
  readonly getippt?: readonly Getippt[];
  readonly leistung?: { readonly werte: Leistungswerte; readonly id: string };
}

/** The page, with what was typed if a form was not taken. */
export async function buchseite(visit: PersonVisit, kurs: Unterricht, zustand: Zustand): Promise<Reply> {
  const { errors = [], stale, getippt = [], leistung } = zustand;
  const halbjahr = halbjahrAus(visit, kurs);
  const data = await visit.transaction(async (tx) => {
    const buch = await ladeBuch(tx, visit, kurs, halbjahr);
    await visit.record(tx, { resource: Note, deed: "lesen", object: kurs.id });
    if (!buch) return undefined;
    const [darf, eingabe, warum, heute] = await Promise.all([
      darfEintragen(tx, kurs.id),
      letzteEingabe(tx, visit, buch),
      gruende(tx, visit, kurs),
      tx.one<{ tag: string }>("SELECT heute()::text AS tag"),
    ]);
    return { buch, darf, eingabe, gruende: warum, heute: heute?.tag ?? "" };
  });
  if (!data) {
    return page(visit, ohneProfil, { kurs }, { title: `Noten: ${kurs.name}` });
  }
  const { buch, darf, eingabe } = data;
  const { profil } = buch;
  const falsch = new Set(errors.map(({ field }) => field));
  const zeilen = buch.zeilen.map((zeile, r) => alsZeile(buch, zeile, r, { getippt, falsch, darf }));
  const kategorien = endkategorien(profil).map(({ id }) => ({ id, name: vollerName(profil.kategorien, id) }));
  return page(
    visit,
    seite,
    {
      kurs,
      halbjahr,
      profil: profil.name,
      skala: skalenName[profil.skala],
      hinweis: `${eingabehinweis[profil.skala]}${buch.spalten.some(({ hoechstpunkte }) => hoechstpunkte !== null) ? " Wo eine Punktzahl dabeisteht, tragen Sie Punkte ein, zum Beispiel 17,5." : ""}`,
      profile: buch.profile.filter(({ aktiv, id }) => aktiv || id === profil.id).map(({ id, name }) => ({ id, name })),
      version: buch.version,
      freigegeben: buch.freigegeben,
      darf,
      spalten: buch.spalten.map((spalte, c) => alsKopf(spalte, zeilen, c)),
      zeilen,
      fehlend: zeilen.reduce((summe, { zellen }) => summe + zellen.felder.filter(({ fehlt }) => fehlt).length, 0),
      eingabe,
      vorgang: getippt.length > 0 ? formNumber(visit.form) : randomUUID(),
      neueLeistung: leistung?.id ?? randomUUID(),
      kategorien,
      schluessel: buch.schluessel.filter(({ aktiv, skala }) => aktiv && skala === profil.skala),
      werte: leistung?.werte ?? {
        name: "",
        datum: data.heute,
        kategorie: kategorien[0]?.id ?? "",
        faktor: "1",
        punkte: "",
        schluessel: "",
        sichtbar: true,
      },
      gruende: data.gruende,
    },
    { title: `Noten: ${kurs.name}`, errors, script: true, ...(stale ? { stale } : {}) },
  );
}

function alsZeile(
  buch: Buch,
  zeile: Zeile,
  r: number,
  {
    getippt,
    falsch,
    darf,
  }: { readonly getippt: readonly Getippt[]; readonly falsch: ReadonlySet<string>; readonly darf: boolean },
): Notenzeile {
  const { rechnung, eigene } = zeile;
  const feld = (c: string, zelle: Zelle, spalte: Spalte | undefined): Tabellenfeld => {
    const eine = getippt.find(
      (getippte) => getippte.zeile.person_id === zeile.person_id && getippte.spalte?.id === spalte?.id,
    );
    return {
      nr: `${r}_${c}`,
      beschriftung: zellenname(zeile, spalte),
      text: eine?.text ?? zelle.text,
      alt: zelle.text,
      // What points come to.
      darunter: zelle.inhalt?.punkte === undefined ? "" : zeigeNote(zelle.inhalt.note ?? "–"),
      fehlt: spalte !== undefined && fehltNoch(zeile, spalte, zelle),
      unlesbar: !zelle.lesbar,
      falsch: eine !== undefined && falsch.has(eine.feld),
    };
  };
  return {
    person_id: zeile.person_id,
    name: zeile.name,
    zeitraum: zeile.ganz ? undefined : { ab: zeile.ab, bis: zeile.bis },
    zellen: new Tabellenzeile(
      buch.spalten.map((spalte, c) => feld(String(c), zeile.zellen[c] ?? zeile.eigene, spalte)),
      darf,
    ),
    eigene: new Tabellenzeile(
      [{ ...feld("h", eigene, undefined), ...(weichtAb(zeile) ? { warnung: "weicht ab" } : {}) }],
      darf,
    ),
    mittel: rechnung.mittel ? zeigeBruch(rechnung.mittel).replace("≈ ", "") : "",
    vorschlag: rechnung.vorschlag ?? "",
  };
}

/** Whether somebody who took part on that day has nothing there, and should. */
const fehltNoch = ({ ab, bis }: Zeile, { vorbei, datum }: Spalte, { id }: Zelle): boolean =>
  vorbei && id === undefined && ab <= datum && datum <= bis;

/** Whether the teacher gives another mark than is reckoned; a tendency makes no difference. */
function weichtAb({ rechnung, eigene }: Pick<Zeile, "rechnung" | "eigene">): boolean {
  const gegeben = eigene.inhalt?.note;
  return (
    gegeben !== undefined && rechnung.vorschlag !== undefined && gegeben.replace(/[+-]/, "") !== rechnung.vorschlag
  );
}

function alsKopf(spalte: Spalte, zeilen: readonly Notenzeile[], c: number): Kopf {
  const { hoechstpunkte, schluessel: _, ...rest } = spalte;
  return {
    ...rest,
    punkte: hoechstpunkte === null ? "" : zeigePunkte(hoechstpunkte),
    fehlend: zeilen.filter(({ zellen }) => zellen.felder[c]?.fehlt).length,
  };
}

async function eintragen(visit: PersonVisit, kurs: Unterricht): Promise<Reply> {
  const halbjahr = halbjahrAus(visit, kurs);
  const eingabe = formNumber(visit.form);
  const nochmal = async (state: FormState): Promise<Reply> => {
    const buch = await visit.transaction((tx) => buchJetzt(tx, visit, { kurs, halbjahr }));
    return buchseite(visit, kurs, { ...state, getippt: getippteZellen(visit.form, buch) });
  };
  return submit({
    done: adresse(kurs.id, halbjahr, "noten"),
    again: nochmal,
    stale: async () => {
      const buch = await visit.transaction((tx) => buchJetzt(tx, visit, { kurs, halbjahr }));
      return widersprueche(getippteZellen(visit.form, buch));
    },
    work: () =>
      visit.transaction(async (tx, jetzt) => {
        const buch = await buchJetzt(tx, jetzt, { kurs, halbjahr });
        const zellen = getippteZellen(visit.form, buch);
        if (verloren(visit.form, buch)) {
          const text =
            "Jemand, den Sie eingetragen haben, nimmt nicht mehr teil, oder eine Leistung wurde gelöscht. Bitte sehen Sie die Seite noch einmal an. Es wurde nichts gespeichert.";
          throw new InputProblem({ field: "", text });
        }
        const anzahl = await trageEin(tx, jetzt, buch, zellen, eingabe);
        if (anzahl === undefined) {
          // The form of before, gone back to and sent again: what was typed since is entered as well.
          const danach = await buchJetzt(tx, jetzt, { kurs, halbjahr });
          await trageEin(tx, jetzt, danach, getippteZellen(visit.form, danach), randomUUID());
        }
        return adresse(kurs.id, halbjahr, anzahl === 0 ? "noten-gleich" : "noten");
      }),
  });
}

/** Whether the form speaks of a row or a column that is not there any more. */
function verloren(form: URLSearchParams, buch: Buch): boolean {
  const [personen, spalten] = [
    new Set(buch.zeilen.map(({ person_id }) => person_id)),
    new Set(buch.spalten.map(({ id }) => id)),
  ];
  return form.getAll("zeile").some((id) => !personen.has(id)) || form.getAll("spalte").some((id) => !spalten.has(id));
}

function zuruecknehmen(visit: PersonVisit, kurs: Unterricht): Promise<Reply> {
  const halbjahr = halbjahrAus(visit, kurs);
  return submit({
    done: adresse(kurs.id, halbjahr, "noten-zurueck"),
    again: (state) => buchseite(visit, kurs, state),
    stale: async () => [],
    work: () =>
      visit.transaction(async (tx, jetzt) => {
        const buch = await buchJetzt(tx, jetzt, { kurs, halbjahr });
        await nimmZurueck(tx, jetzt, buch, visit.form.get("eingabe") ?? "");
      }),
  });
}

function freigeben(visit: PersonVisit, kurs: Unterricht): Promise<Reply> {
  const halbjahr = halbjahrAus(visit, kurs);
  const zeigen = visit.form.get("schritt") !== "verbergen";
  return submit({
    done: adresse(kurs.id, halbjahr, zeigen ? "noten-gezeigt" : "noten-verborgen"),
    again: (state) => buchseite(visit, kurs, state),
    stale: async () => [],
    work: () =>
      visit.transaction(async (tx, jetzt) => {
        const buch = await buchJetzt(tx, jetzt, { kurs, halbjahr });
        await haltEinstellungen(tx, jetzt, kurs.id, buch.profil.id);
        const spalte = halbjahr === 1 ? "freigegeben_1" : "freigegeben_2";
        await tx.run(`UPDATE kursnoten SET ${spalte} = $2 WHERE kurs_id = $1`, [kurs.id, zeigen ? visit.now : null]);
        const values = { neu: { halbjahr, gezeigt: zeigen } };
        await jetzt.record(tx, { resource: Note, deed: "freigeben", object: kurs.id, values });
      }),
  });
}

function waehleProfil(visit: PersonVisit, kurs: Unterricht): Promise<Reply> {
  const halbjahr = halbjahrAus(visit, kurs);
  const gewaehlt = visit.form.get("profil") ?? "";
  return submit({
    done: adresse(kurs.id, halbjahr, "notenprofil-gewaehlt"),
    again: (state) => buchseite(visit, kurs, state),
    stale: async () => {
      const [jetzt, profile] = await visit.transaction(
        async (tx) => [await profilVon(tx, kurs.id), await alleProfile(tx)] as const,
      );
      const name = profile.find(({ id }) => id === gewaehlt)?.name ?? "";
      return [{ what: "Notenprofil", stored: jetzt?.profil.name ?? "", typed: name }];
    },
    work: () =>
      visit.transaction(async (tx, jetzt) => {
        const profil = (await alleProfile(tx)).find(({ id, aktiv }) => id === gewaehlt && aktiv);
        if (!profil) {
          throw new InputProblem({
            field: "profil",
            text: "Dieses Notenprofil gibt es nicht mehr. Bitte wählen Sie neu.",
          });
        }
        const buch = await buchJetzt(tx, jetzt, { kurs, halbjahr });
        await haltEinstellungen(tx, jetzt, kurs.id, buch.profil.id);
        const benotet = await tx.one<{ da: boolean }>(
          `SELECT EXISTS (SELECT FROM leistung l WHERE l.kurs_id = $1) OR EXISTS (SELECT FROM halbjahresnote h WHERE h.kurs_id = $1) AS da`,
          [kurs.id],
        );
        if (benotet?.da && profil.id !== buch.profil.id) {
          const text =
            "In diesem Kurs gibt es schon Leistungen oder Noten nach dem bisherigen Notenprofil. Ein anderes kann gewählt werden, solange es keine gibt.";
          throw new InputProblem({ field: "profil", text });
        }
        if (buch.version > 0) {
          const changed = "UPDATE kursnoten SET profil_id = $3 WHERE kurs_id = $1 AND version = $2";
          unlessStale(await tx.run(changed, [kurs.id, versionOf(visit.form), profil.id]));
        } else {
          await tx.run("UPDATE kursnoten SET profil_id = $2 WHERE kurs_id = $1", [kurs.id, profil.id]);
        }
        const values = { alt: { profil: buch.profil.id }, neu: { profil: profil.id } };
        await jetzt.record(tx, { resource: Note, deed: "bearbeiten", object: kurs.id, values });
      }),
  });
}

/** How one pupil's proposal was reckoned. */
async function rechnung(visit: PersonVisit, kurs: Unterricht): Promise<Reply> {
  const halbjahr = halbjahrAus(visit, kurs);
  const person = visit.query.get("person");
  if (person === null) {
    return redirect(adresse(kurs.id, halbjahr));
  }
  const found = await visit.transaction(async (tx) => {
    const buch = await ladeBuch(tx, visit, kurs, halbjahr);
    const zeile = buch?.zeilen.find(({ person_id }) => person_id === person);
    if (!buch || !zeile) throw notFound();
    await visit.record(tx, { resource: Note, deed: "lesen", object: kurs.id, person });
    return { buch, zeile, gruende: await gruende(tx, visit, kurs) };
  });
  const { buch, zeile } = found;
  const data = {
    kurs,
    halbjahr,
    name: zeile.name,
    rechnung: zeigeRechnung(buch.profil, zeile.rechnung),
    eigene: zeile.eigene.id === undefined ? "" : inWorten(zeile.eigene.inhalt),
    weichtAb: weichtAb(zeile),
    gruende: found.gruende,
  };
  return page(visit, rechnungsseite, data, { title: `${zeile.name}: ${kurs.name}` });
}
