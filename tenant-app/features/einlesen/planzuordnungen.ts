import { germanDay } from "../../ground/pages/days.ts";
import { listenname } from "../personen/public.ts";
import type { Zugehoerig } from "../struktur/public.ts";
import type { Bestand, Bestandsperson } from "./bestand.ts";
import { Offene } from "./offene.ts";
import {
  type Ende,
  type Entwurf,
  type Handlungen,
  leereZeile,
  type NeueZuordnung,
  type Verweis,
  vorhanden,
  type Werist,
  type Zuordnungsart,
} from "./planform.ts";
import type { Strukturteil } from "./planstruktur.ts";
import type { Personensatz, Saetze, Zuordnungssatz } from "./saetze.ts";
import { gruppiert, type Treffer } from "./zuordnen.ts";

/** The part of a plan about who belongs where: nothing ends because a file does not name it, but for the class that somebody left. */

interface Umstand {
  readonly wer: Werist;
  /** Whom a `ref` means who is marked for deletion, and so gets nothing. */
  readonly geht: (ref: string) => Bestandsperson | undefined;
  readonly treffer: ReadonlyMap<string, Treffer>;
  readonly struktur: Strukturteil;
}

interface Teil {
  readonly enden: Ende[];
  readonly zuordnungen: NeueZuordnung[];
}

export function planeZuordnungen(
  saetze: Saetze,
  bestand: Bestand,
  umstand: Umstand,
  entwurf: Entwurf,
): Pick<Handlungen, "enden" | "zuordnungen"> {
  const teil: Teil = { enden: [], zuordnungen: [] };
  planeMitglieder(saetze.personen, bestand, umstand, entwurf, teil);
  const offen = new Offene();
  const plane = (art: Art, liste: readonly Zuordnungssatz[]) =>
    planeArt(art, liste, bestand, umstand, { entwurf, teil, offen });
  plane("leitung", saetze.leitungen);
  plane("auftrag", saetze.auftraege);
  plane("einschreibung", [...saetze.einschreibungen, ...ausKlassen(saetze, bestand, umstand, teil)]);
  offen.melde(entwurf);
  meldeFehlende(saetze, bestand, umstand, entwurf);
  return teil;
}

type Art = Exclude<Zuordnungsart, "mitglied">;

function sage({ jePerson }: Entwurf, wer: Verweis, text: string): void {
  const bisher = jePerson.get(wer) ?? [];
  bisher.push(text);
  jePerson.set(wer, bisher);
}

function planeMitglieder(
  personen: readonly Personensatz[],
  bestand: Bestand,
  { wer, struktur }: Umstand,
  entwurf: Entwurf,
  teil: Teil,
): void {
  const je = gruppiert(bestand.mitglieder, ({ person }) => vorhanden(person));
  for (const satz of personen) {
    const person = wer(satz.ref);
    const ziel = satz.klasse === undefined ? undefined : struktur.klasse(satz.klasse);
    if (person === undefined || ziel === undefined || satz.art !== "schueler") continue;
    const schritt = mitgliedschaft(je.get(person) ?? [], ziel, bestand, (klasse) => struktur.name(klasse));
    if ("fehler" in schritt) {
      const zeile = { ...leereZeile, was: listenname(satz), dazu: [schritt.fehler], herkunft: satz.herkunft };
      entwurf.zeilen.push({ ...zeile, gruppe: "fehler" });
      continue;
    }
    if (schritt.ende) teil.enden.push(schritt.ende);
    if (schritt.text !== undefined) {
      teil.zuordnungen.push({ art: "mitglied", person, ziel, ab: bestand.ab, bis: bestand.bis });
      sage(entwurf, person, schritt.text);
    }
  }
}

type Schritt = { readonly fehler: string } | { readonly ende?: Ende; readonly text?: string };

