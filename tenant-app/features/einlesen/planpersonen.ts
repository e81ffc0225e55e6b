import { germanDay } from "../../ground/pages/days.ts";
import { istMailadresse } from "../konten/public.ts";
import { listenname } from "../personen/public.ts";
import type { Bestand, Bestandsperson, Pruefer } from "./bestand.ts";
import { type Entwurf, geplant, type Handlungen, leereZeile, vorhanden, zuruecknehmen } from "./planform.ts";
import { kurz, type Personensatz, type Saetze } from "./saetze.ts";
import type { Treffer } from "./zuordnen.ts";

/** The part of a plan about people themselves. */

type Teil = Pick<Handlungen, "personen" | "umbenennungen" | "merkmale" | "konten">;

export function planePersonen(
  { personen: saetze }: Saetze,
  bestand: Bestand,
  pruefer: Pruefer,
  treffer: ReadonlyMap<string, Treffer>,
  entwurf: Entwurf,
): Teil {
  const teil: { [K in keyof Teil]: Array<Teil[K][number]> } = {
    personen: [],
    umbenennungen: [],
    merkmale: [],
    konten: [],
  };
  for (const satz of saetze) {
    const gefunden = treffer.get(satz.ref);
    const zeile = { ...leereZeile, was: listenname(satz), herkunft: satz.herkunft };
    if (gefunden === undefined || gefunden.wie === "ausgelassen") {
      entwurf.zeilen.push({ ...zeile, gruppe: "ausgelassen", dazu: ["So haben Sie es entschieden."] });
    } else if (gefunden.wie === "zweifelhaft") {
      const gehende = gefunden.kandidaten.flatMap((person) => dassGeloescht(person, bestand));
      const bleibende = gefunden.kandidaten.filter(({ vorgemerkt }) => vorgemerkt === undefined);
      const kandidaten = bleibende.map((person) => ({
        id: person.id,
        name: listenname(person),
        dazu: wasIst(person, bestand),
      }));
      entwurf.zeilen.push({
        ...zeile,
        gruppe: "zweifelhaft",
        dazu: [gefunden.grund, ...gehende, ...inDatei(satz)],
        frage: { ref: satz.ref, kandidaten },
      });
    } else if (gefunden.wie === "neu") {
      const { ref, vorname, nachname, art, geburt, kennung } = satz;
      teil.personen.push({ ref, vorname, nachname });
      teil.merkmale.push({ person: geplant(ref), art, geburt, kennung });
      const dazu = [...(entwurf.jePerson.get(geplant(ref)) ?? []), ...kontoFuer(satz, geplant(ref), bestand, teil)];
      entwurf.zeilen.push({ ...zeile, gruppe: "neu", dazu: [artname[art], ...dazu] });
    } else {
      const { person } = gefunden;
      const wer = vorhanden(person.id);
      const name = umbenennung(satz, person, bestand, teil, entwurf);
      const konto = person.hatKonto ? [] : kontoFuer(satz, wer, bestand, teil);
      merke(satz, person, pruefer, teil);
      const dazu = [...name, ...(entwurf.jePerson.get(wer) ?? []), ...konto];
      entwurf.zeilen.push({
        ...zeile,
        gruppe: dazu.length > 0 ? "geaendert" : "unveraendert",
        dazu,
        href: `/personen/${person.id}`,
      });
    }
  }
  return teil;
}

const artname = { schueler: "Schülerin oder Schüler", lehrkraft: "Lehrkraft" } as const;

function inDatei({ klasse, geburt }: Personensatz): readonly string[] {
  return [
    ...(klasse === undefined ? [] : [`In der Datei: Klasse ${klasse}`]),
    ...(geburt === undefined ? [] : ["In der Datei steht ein Geburtsdatum."]),
  ];
}

function wasIst({ id, art, elternteil, hatKonto }: Bestandsperson, { mitglieder, klassen, ab }: Bestand): string {
  const klasse = klassen.find(({ id: ziel }) =>
    mitglieder.some((eines) => eines.person === id && eines.ziel === ziel && eines.ab <= ab && ab <= eines.bis),
  );
  const teile = [
    klasse ? `Klasse ${klasse.name}` : art ? artname[art] : elternteil ? "Elternteil" : "",
    hatKonto ? "mit Konto" : "",
  ];
  return teile.filter((text) => text !== "").join(", ");
}

/** Who is marked for deletion can be chosen once that was taken back. */
function dassGeloescht(person: Bestandsperson, bestand: Bestand): readonly string[] {
  const { vorgemerkt } = person;
  if (vorgemerkt === undefined) return [];
  const ist = wasIst(person, bestand);
  const wer = ist === "" ? listenname(person) : `${listenname(person)} (${ist})`;
  return [
    `${wer} wird am ${germanDay(vorgemerkt)} endgültig gelöscht, mit allem, was bis dahin dazukommt. ${zuruecknehmen} Sonst wählen Sie „eine neue Person“.`,
  ];
}

/** A name that is there is never replaced by none. */
function umbenennung(
  satz: Personensatz,
  person: Bestandsperson,
  { unantastbar }: Bestand,
  teil: { umbenennungen: Array<Teil["umbenennungen"][number]> },
  entwurf: Entwurf,
): readonly string[] {
  const neu = { vorname: satz.vorname || person.vorname, nachname: satz.nachname || person.nachname };
  if (neu.vorname === person.vorname && neu.nachname === person.nachname) return [];
  const was = `Name: ${listenname(person)} → ${listenname(neu)}`;
  if (unantastbar.has(person.id)) {
    const text = `${was}: Diese Person verwaltet mehr als Sie; ihren Namen können Sie nicht ändern. Alles andere wird eingelesen.`;
    entwurf.zeilen.push({
      ...leereZeile,
      gruppe: "ausgelassen",
      was: listenname(satz),
      dazu: [text],
      herkunft: satz.herkunft,
    });
    return [];
  }
  teil.umbenennungen.push({
    id: person.id,
    version: person.version,
    alt: { vorname: person.vorname, nachname: person.nachname },
    neu,
  });
  return [was];
}

function kontoFuer(
  satz: Personensatz,
  person: string,
  { konten }: Bestand,
  teil: { konten: Array<Teil["konten"][number]> },
): readonly string[] {
  if (!konten) return [];
  const { art, vorname, nachname, email = "" } = satz;
  teil.konten.push({ person, art, vorname, nachname, email });
  if (email === "" || istMailadresse(email)) return ["Konto wird angelegt"];
  return [`Konto wird angelegt, ohne E-Mail-Adresse: „${kurz(email)}“ ist keine.`];
}

function merke(
  satz: Personensatz,
  person: Bestandsperson,
  pruefer: Pruefer,
  teil: { merkmale: Array<Teil["merkmale"][number]> },
): void {
  const { art, geburt, kennung } = satz;
  const neueGeburt = geburt !== undefined && pruefer.geburt(person.id, geburt) !== person.geburt ? geburt : undefined;
  const neueKennung =
    kennung && person.kennungen.get(kennung.quelle) !== pruefer.person(kennung.quelle, kennung.wert)
      ? kennung
      : undefined;
  if (neueGeburt !== undefined || neueKennung !== undefined || person.eingelesenAls !== art) {
    teil.merkmale.push({ person: vorhanden(person.id), art, geburt: neueGeburt, kennung: neueKennung });
  }
}
