import fc from "fast-check";
import { Fraction } from "fraction.js";
import { describe, expect, it } from "vitest";
import { type Einzelnote, type Kategorie, type Regelwerk, rechne } from "../../../tenant-app/features/noten/rechnen.ts";
import { alleNoten, leseNote, skalen, tendenzen, zeigeBruch } from "../../../tenant-app/features/noten/skala.ts";

/** How marks are reckoned. */

const kategorie = (id: string, mehr: Partial<Kategorie> = {}): Kategorie => ({
  id,
  name: id,
  ueberId: null,
  gewicht: 1,
  anteil: null,
  streichen: 0,
  ...mehr,
});
const regeln = (mehr: Partial<Regelwerk> = {}): Regelwerk => ({
  skala: "noten",
  tendenz: "drittel",
  halbe: "schlechter",
  abschneiden: null,
  kategorien: [kategorie("s"), kategorie("m")],
  ...mehr,
});
const noten = (kategorieId: string, ...liste: readonly string[]): Einzelnote[] =>
  liste.map((note, index) => ({ kategorieId, name: `${kategorieId}${index}`, note, faktor: 1 }));
const bruch = (wert: Fraction | undefined) => wert?.toFraction();

describe("a proposal", () => {
  it("R28 weighs written against oral, and says what it was made of", () => {
    const zweiZuEins = regeln({ kategorien: [kategorie("s", { gewicht: 2 }), kategorie("m")] });
    const rechnung = rechne(zweiZuEins, [...noten("s", "2", "3"), ...noten("m", "4")]);
    expect(bruch(rechnung.mittel)).toBe("3");
    expect(rechnung.vorschlag).toBe("3");
    expect(rechnung.posten.map(({ name, mittel }) => [name, bruch(mittel)])).toEqual([
      ["s", "5/2"],
      ["m", "4"],
    ]);
  });

  it.each([
    ["schlechter", "3"],
    ["besser", "2"],
  ] as const)("of exactly n,50 goes to the %s mark", (halbe, erwartet) => {
    expect(rechne(regeln({ halbe }), noten("s", "2", "3")).vorschlag).toBe(erwartet);
  });

  it("of exactly n,50 points goes the other way round: more is better", () => {
    const halb = noten("s", "7", "8");
    expect(rechne(regeln({ skala: "punkte", halbe: "besser" }), halb).vorschlag).toBe("8");
    expect(rechne(regeln({ skala: "punkte", halbe: "schlechter" }), halb).vorschlag).toBe("7");
  });

  it("is exact where binary fractions are not: twice 3,7 and twice 1,3 are 2,50", () => {
    const genau = regeln({ skala: "tendenzen", tendenz: "drei_zehntel", halbe: "besser" });
    const rechnung = rechne(genau, noten("s", "4+", "4+", "1-", "1-"));
    expect(bruch(rechnung.mittel)).toBe("5/2");
    expect(rechnung.vorschlag).toBe("2");
    // What binary fractions make of it, which would be a 3.
    expect((3.7 + 3.7 + 1.3 + 1.3) / 4).toBeGreaterThan(2.5);
  });

  it("cuts digits off before it rounds, if the rules say so, and shows it", () => {
    const liste = noten("s", "2", "2", "2", "3", "3", "3", "3");
    expect(rechne(regeln(), liste).vorschlag).toBe("3");
    const gekuerzt = rechne(regeln({ abschneiden: 1, halbe: "besser" }), liste);
    expect([bruch(gekuerzt.mittel), bruch(gekuerzt.abgeschnitten), gekuerzt.vorschlag]).toEqual(["18/7", "5/2", "2"]);
    expect(rechne(regeln({ abschneiden: 0 }), liste).vorschlag).toBe("2");
  });

  it("gives an exam its fixed share, and its share to the others while there is none", () => {
    const mitPruefung = regeln({ kategorien: [kategorie("s"), kategorie("m"), kategorie("p", { anteil: 25 })] });
    const laufend = [...noten("s", "2"), ...noten("m", "4")];
    expect(bruch(rechne(mitPruefung, laufend).mittel)).toBe("3");
    expect(bruch(rechne(mitPruefung, [...laufend, ...noten("p", "1")]).mittel)).toBe("5/2");
    expect(bruch(rechne(mitPruefung, noten("p", "1")).mittel)).toBe("1");
  });

  it("shares what a missing exam leaves among all the others, as they stand to each other", () => {
    const zwei = regeln({
      kategorien: [kategorie("m"), kategorie("p", { anteil: 50 }), kategorie("prak", { anteil: 30 })],
    });
    // 30 % and 20 % are there: 0,6 of the one and 0,4 of the other.
    expect(bruch(rechne(zwei, [...noten("prak", "2"), ...noten("m", "4")]).mittel)).toBe("14/5");
    const ganz = regeln({
      kategorien: [kategorie("m"), kategorie("p", { anteil: 60 }), kategorie("q", { anteil: 40 })],
    });
    expect(bruch(rechne(ganz, noten("m", "3")).mittel)).toBe("3");
  });

  it("leaves out what weighs nothing, and is none where nothing counts", () => {
    const ohne = regeln({ kategorien: [kategorie("s"), kategorie("m", { gewicht: 0 })] });
    expect(bruch(rechne(ohne, [...noten("s", "2"), ...noten("m", "6")]).mittel)).toBe("2");
    expect(rechne(ohne, noten("m", "6")).vorschlag).toBeUndefined();
    expect(rechne(ohne, []).mittel).toBeUndefined();
  });

  it("strikes the worst only where that is wanted, and never the last", () => {
    const streichen = regeln({ kategorien: [kategorie("s", { streichen: 1 })] });
    const rechnung = rechne(streichen, noten("s", "2", "5", "3"));
    expect(bruch(rechnung.mittel)).toBe("5/2");
    expect(rechnung.posten[0]?.summanden.map(({ gestrichen }) => gestrichen)).toEqual([false, true, false]);
    expect(rechne(streichen, noten("s", "5")).vorschlag).toBe("5");
    const punkte = rechne({ ...streichen, skala: "punkte" }, noten("s", "2", "5"));
    expect(bruch(punkte.mittel)).toBe("5");
  });

  it("nests: tests and exams within the written part", () => {
    const tief = regeln({
      kategorien: [
        kategorie("s", { gewicht: 1 }),
        kategorie("ka", { ueberId: "s", gewicht: 3 }),
        kategorie("test", { ueberId: "s", gewicht: 1 }),
        kategorie("m", { gewicht: 1 }),
      ],
    });
    const rechnung = rechne(tief, [...noten("ka", "1"), ...noten("test", "5"), ...noten("m", "2")]);
    expect(bruch(rechnung.mittel)).toBe("2");
    expect(rechnung.posten[0]?.posten.map(({ mittel }) => bruch(mittel))).toEqual(["1", "5"]);
  });
});