/** What is to be done so that somebody is in a class from the first day on; nothing if they are. */
function mitgliedschaft(
  bisher: readonly Zugehoerig[],
  ziel: Verweis,
  { ab, heute }: Bestand,
  name: (klasse: Verweis) => string,
): Schritt {
  const jetzt = bisher.find((eines) => eines.ab <= ab && ab <= eines.bis);
  const spaeter = bisher.find((eines) => eines.ab > ab);
  if ((jetzt ?? spaeter) && vorhanden((jetzt ?? spaeter)?.ziel ?? "") === ziel) return {};
  if (spaeter) {
    const fehler = `Für diese Person ist ab dem ${germanDay(spaeter.ab)} schon die Klasse ${name(vorhanden(spaeter.ziel))} eingetragen. Wählen Sie als ersten Tag einen späteren, oder ändern Sie das zuerst von Hand.`;
    return { fehler };
  }
  if (!jetzt) return { text: `Klasse ${name(ziel)} ab ${germanDay(ab)}` };
  const alteKlasse = name(vorhanden(jetzt.ziel));
  // What began on the same day never held on another: it goes. What has begun before today does not go.
  if (jetzt.ab === ab && jetzt.ab < heute) {
    const fehler = `Die Klasse ${alteKlasse} gilt seit genau diesem Tag. Wählen Sie als ersten Tag einen späteren: Was schon gegolten hat, wird beendet und nicht entfernt.`;
    return { fehler };
  }
  const bis = jetzt.ab === ab ? undefined : tagVor(ab);
  return {
    ende: { id: jetzt.id, person: jetzt.person, alt: { ab: jetzt.ab, bis: jetzt.bis }, bis },
    text: `Klasse: ${alteKlasse} → ${name(ziel)} ab ${germanDay(ab)}`,
  };
}

function tagVor(tag: string): string {
  return new Date(Date.parse(`${tag}T00:00:00Z`) - 24 * 60 * 60 * 1000).toISOString().slice(0, 10);
}

const worte: Readonly<Record<Art, string>> = {
  leitung: "Leitung der Klasse",
  auftrag: "Unterricht",
  einschreibung: "Kurs",
};
const listen = { leitung: "leitungen", auftrag: "auftraege", einschreibung: "einschreibungen" } as const;

interface Schreibt {
  readonly entwurf: Entwurf;
  readonly teil: Teil;
  readonly offen: Offene;
}

function planeArt(
  art: Art,
  liste: readonly Zuordnungssatz[],
  bestand: Bestand,
  { wer, geht, struktur }: Umstand,
  { entwurf, teil, offen }: Schreibt,
): void {
  const schluessel = (person: Verweis, ziel: Verweis) => `${person} ${ziel}`;
  const gilt = bestand[listen[art]].filter(({ bis }) => bis >= bestand.ab);
  const da = new Set(gilt.map(({ person, ziel }) => schluessel(vorhanden(person), vorhanden(ziel))));
  for (const { person: ref, ziel: wohin, herkunft } of liste) {
    const ziel = art === "leitung" ? struktur.klasse(wohin) : struktur.kurs(wohin);
    const person = wer(ref);
    if (ziel === undefined || person === undefined) {
      offen.merke(herkunft, ziel === undefined ? "einen Kurs oder eine Klasse" : (geht(ref) ?? "eine Person"));
      continue;
    }
    if (da.has(schluessel(person, ziel))) continue;
    da.add(schluessel(person, ziel));
    if (art !== "einschreibung" && person === vorhanden(bestand.ich) && !bestand.darfEigene) {
      const text = `${worte[art]} ${struktur.name(ziel)}: Die eigene Zuordnung kann niemand selbst eintragen. Bitten Sie die Schulleitung darum.`;
      entwurf.zeilen.push({ ...leereZeile, gruppe: "ausgelassen", was: "Sie selbst", dazu: [text], herkunft });
      continue;
    }
    teil.zuordnungen.push({ art, person, ziel, ab: bestand.ab, bis: bestand.bis });
    sage(entwurf, person, `${worte[art]} ${struktur.name(ziel)}`);
  }
}

/** Everybody of a class for a course that this class alone has, if nothing else has courses of that subject for it. */
function ausKlassen(
  saetze: Saetze,
  bestand: Bestand,
  { wer, struktur }: Umstand,
  teil: Teil,
): readonly Zuordnungssatz[] {
  if (!bestand.klassenkurse) return [];
  const eingeschrieben = new Set(saetze.einschreibungen.map(({ ziel }) => ziel));
  const jeFach = gruppiert(
    saetze.kurse.filter(({ klassen }) => klassen.length === 1),
    ({ ref, klassen }) => `${klassen[0]} ${struktur.fachVon(struktur.kurs(ref) ?? "") ?? ref}`,
  );
  const ausDatei = gruppiert(
    saetze.personen.filter(({ art, klasse }) => art === "schueler" && klasse !== undefined),
    ({ klasse }) => klasse ?? "",
  );
  const gehend = new Set(bestand.personen.flatMap(({ id, vorgemerkt }) => (vorgemerkt === undefined ? [] : id)));
  const geht = new Set(teil.enden.map(({ person }) => person));
  const genannt = new Set(saetze.personen.flatMap(({ ref }) => wer(ref) ?? []));
  // Who was ever in a course and is not any more, somebody has taken out.
  const je = new Set(bestand.einschreibungen.map(({ person, ziel }) => `${vorhanden(person)} ${vorhanden(ziel)}`));
  const war = (person: Verweis | undefined, kurs: string) => je.has(`${person} ${struktur.kurs(kurs)}`);
  return [...jeFach.values()].flatMap((kurse) => {
    const [kurs, ...weitere] = kurse;
    if (!kurs || weitere.length > 0 || eingeschrieben.has(kurs.ref)) return [];
    const klasse = kurs.klassen[0] ?? "";
    const neue = (ausDatei.get(klasse) ?? []).map(({ ref }) => ref);
    const ziel = struktur.klasse(klasse);
    const bisherige = bestand.mitglieder
      .filter(({ person }) => !gehend.has(person))
      .filter(
        ({ person, ziel: wo, ab, bis }) =>
          vorhanden(wo) === ziel && ab <= bestand.ab && bestand.ab <= bis && !geht.has(person),
      )
      .filter(({ person }) => !genannt.has(vorhanden(person)))
      .map(({ person }) => `bestand:${person}`);
    return [...neue, ...bisherige]
      .filter((person) => !war(wer(person), kurs.ref))
      .map((person) => ({ person, ziel: kurs.ref, herkunft: kurs.herkunft }));
  });
}

