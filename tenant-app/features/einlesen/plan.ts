import { createHash } from "node:crypto";
import type { Bestand, Bestandsperson, Pruefer } from "./bestand.ts";
import type { Entscheidungen } from "./einstellungen.ts";
import {
  type Entwurf,
  type Gruppe,
  geplant,
  gruppen,
  type Handlungen,
  leereZeile,
  type Plan,
  vorhanden,
  type Werist,
} from "./planform.ts";
import { planePersonen } from "./planpersonen.ts";
import { planeStruktur } from "./planstruktur.ts";
import { planeZuordnungen } from "./planzuordnungen.ts";
import type { Saetze } from "./saetze.ts";
import { ordneZu, type Treffer } from "./zuordnen.ts";

/** What an Einlesung would do: a pure function of what files say and what the school has. */

/** Most people of one Einlesung: more than any school has. */
const hoechstensPersonen = 10_000;

export function plane(saetze: Saetze, bestand: Bestand, pruefer: Pruefer, entscheidungen: Entscheidungen): Plan {
  const entwurf: Entwurf = { zeilen: [], hinweise: [...saetze.hinweise], jePerson: new Map() };
  for (const { datei, zeile, text } of saetze.fehler) {
    entwurf.zeilen.push({
      ...leereZeile,
      gruppe: "fehler",
      was: "Zeile nicht lesbar",
      dazu: [text],
      herkunft: { datei, zeile },
    });
  }
  if (saetze.personen.length > hoechstensPersonen) {
    const text = `In den Dateien stehen ${saetze.personen.length} Personen, höchstens ${hoechstensPersonen} sind auf einmal möglich. Teilen Sie die Dateien auf.`;
    entwurf.zeilen.push({ ...leereZeile, gruppe: "fehler", was: "Zu viele Personen", dazu: [text] });
  }
  const treffer = ordneZu(saetze.personen, bestand, pruefer, entscheidungen);
  const verweise = werist(treffer, bestand, pruefer);
  const struktur = planeStruktur(saetze, bestand, pruefer, entwurf);
  const belegung = planeZuordnungen(saetze, bestand, { ...verweise, treffer, struktur }, entwurf);
  const personen = planePersonen(saetze, bestand, pruefer, treffer, entwurf);
  const handlungen: Handlungen = { ...struktur.handlungen, ...belegung, ...personen };
  const zahlen = Object.fromEntries(
    gruppen.map((gruppe) => [gruppe, entwurf.zeilen.filter((zeile) => zeile.gruppe === gruppe).length]),
  ) as Record<Gruppe, number>;
  const { jahr, ab } = bestand;
  return {
    handlungen,
    zeilen: entwurf.zeilen,
    zahlen,
    hinweise: entwurf.hinweise,
    pruefwert: createHash("sha256")
      .update(JSON.stringify([jahr, ab, handlungen, zahlen.fehler, zahlen.zweifelhaft]))
      .digest("hex"),
    moeglich: zahlen.fehler === 0 && zahlen.zweifelhaft === 0,
    leer: Object.values(handlungen).every((liste) => liste.length === 0),
  };
}

/** By a row of the files; a teacher also by the short name that an earlier list gave. */
function werist(
  treffer: ReadonlyMap<string, Treffer>,
  bestand: Bestand,
  pruefer: Pruefer,
): { readonly wer: Werist; readonly geht: (ref: string) => Bestandsperson | undefined } {
  const lehrkraefte = new Map(
    bestand.personen.flatMap((person) => {
      const kuerzel = person.kennungen.get("kuerzel");
      return kuerzel === undefined ? [] : [[kuerzel, person] as const];
    }),
  );
  const nachKuerzel = (ref: string): Bestandsperson | undefined =>
    treffer.has(ref) || !ref.startsWith("kuerzel:")
      ? undefined
      : lehrkraefte.get(pruefer.person("kuerzel", ref.slice("kuerzel:".length)));
  const wer: Werist = (ref) => {
    const gefunden = treffer.get(ref);
    if (gefunden?.wie === "bekannt") return vorhanden(gefunden.person.id);
    if (gefunden?.wie === "neu") return geplant(ref);
    if (ref.startsWith("bestand:")) return vorhanden(ref.slice("bestand:".length));
    const person = nachKuerzel(ref);
    return person && person.vorgemerkt === undefined ? vorhanden(person.id) : undefined;
  };
  const geht = (ref: string) => {
    const person = nachKuerzel(ref);
    return person?.vorgemerkt === undefined ? undefined : person;
  };
  return { wer, geht };
}
