import type { Bestand, Pruefer } from "./bestand.ts";
import { type Entwurf, geplant, type Handlungen, leereZeile, type Verweis, vorhanden } from "./planform.ts";
import { type Fachsatz, type Herkunft, namensregel, type Saetze } from "./saetze.ts";

/** The part of a plan about classes, subjects and courses: what is there is used, what is not is made, nothing is renamed. */

export interface Strukturteil {
  readonly handlungen: Pick<Handlungen, "klassen" | "faecher" | "kurse" | "kurskennungen">;
  /** Class by its name; undefined: its name is none. */
  klasse(name: string): Verweis | undefined;
  /** Course by its `ref` in the files; undefined: none, or refused. */
  kurs(ref: string): Verweis | undefined;
  /** What classes and courses are called. */
  name(verweis: Verweis): string;
  /** Subject of a course, to tell courses of one subject apart. */
  fachVon(kurs: Verweis): Verweis | undefined;
}

export function planeStruktur(saetze: Saetze, bestand: Bestand, pruefer: Pruefer, entwurf: Entwurf): Strukturteil {
  const namen = new Map<Verweis, string>();
  const refuse = (herkunft: Herkunft, was: string, text: string) =>
    entwurf.zeilen.push({ ...leereZeile, gruppe: "fehler", was, dazu: [text], herkunft });

  const klassen = planeKlassen(saetze, bestand, entwurf, refuse);
  for (const [name, verweis] of klassen.verweise) namen.set(verweis, name);

  const faecher = fachfinder(saetze, bestand, entwurf);
  const nachName = new Map(bestand.kurse.map((kurs) => [kurs.name.toLowerCase(), kurs]));
  const nachId = new Map(bestand.kurse.map((kurs) => [kurs.id, kurs]));
  const kurse = new Map<string, Verweis>();
  const fachVon = new Map<Verweis, Verweis>();
  const handlungen = {
    kurse: [] as Array<Handlungen["kurse"][number]>,
    kurskennungen: [] as Array<Handlungen["kurskennungen"][number]>,
  };
  const genommen = new Set<string>();
  for (const satz of saetze.kurse) {
    const bekannt =
      satz.kennung &&
      bestand.kurskennungen.get(
        `${satz.kennung.quelle}:${pruefer.kurs(bestand.jahr, satz.kennung.quelle, satz.kennung.wert)}`,
      );
    const da = nachId.get(bekannt ?? "") ?? nachName.get(satz.name.toLowerCase());
    let verweis: Verweis;
    if (da) {
      verweis = vorhanden(da.id);
      fachVon.set(verweis, vorhanden(da.fach));
      namen.set(verweis, da.name);
    } else {
      if (!namensregel(satz.name, 40)) {
        refuse(
          satz.herkunft,
          `Kurs ${satz.name.slice(0, 40)}`,
          "Der Name des Kurses ist leer, länger als 40 Zeichen oder enthält Steuerzeichen.",
        );
        continue;
      }
      const fach = faecher.finde(satz.fach, satz.herkunft, refuse);
      if (fach === undefined) continue;
      verweis = geplant(satz.name.toLowerCase());
      if (!genommen.has(verweis)) {
        handlungen.kurse.push({ ref: satz.name.toLowerCase(), name: satz.name, fach });
        entwurf.zeilen.push({
          ...leereZeile,
          gruppe: "neu",
          was: `Kurs ${satz.name}`,
          dazu: [`Fach ${faecher.name(fach)}`],
          herkunft: satz.herkunft,
        });
      }
      genommen.add(verweis);
      fachVon.set(verweis, fach);
      namen.set(verweis, satz.name);
    }
    kurse.set(satz.ref, verweis);
    if (satz.kennung && bekannt === undefined) handlungen.kurskennungen.push({ kurs: verweis, ...satz.kennung });
  }
  return {
    handlungen: { klassen: klassen.neu, faecher: faecher.neu, ...handlungen },
    klasse: (name) => klassen.verweise.get(name),
    kurs: (ref) => kurse.get(ref),
    name: (verweis) => namen.get(verweis) ?? "",
    fachVon: (kurs) => fachVon.get(kurs),
  };
}