/** Whom the school has and the files do not name: listed, and left as they are. */
function meldeFehlende(saetze: Saetze, bestand: Bestand, { wer, treffer, struktur }: Umstand, entwurf: Entwurf): void {
  const gemeint = new Set([...saetze.personen.flatMap(({ ref }) => wer(ref) ?? []), ...moegliche(treffer)]);
  const nach = new Map(bestand.personen.map((person) => [person.id, person]));
  const fehlt = (id: string, text: string) => {
    const person = nach.get(id);
    if (person)
      entwurf.zeilen.push({
        ...leereZeile,
        gruppe: "fehlt",
        was: listenname(person),
        dazu: [text],
        href: `/personen/${id}`,
      });
  };
  const jetzt = ({ ab, bis }: Zugehoerig) => ab <= bestand.ab && bestand.ab <= bis;
  const klassen = new Set(
    saetze.personen.flatMap(({ klasse }) => (klasse === undefined ? [] : (struktur.klasse(klasse) ?? []))),
  );
  let andere = 0;
  for (const eines of bestand.mitglieder.filter(jetzt)) {
    if (gemeint.has(vorhanden(eines.person)) || klassen.size === 0) continue;
    if (klassen.has(vorhanden(eines.ziel)))
      fehlt(
        eines.person,
        `Ist in der Klasse ${struktur.name(vorhanden(eines.ziel))} und steht nicht in der Datei. Es ändert sich nichts.`,
      );
    else andere += 1;
  }
  if (andere > 0)
    entwurf.hinweise.push(
      `${andere} Schülerinnen und Schüler sind in Klassen, die in den Dateien nicht vorkommen. Für sie ändert sich nichts.`,
    );
  if (saetze.personen.some(({ art }) => art === "lehrkraft")) {
    for (const { id, eingelesenAls } of bestand.personen) {
      if (eingelesenAls === "lehrkraft" && !gemeint.has(vorhanden(id)))
        fehlt(id, "Kam als Lehrkraft aus einer früheren Liste und steht nicht in dieser. Es ändert sich nichts.");
    }
  }
  fehlendeImKurs("auftrag", saetze.auftraege, "unterrichtet");
  fehlendeImKurs("einschreibung", saetze.einschreibungen, "ist eingeschrieben in");

  function fehlendeImKurs(art: "auftrag" | "einschreibung", liste: readonly Zuordnungssatz[], verb: string): void {
    const genannt = gruppiert(liste, ({ ziel }) => struktur.kurs(ziel) ?? "");
    const je = new Map(
      [...genannt].map(([kurs, alle]) => [kurs, new Set(alle.flatMap(({ person }) => wer(person) ?? []))]),
    );
    for (const { person, ziel } of bestand[listen[art]].filter(jetzt)) {
      const inDatei = je.get(vorhanden(ziel));
      if (inDatei && !inDatei.has(vorhanden(person)))
        fehlt(
          person,
          `Bisher: ${verb} ${struktur.name(vorhanden(ziel))}. In der Datei steht das nicht mehr; es ändert sich nichts.`,
        );
    }
  }
}

/** Whoever a doubtful row may mean is not missing. */
function moegliche(treffer: ReadonlyMap<string, Treffer>): readonly Verweis[] {
  return [...treffer.values()].flatMap((einer) =>
    einer.wie === "zweifelhaft" ? einer.kandidaten.map(({ id }) => vorhanden(id)) : [],
  );
}
