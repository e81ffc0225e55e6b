import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Bestand, Bestandsperson, Pruefer } from "../../../tenant-app/features/einlesen/bestand.ts";
import { erkenne, liesAlle } from "../../../tenant-app/features/einlesen/erkennen.ts";
import { plane } from "../../../tenant-app/features/einlesen/plan.ts";
import type { Plan } from "../../../tenant-app/features/einlesen/planform.ts";
import type { Saetze } from "../../../tenant-app/features/einlesen/saetze.ts";
import type { Zugehoerig } from "../../../tenant-app/features/struktur/public.ts";

/** What a plan says of any school and any list: carried out, nothing of it is left; nobody goes. */

const pruefer: Pruefer = {
  person: (...teile) => JSON.stringify(teile),
  kurs: (...teile) => JSON.stringify(teile),
  geburt: (...teile) => JSON.stringify(teile),
};
const leer: Bestand = {
  ...{ jahr: "j", ab: "2026-11-28", bis: "2027-07-31", heute: "2026-11-28", konten: true, klassenkurse: true },
  ...{ ich: "ich", darfEigene: true, personen: [], klassen: [], kurse: [], faecher: [], kurskennungen: new Map() },
  ...{ mitglieder: [], leitungen: [], auftraege: [], einschreibungen: [], unantastbar: new Set<string>() },
};

/** The school after a plan, as `anwenden.ts` would leave it. */
function danach(bestand: Bestand, { handlungen }: Plan): Bestand {
  const ids = new Map<string, string>();
  const neu = (art: string, ref: string) => {
    const id = randomUUID();
    ids.set(`${art} neu:${ref}`, id);
    return id;
  };
  const id = (art: string, verweis: string) =>
    verweis.startsWith("id:") ? verweis.slice(3) : (ids.get(`${art} ${verweis}`) ?? "");
  const personen = new Map<string, Bestandsperson>(bestand.personen.map((person) => [person.id, person]));
  for (const { ref, vorname, nachname } of handlungen.personen) {
    const person = neu("person", ref);
    const ohne = {
      version: 1,
      art: undefined,
      elternteil: false,
      vorgemerkt: undefined,
      hatKonto: false,
      geburt: undefined,
      eingelesenAls: undefined,
    };
    personen.set(person, { id: person, vorname, nachname, ...ohne, kennungen: new Map() });
  }
  const aendere = (wer: string, was: (person: Bestandsperson) => Partial<Bestandsperson>) => {
    const person = personen.get(wer);
    if (person) personen.set(wer, { ...person, ...was(person) });
  };
  for (const { id: wer, neu: name } of handlungen.umbenennungen)
    aendere(wer, ({ version }) => ({ ...name, version: version + 1 }));
  for (const { person, art, geburt, kennung } of handlungen.merkmale) {
    const wer = id("person", person);
    aendere(wer, (bisher) => ({
      ...{ art, eingelesenAls: art, geburt: geburt === undefined ? bisher.geburt : pruefer.geburt(wer, geburt) },
      kennungen: kennung
        ? new Map([...bisher.kennungen, [kennung.quelle, pruefer.person(kennung.quelle, kennung.wert)]])
        : bisher.kennungen,
    }));
  }
  for (const { person } of handlungen.konten) aendere(id("person", person), () => ({ hatKonto: true }));
  const faecher = handlungen.faecher.map(({ kuerzel, name }) => ({ id: neu("fach", kuerzel), kuerzel, name }));
  const klassen = handlungen.klassen.map(({ name }) => ({ id: neu("klasse", name), name }));
  const kurse = handlungen.kurse.map(({ ref, name, fach }) => ({ id: neu("kurs", ref), name, fach: id("fach", fach) }));
  const mitglieder = bestand.mitglieder.flatMap((eines): Zugehoerig[] => {
    const ende = handlungen.enden.find((eine) => eine.id === eines.id);
    return ende === undefined ? [eines] : ende.bis === undefined ? [] : [{ ...eines, bis: ende.bis }];
  });
  const dazu = (art: "mitglied" | "leitung" | "auftrag" | "einschreibung") =>
    handlungen.zuordnungen
      .filter((eine) => eine.art === art)
      .map(({ person, ziel, ab, bis }) => {
        const wohin = id(art === "mitglied" || art === "leitung" ? "klasse" : "kurs", ziel);
        return { id: randomUUID(), person: id("person", person), ziel: wohin, ab, bis };
      });
  const kennungen = handlungen.kurskennungen.map(
    ({ kurs, quelle, wert }) => [`${quelle}:${pruefer.kurs("j", quelle, wert)}`, id("kurs", kurs)] as const,
  );
  return {
    ...bestand,
    personen: [...personen.values()],
    faecher: [...bestand.faecher, ...faecher],
    klassen: [...bestand.klassen, ...klassen],
    kurse: [...bestand.kurse, ...kurse],
    kurskennungen: new Map([...bestand.kurskennungen, ...kennungen]),
    mitglieder: [...mitglieder, ...dazu("mitglied")],
    leitungen: [...bestand.leitungen, ...dazu("leitung")],
    auftraege: [...bestand.auftraege, ...dazu("auftrag")],
    einschreibungen: [...bestand.einschreibungen, ...dazu("einschreibung")],
  };
}

