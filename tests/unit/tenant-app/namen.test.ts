import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { safeFileName } from "../../../tenant-app/features/dateien/name.ts";
import { baseUserName, freeUserName } from "../../../tenant-app/features/konten/benutzername.ts";
import { bremse, waitAfter } from "../../../tenant-app/features/zugang/bremse.ts";
import { passwordProblem } from "../../../tenant-app/features/zugang/passwortregeln.ts";
import { ownPath } from "../../../tenant-app/features/zugang/public.ts";
import { networkOf } from "../../../tenant-app/ground/gate/address.ts";
import { readKeys } from "../../../tenant-app/ground/gate/cookies.ts";
import { monogram } from "../../../tenant-app/ground/pages/monogram.ts";
import { contentDisposition } from "../../../tenant-app/ground/serve/express.ts";

describe("user names", () => {
  test("R14 are made from the name in plain letters, whatever script it is in", async () => {
    for (const [vorname, nachname, expected] of [
      ["Jürgen", "Groß", "juergen.gross"],
      ["Anna-Lena", "von der Heide", "anna-lena.von-der-heide"],
      ["Łukasz", "Nguyễn", "lukasz.nguyen"],
      ["José", "O'Connor", "jose.o-connor"],
      ["芳", "王", "fang.wang"],
      ["Ольга", "Петренко", "olga.petrenko"],
      ["Θεόδωρος", "Παπαδόπουλος", "theodoros.papadopoylos"],
      ["アキラ", "山田", "akira.shantian"],
      ["Şeyma", "Çağla", "seyma.cagla"],
      ["👩", "—", "konto"],
    ] as const)
      expect(await baseUserName(vorname, nachname), vorname).toBe(expected);
  });

  test("R14 are numbered when taken", () => {
    expect(freeUserName("juergen.gross", new Set())).toBe("juergen.gross");
    expect(freeUserName("juergen.gross", new Set(["juergen.gross"]))).toBe("juergen.gross2");
    expect(freeUserName("juergen.gross", new Set(["juergen.gross", "juergen.gross2"]))).toBe("juergen.gross3");
  });

  test("R14 are always accepted by the database, whatever the name", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), async (first, last) => {
        expect(`${await baseUserName(first, last)}123`).toMatch(/^[a-z0-9][a-z0-9.-]{0,79}$/);
      }),
    );
  });
});

describe("file names", () => {
  test("lose directories and whatever could mislead", () => {
    expect(safeFileName("../../etc/passwd")).toBe("passwd");
    expect(safeFileName("..\\..\\boot.ini")).toBe("boot.ini");
    expect(safeFileName("Rechnung\u202Efdp.exe")).toBe("Rechnungfdp.exe");
    expect(safeFileName("a\r\nSet-Cookie: x")).toBe("aSet-Cookie: x");
    expect(safeFileName("..")).toBe("Datei");
    expect(safeFileName("")).toBe("Datei");
    expect(safeFileName(`${"a".repeat(251)}.pdf`)).toHaveLength(255);
    expect(safeFileName(`${"a".repeat(252)}.pdf`)).toBeUndefined();
    expect(safeFileName('Aufgabe %22Wald%22 👩‍👩‍👧 "neu".pdf')).toBe('Aufgabe "Wald" 👩‍👩‍👧 "neu".pdf');
    expect(safeFileName("a\0b.txt")).toBe("ab.txt");
    for (const name of ["NUL", "con.txt", "Aux", "COM1.pdf", "lpt9"]) expect(safeFileName(name)).toBe(`_${name}`);
    for (const name of ["Konto.txt", "console.log", "nullen.pdf"]) expect(safeFileName(name)).toBe(name);
    expect(safeFileName("Übung 1 (für Klasse 6).docx")).toBe("Übung 1 (für Klasse 6).docx");
  });

  test("make a header that stays one header", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (sent) => {
        const header = contentDisposition(safeFileName(sent) ?? "zu lang");
        expect(header).toMatch(/^attachment; filename="[A-Za-z0-9._ -]+"; filename\*=UTF-8''[A-Za-z0-9._~!%-]+$/);
      }),
    );
  });
});

describe("small parsers", () => {
  test("R57 of the cookies only whole keys are read, the first of a repeated name", () => {
    const key = "k".repeat(43);
    const other = "o".repeat(43);
    expect(readKeys(`a=b; __Host-sitzung=${key}; __Host-sitzung=${other}; __Host-sicherheit=short`)).toEqual({
      sitzung: key,
    });
    expect(readKeys(undefined)).toEqual({});
    fc.assert(fc.property(fc.string(), (header) => void readKeys(header)));
  });

  test("networks are /24 and /64", () => {
    expect(networkOf("192.0.2.77")).toBe("192.0.2.0/24");
    expect(networkOf("::ffff:192.0.2.77")).toBe("192.0.2.0/24");
    expect(networkOf("2001:db8:1:2:3:4:5:6")).toBe("2001:db8:1:2::/64");
    expect(networkOf("2001:db8::1")).toBe("2001:db8:0:0::/64");
    expect(networkOf("::1")).toBe("0:0:0:0::/64");
  });

  test("the brake doubles up to its longest wait", () => {
    expect(waitAfter(4, 5, bremse)).toBe(0);
    expect(waitAfter(5, 5, bremse)).toBe(30_000);
    expect(waitAfter(6, 5, bremse)).toBe(60_000);
    expect(waitAfter(1000, 5, bremse)).toBe(15 * 60_000);
  });

  test("a school's sign is made of its name", () => {
    expect(monogram("Goethe-Gymnasium Kassel")).toBe("GG");
    expect(monogram("Grundschule am Park")).toBe("GP");
    expect(monogram("Schiller")).toBe("S");
    expect(monogram("<script>")).toBe("S");
    expect(monogram("123")).toBe("S");
  });

  test("a return address is a path of ours", () => {
    expect(ownPath("/nachrichten/neu?antwort=1")).toBe("/nachrichten/neu?antwort=1");
    for (const evil of ["https://evil.example", "//evil", "/\\evil", "", "/a\nb", "/<x>"]) {
      expect(ownPath(evil)).toBe("/");
    }
  });

  test("unsuitable passwords are refused with the reason", () => {
    const anna = { userName: "anna.arendt", firstName: "Anna", lastName: "Arendt" };
    const schule = "Goethe-Gymnasium Kassel";
    expect(passwordProblem("kurz", anna, schule)).toContain("mindestens 12");
    expect(passwordProblem("Anna.Arendt-2024", anna, schule)).toContain("Namen");
    expect(passwordProblem("arendtanna999", anna, schule)).toContain("Namen");
    for (const frequent of [
      "Passwort12345!",
      "123456789012",
      "aaaaaaaaaaaa",
      "qwertzuiopü+",
      "abcabcabcabc",
      "Sommer2024!!",
      "passwortpasswort",
    ]) {
      expect(passwordProblem(frequent, anna, schule), frequent).toContain("verbreitet");
    }
    expect(passwordProblem("Drei Igel tanzen im Regen", anna, schule)).toBeUndefined();
    for (const ofSchool of ["GoetheGymnasium2026", "Goethe-Gymnasium!!", "kassel goethe 1234", "Passwort-Goethe-1"])
      expect(passwordProblem(ofSchool, anna, schule), ofSchool).toContain("Namen Ihrer Schule");
    // The name is in it, and more that nobody guesses.
    expect(passwordProblem("Goethe mag Nudelsuppe", anna, schule)).toBeUndefined();
  });
});
