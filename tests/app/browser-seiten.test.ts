import { beforeAll, describe, expect, test } from "vitest";
import { type FurnishedSchool, furnishedSchool } from "../fixtures/furnished-school.ts";

let furnished: FurnishedSchool;
beforeAll(async () => {
  furnished = await furnishedSchool();
});

const views = [
  { name: "on a wide screen", width: 1280, colorScheme: "light" },
  { name: "on a phone, dark", width: 375, colorScheme: "dark" },
  { name: "at 320 pixels, as with 400 % zoom", width: 320, colorScheme: "light" },
] as const;

describe("in a real browser every page", () => {
  test("is readable and operable on a wide screen, on a phone in the dark, and at 320 pixels as with 400 % zoom", async () => {
    const { anna, bert, admin, leitung, gehend, struktur, nachricht, datei, leistung, liste, arbeit } = furnished;
    const { page, complaints } = await furnished.visit();
    const problems: string[] = [];
    const examine = async (path: string) => {
      for (const { name, width, colorScheme } of views) {
        await page.setViewportSize({ width, height: 800 });
        // Colours are there at once, and do not pass from those of the view before.
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        problems.push(...(await furnished.shortcomings(page)).map((problem) => `${path} ${name}: ${problem}`));
      }
    };
    const look = async (path: string) => {
      await furnished.oeffne(page, path);
      await examine(path);
    };
    await look("/datenschutz");
    await look("/datenschutz/daten");
    await look("/passwort-vergessen");
    await look("/passwort-code");
    await look("/anmelden");
    await page.getByLabel("Passwort").fill("falsch");
    await page.getByLabel("Benutzername").fill("niemand");
    await page.getByRole("button", { name: "Anmelden" }).click();
    await page.getByRole("alert").waitFor();
    await examine("/anmelden, refused");
    await furnished.meldeAn(page, admin);
    for (const path of [
      "/",
      "/konten",
      "/konten?suche=niemand",
      "/konten/neu",
      "/konten/gruppe",
      "/arbeiten",
      "/datenschutz/bestaetigen",
      "/zweitfaktor",
      `/arbeiten/${arbeit}?ruhig=ja`,
      `/konten/gruppe?gruppe=klasse:${struktur.klasse}`,
      `/konten/${bert.id}`,
      `/konten/${bert.id}/loeschen`,
      `/konten/${gehend.id}/loeschen`,
      "/loeschungen",
      "/rollen",
      "/profil",
      "/anmeldungen",
      "/passwort",
      "/nachrichten",
      `/nachrichten/${nachricht}`,
      "/nachrichten/neu",
      "/nachrichten/entwuerfe",
      "/dateien",
      "/dateien/geteilt",
      "/personen",
      "/personen/neu",
      `/personen/${bert.id}?suche=a`,
      "/schuljahre",
      "/schuljahre/neu",
      `/schuljahre/${struktur.jahr}`,
      "/faecher",
      `/faecher/${struktur.fach}`,
      "/einlesen",
      `/einlesen/spalten?datei=${liste}`,
      "/einlesen/vorschau",
      "/einlesen/vorschau?gruppe=zweifelhaft",
      "/einlesen/vorschau?gruppe=neu",
      "/einlesen/vorschau?gruppe=geaendert",
      "/einlesen/fertig",
      "/konten/gruppe?gruppe=klassen",
      "/klassen",
      `/klassen/${struktur.klasse}?suche=a`,
      "/kurse",
      `/kurse/${struktur.kurs}?suche=a`,
      "/gibt-es-nicht",
    ]) {
      await look(path);
    }
    await furnished.meldeAn(page, leitung);
    for (const path of [
      "/unterrichtsauftraege",
      `/konten/${bert.id}/archiv`,
      "/loeschungen",
      "/noten",
      "/noten/profile",
      "/noten/profile/00000000-0000-4000-8000-000000000001",
      "/noten/schluessel",
      "/noten/schluessel/00000000-0000-4000-8000-000000000031",
      `/noten/klassen/${struktur.klasse}`,
    ]) {
      await look(path);
    }
    await furnished.meldeAn(page, bert);
    await look(`/noten/${bert.id}`);
    await furnished.meldeAn(page, anna);
    for (const path of [
      "/nachrichten/gesendet",
      `/kurse/${struktur.kurs}`,
      "/noten",
      `/noten/kurse/${struktur.kurs}?halbjahr=2`,
      `/noten/kurse/${struktur.kurs}/rechnung?halbjahr=2&person=${bert.id}`,
      `/noten/leistungen/${leistung}`,
      `/nachrichten/${nachricht}`,
      "/dateien",
      `/dateien/${datei}`,
    ]) {
      await look(path);
    }
    expect(problems).toEqual([]);
    expect(complaints).toEqual([]);
  });
});