const profil = fc.record({
  skala: fc.constantFrom(...skalen),
  tendenz: fc.constantFrom(...tendenzen),
  halbe: fc.constantFrom("besser" as const, "schlechter" as const),
  abschneiden: fc.constantFrom(null, 0, 1, 2),
  gewichte: fc.array(fc.nat(9), { minLength: 1, maxLength: 4 }),
  roh: fc.array(fc.tuple(fc.nat(3), fc.nat(100), fc.integer({ min: 1, max: 3 })), { maxLength: 20 }),
});
type Profil = typeof profil extends fc.Arbitrary<infer T> ? T : never;
function aufgabe({ skala, tendenz, halbe, abschneiden, gewichte, roh }: Profil): [Regelwerk, Einzelnote[]] {
  const kategorien = gewichte.map((gewicht, index) => kategorie(String(index), { gewicht }));
  const alle = alleNoten(skala);
  const liste = roh.map(([wo, welche, faktor]) => ({
    kategorieId: String(wo % gewichte.length),
    name: "x",
    note: alle[welche % alle.length] ?? "",
    faktor,
  }));
  return [{ skala, tendenz, halbe, abschneiden, kategorien }, liste];
}

describe("whatever marks and weights there are, a proposal", () => {
  it("is a mark of the scale, no better than the best and no worse than the worst of them", () => {
    fc.assert(
      fc.property(profil, (eingabe) => {
        const [werk, liste] = aufgabe(eingabe);
        const { vorschlag } = rechne(werk, liste);
        if (vorschlag === undefined) return;
        const ganze = liste.map(({ note }) => Number.parseInt(note, 10));
        const [von, bis] = [Math.min(...ganze), Math.max(...ganze)];
        // A tendency may carry it over to the neighbour when digits are cut.
        expect(Number(vorschlag)).toBeGreaterThanOrEqual(von - 1);
        expect(Number(vorschlag)).toBeLessThanOrEqual(bis + 1);
        expect(leseNote(werk.skala, vorschlag)).toBe(vorschlag);
      }),
    );
  });

  it("does not depend on the order of the marks, nor on a common factor of all weights", () => {
    fc.assert(
      fc.property(profil, fc.integer({ min: 2, max: 7 }), (eingabe, mal) => {
        const [werk, liste] = aufgabe(eingabe);
        const anders = {
          ...werk,
          kategorien: werk.kategorien.map((eine) => ({ ...eine, gewicht: eine.gewicht * mal })),
        };
        expect(bruch(rechne(anders, [...liste].reverse()).mittel)).toBe(bruch(rechne(werk, liste).mittel));
      }),
    );
  });

  it("does not get worse when one mark gets better", () => {
    fc.assert(
      fc.property(profil, fc.nat(19), (eingabe, welche) => {
        const [werk, liste] = aufgabe(eingabe);
        const alt = liste[welche];
        const alle = alleNoten(werk.skala);
        const besser = alt && alle[alle.indexOf(alt.note) - 1];
        if (!alt || !besser) return;
        const danach = rechne(
          werk,
          liste.map((eine) => (eine === alt ? { ...eine, note: besser } : eine)),
        );
        const vorher = rechne(werk, liste);
        if (vorher.mittel === undefined || danach.mittel === undefined) return;
        const sinkt = danach.mittel.compare(vorher.mittel);
        expect(werk.skala === "punkte" ? sinkt : -sinkt).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});

describe("a mark that is typed", () => {
  it.each([
    ["tendenzen", " 2 + ", "2+"],
    ["tendenzen", "−3", "3-"],
    ["tendenzen", "2–", "2-"],
    ["tendenzen", "6-", undefined],
    ["tendenzen", "0", undefined],
    ["noten", "2+", undefined],
    ["noten", "７", undefined],
    ["noten", "２", "2"],
    ["punkte", "07", "7"],
    ["punkte", "0", "0"],
    ["punkte", "16", undefined],
    ["punkte", "1,5", undefined],
    ["noten", "1e0", undefined],
  ] as const)("on the scale %s: %j is %j", (skala, getippt, erwartet) => {
    expect(leseNote(skala, getippt)).toBe(erwartet);
  });

  it("whatever it is, is one of the scale or none", () => {
    fc.assert(
      fc.property(fc.constantFrom(...skalen), fc.string(), (skala, getippt) => {
        const gelesen = leseNote(skala, getippt);
        expect(gelesen === undefined || alleNoten(skala).includes(gelesen)).toBe(true);
      }),
    );
  });
});

describe("a mean on paper", () => {
  it.each([
    [5, 2, "2,50"],
    [18, 7, "≈ 2,57"],
    [3, 1, "3,00"],
    [0, 1, "0,00"],
    [1, 3, "≈ 0,33"],
    [1999, 1000, "≈ 2,00"],
  ])("of %d/%d is %s", (zaehler, nenner, text) => {
    expect(zeigeBruch(new Fraction(zaehler, nenner))).toBe(text);
  });
});
