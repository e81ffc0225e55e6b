import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { erkenne, formate, liesAlle } from "../../../tenant-app/features/einlesen/erkennen.ts";
import { errate } from "../../../tenant-app/features/einlesen/formate/liste.ts";
import { alsTag, type Personensatz } from "../../../tenant-app/features/einlesen/saetze.ts";
import { entziffere, findeTrenner, type Trenner, zeilen } from "../../../tenant-app/features/einlesen/text.ts";
import { entpacke, KeinArchiv } from "../../../tenant-app/features/einlesen/zip.ts";
import { zipOf } from "../../fixtures/zip.ts";

/** A field as programs write it. */
function alsFeld(feld: string, trenner: Trenner): string {
  return /["\r\n]/.test(feld) || feld.includes(trenner) || feld !== feld.trim()
    ? `"${feld.replaceAll('"', '""')}"`
    : feld;
}

/** Files of other programs, whatever they hold. */

const bytes = (text: string) => Buffer.from(text, "utf8");
const lies = (dateien: Readonly<Record<string, string | Buffer>>) =>
  liesAlle(
    Object.entries(dateien).map(([name, inhalt]) => {
      const roh = typeof inhalt === "string" ? bytes(inhalt) : inhalt;
      return { name, format: erkenne(name, roh), inhalt: roh, spalten: undefined };
    }),
    "2026-11-28",
  );
const wer = ({ nachname, vorname, klasse, geburt }: Personensatz) => [nachname, vorname, klasse, geburt].join("|");

describe("any bytes", () => {
  test("of any format are read without an error thrown; what cannot be taken is named by its row", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.constantFrom(...formate), (inhalt, format) => {
        const saetze = liesAlle([{ name: "datei", format, inhalt, spalten: undefined }], "2026-11-28");
        for (const { zeile, text } of saetze.fehler) {
          expect(zeile).toBeGreaterThan(0);
          expect(text).not.toBe("");
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test("are recognised as something, whatever their name", () => {
    fc.assert(
      fc.property(fc.string(), fc.uint8Array({ maxLength: 200 }), (name, inhalt) => {
        expect(formate).toContain(erkenne(name, inhalt));
      }),
    );
  });

  test("as an archive are unpacked or refused in words", () => {
    const echt = zipOf({ "a.csv": bytes("Nachname;Vorname\nA;B\n"), "b.csv": bytes("x".repeat(300)) });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(echt.length - 1), fc.nat(255)), { maxLength: 6 }), (stellen) => {
        const anders = Buffer.from(echt);
        for (const [stelle, wert] of stellen) anders[stelle] = wert;
        try {
          entpacke(anders, { dateien: 5, bytes: 10_000 });
        } catch (error) {
          expect(error).toBeInstanceOf(KeinArchiv);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("an archive", () => {
  test("gives its files by their names without folders", () => {
    const archiv = zipOf({ "export/users.csv": bytes("eins"), "leer.csv": Buffer.alloc(0) });
    const dateien = entpacke(archiv, { dateien: 5, bytes: 100 });
    expect(dateien.map(({ name, inhalt }) => [name, inhalt.toString()])).toEqual([
      ["users.csv", "eins"],
      ["leer.csv", ""],
    ]);
  });

  test("of too many files, or that grows beyond what is allowed, is refused; also if it says that it is small", () => {
    const bombe = zipOf({ "a.csv": Buffer.alloc(5_000_000) });
    expect(() => entpacke(bombe, { dateien: 5, bytes: 1_000_000 })).toThrow(/zu groß/);
    const gelogen = Buffer.from(bombe);
    gelogen.writeUInt32LE(100, gelogen.indexOf("PK\x01\x02", 0, "latin1") + 24);
    expect(() => entpacke(gelogen, { dateien: 5, bytes: 1_000_000 })).toThrow(KeinArchiv);
    expect(() => entpacke(zipOf({ a: bytes("1"), b: bytes("2") }), { dateien: 1, bytes: 100 })).toThrow(/mehr als 1/);
  });
});

describe("text", () => {
  test("is UTF-8 with or without a mark, UTF-16 with one, else Windows-1252", () => {
    const name = "Müller–Öztürk €";
    expect(entziffere(bytes(name)).text).toBe(name);
    expect(entziffere(bytes(`\ufeff${name}`)).text).toBe(name);
    expect(entziffere(Buffer.from(`\ufeff${name}`, "utf16le")).text).toBe(name);
    expect(entziffere(Buffer.from([0x4d, 0xfc, 0x80])).text).toBe("Mü€");
  });

  test("with bytes that Windows-1252 leaves undefined is kept, and its rows are named", () => {
    const roh = Buffer.concat([
      bytes("Nachname;Vorname\nM"),
      Buffer.from([0xfc, 0x81]),
      bytes("ller;Anna\nSchmidt;Ben"),
    ]);
    const { personen, hinweise } = lies({ "a.csv": roh });
    expect(personen.map(({ nachname }) => nachname)).toEqual(["Mü\ufffdller", "Schmidt"]);
    expect(hinweise.join()).toContain("Zeile 2");
  });

  const feld = fc.string({
    unit: fc.constantFrom("a", "ü", " ", ";", ",", "|", "\t", '"', "\n", "\r\n"),
    maxLength: 8,
  });
  test("that is written as rows is read as the same rows, whatever separates and whatever is in it", () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(feld, { minLength: 2, maxLength: 5 }), { maxLength: 8 }),
        fc.constantFrom<Trenner>(";", ",", "\t", "|"),
        (tabelle, trenner) => {
          const text = tabelle.map((zeile) => zeile.map((eines) => alsFeld(eines, trenner)).join(trenner)).join("\r\n");
          expect([...zeilen(text, trenner)].map(({ felder }) => felder)).toEqual(tabelle);
        },
      ),
    );
  });

  test("is separated by what makes columns of the same number", () => {
    expect(findeTrenner("a;b,c\nd;e\nf;g")).toBe(";");
    expect(findeTrenner("a|b|c\nd|e|f,g")).toBe("|");
    expect(findeTrenner('"a","b;c"\n"d","e"')).toBe(",");
  });

  test("of days is of three kinds, and nothing else is a day", () => {
    expect(["20140203", "3.2.2014", "03.02.2014", "2014-02-03"].map(alsTag)).toEqual(Array(4).fill("2014-02-03"));
    expect(["31.02.2014", "2014", "03/02/2014", "x", "00.00.0000"].map(alsTag)).toEqual(Array(5).fill(null));
  });
});

describe("a plain list", () => {
  const name = fc
    .stringMatching(/^[A-Za-zäöüßşЖ][A-Za-zäöüßşЖ' -]{0,12}[a-zäöü]$/)
    .map((text) => text.replace(/ {2,}/g, " "));
  test("that was written from records is read as the same records", () => {
    const satz = fc.record({
      nachname: name,
      vorname: name,
      klasse: fc.constantFrom("5a", "10 b", "Q1"),
      tag: fc.date({ min: new Date("2005-01-01"), max: new Date("2019-12-31"), noInvalidDate: true }),
    });
    fc.assert(
      fc.property(
        fc.uniqueArray(satz, { selector: ({ nachname, vorname }) => `${nachname} ${vorname}`.toLowerCase() }),
        fc.constantFrom<Trenner>(";", ",", "\t"),
        (saetze, trenner) => {
          const iso = (tag: Date) => tag.toISOString().slice(0, 10);
          const text = [
            ["Klasse", "Vorname", "Nachname", "Geburtsdatum"],
            ...saetze.map(({ nachname, vorname, klasse, tag }) => [klasse, vorname, nachname, iso(tag)]),
          ].map((zeile) => zeile.map((eines) => alsFeld(eines, trenner)).join(trenner));
          const { personen, fehler } = lies({ "a.csv": text.join("\n") });
          expect(fehler).toEqual([]);
          expect(personen.map(wer)).toEqual(
            saetze.map(({ nachname, vorname, klasse, tag }) => [nachname, vorname, klasse, iso(tag)].join("|")),
          );
        },
      ),
    );
  });

  test("has its columns guessed from its heading, also as ASV and DaNiS name them", () => {
    expect(errate(["Nachname", "Vorname", "Geburtsdatum", "Geschlecht", "Klasse"])).toEqual({
      art: "schueler",
      nachname: 0,
      vorname: 1,
      geburt: 2,
      klasse: 4,
    });
    expect(errate(["lokales Differenzierungsmerkmal", "Familienname", "Rufname", "Klasse"])).toMatchObject({
      kennung: 0,
      nachname: 1,
      vorname: 2,
    });
    expect(errate(["SchuelerIdentNummer", "Rufname", "Nachname", "GruppeBezeichnung"])).toMatchObject({
      kennung: 0,
      klasse: 3,
    });
    expect(errate(["Kürzel", "Nachname", "Vorname"])).toMatchObject({ art: "lehrkraft", kuerzel: 0 });
  });

  test("pads short rows, refuses long ones, days that are none, and signs that no name has, each by its row", () => {
    const { personen, fehler } = lies({
      "a.csv": [
        "Nachname;Vorname;Geburtsdatum;Klasse",
        "Kurz;Karl",
        "Lang;Lea;;5a;zu;viel",
        "Tag;Tom;31.02.2014;5a",
        "Böse\u0007;Ben;;5a",
        "Gut;Gisela;;5a",
      ].join("\n"),
    });
    expect(personen.map(({ nachname }) => nachname)).toEqual(["Kurz", "Gut"]);
    expect(fehler.map(({ zeile }) => zeile)).toEqual([3, 4, 5]);
  });

  test("with a quote that opens a field and has no end refuses its row, and reads all others", () => {
    const kopf = "Nachname;Vorname;Klasse;Bemerkung";
    const gelesen = (...reihen: readonly string[]) => {
      const { personen, fehler, hinweise } = lies({ "a.csv": [kopf, ...reihen].join("\r\n") });
      return { wer: personen.map(({ nachname }) => nachname), fehler, hinweise };
    };
    const mitten = gelesen('Meier;Anna;5a;"Musik', "Schulz;Ben;5a;", 'Weber;Cem;5a;spielt "Geige"');
    expect(mitten.wer).toEqual(["Schulz", "Weber"]);
    expect(mitten.fehler).toMatchObject([{ datei: "a.csv", zeile: 2, text: expect.stringContaining("Ergänzen Sie") }]);
    const ende = gelesen("Schulz;Ben;5a;", 'Meier;Anna;5a;"Musik', "Weber;Cem;5a;Chor");
    expect([ende.wer, ende.fehler.map(({ zeile }) => zeile)]).toEqual([["Schulz", "Weber"], [3]]);
    // Each by its own row, also where a field of a later row is in quotes.
    const zwei = gelesen(
      'Meier;Anna;5a;"Musik',
      'Schulz;Ben;5a;"Chor',
      'Weber;Cem;5a;"Geige, Chor"',
      'Zahn;Dana;5a;"x',
    );
    expect([zwei.wer, zwei.fehler.map(({ zeile }) => zeile)]).toEqual([["Weber"], [2, 3, 5]]);
    // A quote that is closed in a later row is an end as any other: who stands between may be part of a remark. It is said.
    const bis = gelesen('Meier;Anna;5a;"Musik', "Schulz;Ben;5a;", 'Weber;Cem;5a;Geige"', "Zahn;Dana;5a;");
    expect([bis.wer, bis.fehler]).toEqual([["Meier", "Zahn"], []]);
    expect(bis.hinweise.join()).toContain("In Zeile 2 bis 4 geht ein Feld in Anführungszeichen über mehrere Zeilen");
    const { fehler, personen } = lies({ "a.csv": `${kopf};"Ort\nA;Anna;5a;;"Bad "Ems""\nB;Ben;5a;;"Bonn"` });
    expect([fehler.map(({ zeile }) => zeile), personen.map(({ nachname }) => nachname)]).toEqual([[1], ["A", "B"]]);
  });

  test("names the columns that it leaves out, and keeps nothing of them", () => {
    const saetze = lies({ "a.csv": "Nachname;Vorname;Konfession;Förderbedarf\nA;B;geheim;vertraulich" });
    expect(saetze.hinweise.join()).toContain("Konfession, Förderbedarf");
    expect(JSON.stringify(saetze)).not.toMatch(/geheim|vertraulich/);
  });

  test("says which rows name somebody again, for they may be two", () => {
    const { personen, hinweise } = lies({ "a.csv": "Nachname;Vorname;Klasse\nA;Anna;5a\nB;Ben;5a\nA;Anna;5a" });
    expect(personen).toHaveLength(2);
    expect(hinweise.join()).toContain("Zeile 4 nennt jemanden noch einmal");
  });

  test("takes a person of several rows once, and refuses rows that contradict each other", () => {
    const kopf = "ID;Nachname;Vorname;Klasse;Kurs;Fach;Lehrer";
    const { personen, kurse, einschreibungen, auftraege, fehler } = lies({
      "a.csv": [
        kopf,
        "1;A;Anna;5a;M1;Mathe;Ml",
        "1;A;Anna;5a;D1;Deutsch;De",
        "2;B;Ben;5a;M1;Mathe;Ml",
        "2;B;Ben;5b;D1;Deutsch;De",
      ].join("\n"),
    });
    expect([personen.length, kurse.length, einschreibungen.length, auftraege.length]).toEqual([2, 2, 4, 2]);
    expect(fehler.map(({ zeile }) => zeile)).toEqual([5]);
  });
});

const gpu = (breite: number, felder: Readonly<Record<number, string>>) =>
  Array.from({ length: breite }, (_, index) => `"${felder[index + 1] ?? ""}"`).join(",");

describe("files of Untis", () => {
  test("give classes, teachers, subjects, pupils, courses, and who teaches and chose what", () => {
    const saetze = lies({
      "GPU002.TXT": Buffer.from(
        [
          gpu(46, { 1: "7", 5: "5a", 6: "Mü", 7: "M" }),
          gpu(46, { 1: "8", 5: "5a", 6: "Sc", 7: "REV" }),
          gpu(46, { 1: "8", 5: "5b", 6: "Sc", 7: "REV" }),
          gpu(46, { 1: "9", 5: "", 6: "Sc", 7: "Aufs" }),
          gpu(46, { 1: "10", 5: "5b", 6: "Sc", 7: "M", 16: "20200101" }),
        ].join("\r\n"),
        "latin1",
      ),
      "GPU003.TXT": gpu(32, { 1: "5a", 30: "Mü" }),
      "GPU004.TXT": gpu(45, { 1: "Mü", 2: "Müller", 29: "Max", 33: "m@schule.de", 4: "P4711" }),
      "GPU006.TXT": gpu(21, { 1: "M", 2: "Mathematik" }),
      "GPU010.TXT": gpu(15, { 1: "BreBe", 2: "Brecht", 8: "Bert", 10: "5a", 13: "20140203" }),
      "GPU015.TXT": gpu(8, { 1: "BreBe", 2: "8", 3: "REV", 5: "5a" }),
    });
    expect(saetze.fehler).toEqual([]);
    expect(saetze.personen.map(wer).sort()).toEqual(["Brecht|Bert|5a|2014-02-03", "Müller|Max||"]);
    expect(saetze.kurse.map(({ name, klassen }) => [name, klassen])).toEqual([
      ["Mathematik 5a", ["5a"]],
      ["REV 5a/5b", []],
    ]);
    expect(saetze.auftraege).toHaveLength(2);
    expect(saetze.leitungen.map(({ person, ziel }) => [person, ziel])).toEqual([["kuerzel:mü", "5a"]]);
    expect(saetze.einschreibungen).toHaveLength(1);
    expect(JSON.stringify(saetze)).not.toContain("P4711");
  });
});

describe("files of SchILD-NRW", () => {
  test("give who is active, classes, teachers, and the newest half's courses without marks", () => {
    const basis = [
      "Nachname",
      "Vorname",
      "Geburtsdatum",
      "Geschlecht",
      "Status",
      ...Array.from({ length: 16 }, (_, index) => `S${index}`),
      "Klasse",
    ].join("|");
    const zeile = (nachname: string, status: string, klasse: string) =>
      [nachname, "Anna", "01.02.2014", "w", status, ...Array(16).fill("x"), klasse].join("|");
    const leistung = (abschnitt: string, fach: string, kurs: string) =>
      ["Meier#5a", "Anna", "01.02.2014", "2026", abschnitt, fach, "MUE", "PUK", kurs, "2+"].join("|");
    const saetze = lies({
      "SchuelerLeistungsdaten.dat": [
        "Nachname|Vorname|Geburtsdatum|Jahr|Abschnitt|Fach|Fachlehrer|Kursart|Kurs|Note",
        leistung("1", "D", ""),
        leistung("2", "M", ""),
        leistung("2", "E", "E-G1"),
      ].join("\r\n"),
      "SchuelerBasisdaten.dat": [basis, zeile("Meier#5a", "2", "5a"), zeile("Weg", "8", "5a")].join("\r\n"),
      "Lehrkraefte.dat": ["Kuerzel|a|b|c|Nachname|Vorname", "MUE||||Müller|Max"].join("\r\n"),
      "Klassen.dat": ["Klasse|a|b|Jahrgang|c|Klassenlehrer", "5a|||05||MUE"].join("\r\n"),
    });
    expect(saetze.fehler).toEqual([]);
    expect(saetze.personen.map(wer).sort()).toEqual(["Meier|Anna|5a|2014-02-01", "Müller|Max||"]);
    expect(saetze.kurse.map(({ name, fach }) => [name, fach])).toEqual([
      ["M 5a", "M"],
      ["E-G1", "E"],
    ]);
    expect([saetze.einschreibungen.length, saetze.auftraege.length, saetze.leitungen.length]).toEqual([2, 2, 1]);
    expect(JSON.stringify(saetze)).not.toContain("2+");
  });
});

describe("files of OneRoster", () => {
  test("give people by their roles, homerooms as classes, the others as courses; what is to be deleted is left out", () => {
    const saetze = lies({
      "users.csv": [
        "sourcedId,status,dateLastModified,enabledUser,username,userIds,givenName,familyName",
        "u1,active,,true,x,,Anna,Arendt",
        "u2,active,,true,y,,Bert,Brecht",
        "u3,tobedeleted,,true,z,,Weg,Weg",
      ].join("\n"),
      "roles.csv": [
        "sourcedId,status,dateLastModified,userSourcedId,roleType,role",
        "r1,active,,u1,primary,teacher",
        "r2,active,,u2,primary,student",
        "r3,active,,u3,primary,student",
      ].join("\n"),
      "demographics.csv": ["sourcedId,status,dateLastModified,birthDate", "u2,active,,2014-02-03"].join("\n"),
      "classes.csv": [
        "sourcedId,status,dateLastModified,title,grades,courseSourcedId,classCode,classType",
        "k1,active,,5a,5,,,homeroom",
        "k2,active,,Mathe 5a,5,c1,,scheduled",
      ].join("\n"),
      "courses.csv": ["sourcedId,status,dateLastModified,schoolYearSourcedId,title", "c1,active,,,Mathematik"].join(
        "\n",
      ),
      "enrollments.csv": [
        "sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId,userSourcedId,role",
        "e1,active,,k1,,u2,student",
        "e2,active,,k1,,u1,teacher",
        "e3,active,,k2,,u1,teacher",
        "e4,active,,k2,,u2,student",
      ].join("\n"),
      "manifest.csv": "propertyName,value\nmanifest.version,1.0",
    });
    expect(saetze.fehler).toEqual([]);
    expect(saetze.personen.map((satz) => `${satz.art} ${wer(satz)}`)).toEqual([
      "lehrkraft Arendt|Anna||",
      "schueler Brecht|Bert|5a|2014-02-03",
    ]);
    expect(saetze.kurse.map(({ name, fach }) => [name, fach])).toEqual([["Mathe 5a", "Mathematik"]]);
    expect([saetze.einschreibungen.length, saetze.auftraege.length, saetze.leitungen.length]).toEqual([1, 1, 1]);
    expect(saetze.hinweise.join()).toContain("tobedeleted");
  });
});