// Few names and days, so that they meet.
const zeile = fc.record({
  nummer: fc.nat(9),
  nachname: fc.constantFrom("Müller", "Öz", "Li"),
  vorname: fc.constantFrom("Anna", "Ben", ""),
  tag: fc.constantFrom("", "01.01.2014", "02.02.2015"),
  klasse: fc.constantFrom("", "5a", "5b"),
  kurs: fc.constantFrom("", "M5", "D5"),
});
type Zeile = typeof zeile extends fc.Arbitrary<infer T> ? T : never;
const liste = fc.record({ mitNummer: fc.boolean(), zeilen: fc.array(zeile, { maxLength: 8 }) });

function saetzeVon({ mitNummer, zeilen }: { readonly mitNummer: boolean; readonly zeilen: readonly Zeile[] }): Saetze {
  const text = [
    `${mitNummer ? "ID;" : ""}Nachname;Vorname;Geburtsdatum;Klasse;Kurs;Fach;Lehrer`,
    ...zeilen.map(({ nummer, nachname, vorname, tag, klasse, kurs }) =>
      [...(mitNummer ? [nummer] : []), nachname, vorname, tag, klasse, kurs, kurs.slice(0, 1), "Kel"].join(";"),
    ),
  ].join("\n");
  const lehrer = Buffer.from("Kürzel;Nachname;Vorname\nKel;Keller;Karin");
  const inhalt = Buffer.from(text);
  return liesAlle(
    [
      { name: "l.csv", format: erkenne("l.csv", lehrer), inhalt: lehrer, spalten: undefined },
      { name: "s.csv", format: erkenne("s.csv", inhalt), inhalt, spalten: undefined },
    ],
    leer.ab,
  );
}

/** Somebody decides all that is doubtful, always for a new person. */
const entschieden = (plan: Plan) =>
  Object.fromEntries(plan.zeilen.flatMap(({ frage }) => (frage ? [[frage.ref, "neu"] as const] : [])));