type Refuse = (herkunft: Herkunft, was: string, text: string) => void;

function planeKlassen(saetze: Saetze, bestand: Bestand, entwurf: Entwurf, refuse: Refuse) {
  const verweise = new Map<string, Verweis>(bestand.klassen.map(({ id, name }) => [name, vorhanden(id)]));
  const neu: Array<{ readonly name: string }> = [];
  const genannt = [
    ...saetze.klassen,
    ...saetze.personen.flatMap(({ klasse, herkunft }) => (klasse === undefined ? [] : [{ name: klasse, herkunft }])),
  ];
  for (const { name, herkunft } of genannt) {
    if (verweise.has(name)) continue;
    if (!namensregel(name, 20)) {
      refuse(
        herkunft,
        `Klasse ${name.slice(0, 20)}`,
        "Der Name der Klasse ist länger als 20 Zeichen oder enthält Steuerzeichen.",
      );
      continue;
    }
    verweise.set(name, geplant(name));
    neu.push({ name });
    entwurf.zeilen.push({ ...leereZeile, gruppe: "neu", was: `Klasse ${name}`, dazu: [], herkunft });
  }
  return { verweise, neu };
}

/** Subjects by short or long name: of the school, else of the files, else made from what the course says. */
function fachfinder(saetze: Saetze, bestand: Bestand, entwurf: Entwurf) {
  const da = new Map<string, Verweis>();
  const namen = new Map<Verweis, string>();
  for (const { id, kuerzel, name } of bestand.faecher) {
    for (const wort of [name, kuerzel]) da.set(wort.toLowerCase(), vorhanden(id));
    namen.set(vorhanden(id), name);
  }
  const genannt = new Map(saetze.faecher.map((satz) => [satz.kuerzel.toLowerCase(), satz]));
  const neu: Fachsatz[] = [];
  const nimm = (satz: Fachsatz, refuse: Refuse): Verweis | undefined => {
    const bekannt = da.get(satz.kuerzel.toLowerCase()) ?? da.get(satz.name.toLowerCase());
    if (bekannt !== undefined) return bekannt;
    if (!namensregel(satz.kuerzel, 12) || !namensregel(satz.name, 60)) {
      refuse(
        satz.herkunft,
        `Fach ${satz.kuerzel.slice(0, 20)}`,
        "Ein Fach braucht ein Kürzel von höchstens 12 und einen Namen von höchstens 60 Zeichen. Legen Sie es von Hand an, dann wird es erkannt.",
      );
      return undefined;
    }
    const verweis = geplant(satz.kuerzel);
    for (const wort of [satz.name, satz.kuerzel]) da.set(wort.toLowerCase(), verweis);
    namen.set(verweis, satz.name);
    neu.push(satz);
    entwurf.zeilen.push({
      ...leereZeile,
      gruppe: "neu",
      was: `Fach ${satz.name}`,
      dazu: [`Kürzel ${satz.kuerzel}`],
      herkunft: satz.herkunft,
    });
    return verweis;
  };
  const still: Refuse = (herkunft, was, text) =>
    entwurf.zeilen.push({ ...leereZeile, gruppe: "fehler", was, dazu: [text], herkunft });
  for (const satz of saetze.faecher) nimm(satz, still);
  return {
    neu,
    name: (verweis: Verweis) => namen.get(verweis) ?? "",
    finde: (wort: string, herkunft: Herkunft, refuse: Refuse): Verweis | undefined =>
      da.get(wort.toLowerCase()) ??
      nimm(genannt.get(wort.toLowerCase()) ?? { kuerzel: wort, name: wort, herkunft }, refuse),
  };
}