describe("a plan", () => {
  test("that was carried out leaves nothing to do for the same list, but for what is to be asked again", () => {
    fc.assert(
      fc.property(liste, liste, (erste, zweite) => {
        let bestand = leer;
        for (const eine of [erste, zweite]) {
          const saetze = { ...saetzeVon(eine), fehler: [] };
          const gefragt = plane(saetze, bestand, pruefer, {});
          const plan = plane(saetze, bestand, pruefer, entschieden(gefragt));
          if (!plan.moeglich) continue;
          bestand = danach(bestand, plan);
          const wieder = plane(saetze, bestand, pruefer, {});
          expect(wieder.zahlen.fehler).toBe(0);
          if (wieder.moeglich) expect(wieder.leer).toBe(true);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test("takes nobody from the school, and puts nobody into two classes on one day", () => {
    fc.assert(
      fc.property(liste, liste, (erste, zweite) => {
        let bestand = leer;
        for (const eine of [erste, zweite]) {
          const saetze = { ...saetzeVon(eine), fehler: [] };
          const plan = plane(saetze, bestand, pruefer, entschieden(plane(saetze, bestand, pruefer, {})));
          if (!plan.moeglich) continue;
          const vorher = bestand.personen.map(({ id }) => id);
          bestand = danach(bestand, plan);
          const nachher = new Set(bestand.personen.map(({ id }) => id));
          expect(vorher.filter((id) => !nachher.has(id))).toEqual([]);
          const jetzt = bestand.mitglieder
            .filter(({ ab, bis }) => ab <= bestand.ab && bestand.ab <= bis)
            .map(({ person }) => person);
          expect(new Set(jetzt).size).toBe(jetzt.length);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("asks which of two rows of one name and class, or birth date, is the one whom the school knows", () => {
    const zeile = { nachname: "Li", vorname: "Anna", klasse: "5a", kurs: "", tag: "" } as const;
    const schule = danach(
      leer,
      plane(saetzeVon({ mitNummer: false, zeilen: [{ ...zeile, nummer: 0 }] }), leer, pruefer, {}),
    );
    const zwei = saetzeVon({
      mitNummer: true,
      zeilen: [
        { ...zeile, nummer: 1, tag: "01.01.2014" },
        { ...zeile, nummer: 2, tag: "02.02.2015" },
      ],
    });
    const gefragt = plane(zwei, schule, pruefer, {});
    expect([gefragt.zahlen.zweifelhaft, gefragt.handlungen.personen, gefragt.handlungen.merkmale]).toEqual([2, [], []]);
    const refs = gefragt.zeilen.flatMap(({ frage }) => frage?.ref ?? []);
    const [bekannte = ""] = schule.personen.flatMap(({ id, nachname }) => (nachname === "Li" ? id : []));
    // The second is the one: birth date and number are hers, and the first is somebody new.
    const plan = plane(zwei, schule, pruefer, { [refs[0] ?? ""]: "neu", [refs[1] ?? ""]: bekannte });
    expect(plan.handlungen.personen.map(({ ref }) => ref)).toEqual([refs[0]]);
    const jetzt = danach(schule, plan);
    expect(plane(zwei, jetzt, pruefer, {}).leer).toBe(true);
    const einTag = saetzeVon({
      mitNummer: true,
      zeilen: [7, 8].map((nummer) => ({ ...zeile, klasse: "", tag: "02.02.2015", nummer })),
    });
    const ohneNummern = {
      ...jetzt,
      personen: jetzt.personen.map((person) => ({ ...person, kennungen: new Map<string, string>() })),
    };
    expect(plane(einTag, ohneNummern, pruefer, {}).zahlen.zweifelhaft).toBe(2);
  });

  test("has the same name for the same files and school, and another one for any other", () => {
    const saetze = saetzeVon({
      mitNummer: false,
      zeilen: [{ nummer: 1, nachname: "Li", vorname: "Ben", tag: "", klasse: "5a", kurs: "M5" }],
    });
    const plan = plane(saetze, leer, pruefer, {});
    expect(plane(saetze, leer, pruefer, {}).pruefwert).toBe(plan.pruefwert);
    expect(plane(saetze, danach(leer, plan), pruefer, {}).pruefwert).not.toBe(plan.pruefwert);
    expect(plane(saetze, { ...leer, ab: "2026-11-29" }, pruefer, {}).pruefwert).not.toBe(plan.pruefwert);
  });
});
