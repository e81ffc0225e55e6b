import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CHROMIUM, openPage } from "../fixtures/chromium.ts";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { startGateway, type TestGateway } from "../fixtures/school-gateway.ts";

let gateway: TestGateway;
let school: TestSchool;
let browser: Browser;
let origin: string;
let anna: TestKonto;
let bert: TestKonto;
let admin: TestKonto;
let checks: string;
let leitung: TestKonto;
/** Whose account is marked for deletion. */
let gehend: TestKonto;
let nachricht: string;
const struktur = {
  jahr: crypto.randomUUID(),
  fach: crypto.randomUUID(),
  klasse: crypto.randomUUID(),
  kurs: crypto.randomUUID(),
};
let datei: string;
let leistung: string;
let liste: string;
/** Half done, of a kind that nobody does: it stays as it is. */
const arbeit = crypto.randomUUID();
beforeAll(async () => {
  let port = 0;
  gateway = await startGateway(() => port);
  origin = `https://goethe.classmind.localhost:${gateway.port}`;
  school = await startSchool({
    // Nothing is sent here: a relay brings pages.
    environment: {
      CLASSMIND_URL: origin,
      CLASSMIND_MAIL_RELAY: "smtps://localhost:1",
      CLASSMIND_MAIL_FROM: "schule@classmind.example",
    },
  });
  port = school.port;
  anna = await school.konto("Anna", "Arendt", "lehrer");
  bert = await school.konto("Bert", "Brecht", "schueler");
  leitung = await school.konto("Lea", "Leitung", "schulleitung");
  admin = await school.konto("Ada", "Administratorin-Mit-Sehr-Langem-Nachnamen", "administrator");
  checks = await readFile(join(import.meta.dirname, "../fixtures/school-page-checks.js"), "utf8");
  await someContent();
  await someStructure();
  await someMarks();
  await someList();
  await school.database.query(
    "INSERT INTO hintergrundarbeit (id, art, person_id, auftrag, angelegt_am, stand, erledigt, gesamt) VALUES ($1, 'probe', $2, '', now(), '5', 5, 12)",
    [arbeit, admin.id],
  );
  gehend = await school.konto("Gerda", "Gehend-Mit-Sehr-Langem-Nachnamen", "lehrer");
  await school.database.query("INSERT INTO loeschung VALUES ($1, 'anonym', now(), $2, heute() + 30)", [
    gehend.id,
    admin.id,
  ]);
  await school.database.query("UPDATE konto SET geloescht_am = now() WHERE id = $1", [gehend.id]);
  browser = await chromium.launch({
    ...CHROMIUM,
  });
});
afterAll(async () => {
  await browser.close();
  await gateway.close();
});

/** A file, and a message with it from the teacher to the administrator. */
async function someContent(): Promise<void> {
  const teacher = await school.angemeldet(anna);
  await teacher.get("/dateien");
  await teacher.upload(
    "Ein sehr langer Dateiname für ein kleines Arbeitsblatt in Klasse sechs.pdf",
    Buffer.alloc(120_000),
  );
  datei = (await school.database.query<{ id: string }>("SELECT id FROM datei"))[0]?.id ?? "";
  await teacher.get("/nachrichten/neu");
  nachricht = crypto.randomUUID();
  const inhalt =
    "Guten Tag,\n\nanbei das Blatt.\nhttps://beispiel.schule/ein/langer/pfad/ohne/leerzeichen/der/umbrechen/muss";
  await teacher.post("/nachrichten", {
    vorgang: nachricht,
    an: [admin.id],
    betreff: "Arbeitsblatt",
    inhalt,
    datei: [datei],
  });
}

/** A year with a class and a course: the teacher teaches, the pupil takes part. */
/** A mark of the pupil in the course, entered by the teacher. */
async function someMarks(): Promise<void> {
  const { kurs } = struktur;
  const teacher = await school.angemeldet(anna);
  const book = `/noten/kurse/${kurs}?halbjahr=2`;
  const name = "1. Klassenarbeit über Bruchrechnung";
  await teacher.fuelle(book, { name, sichtbar: "ja" }, `/noten/kurse/${kurs}/leistungen`);
  leistung = (await school.database.query<{ id: string }>("SELECT id FROM leistung"))[0]?.id ?? "";
  const entered = await teacher.fuelle(book, { n0_0: "2+", n0_h: "3" }, `/noten/kurse/${kurs}`);
  expect(entered.location).toContain("erledigt=noten");
}

/** A list that waits to be read, with all kinds of rows. */
async function someList(): Promise<void> {
  const office = await school.angemeldet(admin);
  await office.get("/einlesen");
  const rows = [
    "Nachname;Vorname;Geburtsdatum;Klasse;Eine Spalte, die niemand liest",
    "Brecht;Bert;01.02.2014;5b;x",
    "Arendt;Anna;01.02.2014;5b;x",
    "Mit-Einem-Sehr-Langen-Nachnamen-Der-Umbrechen-Muss;Neu;01.02.2014;5b;x",
    "Falsch;Fee;31.02.2014;5b;x",
  ];
  await office.upload(
    "Ein langer Name für eine Liste aller Klassen.csv",
    Buffer.from(rows.join("\n")),
    {},
    "/einlesen",
  );
  liste = (await school.database.query<{ id: string }>("SELECT id FROM einlesung_datei"))[0]?.id ?? "";
  const settled = await office.fuelle("/einlesen", { konten: "ja" }, "/einlesen/einstellungen");
  expect(settled.location).toBe("/einlesen/vorschau");
}

async function someStructure(): Promise<void> {
  const { jahr, fach, klasse, kurs } = struktur;
  for (const [sql, values] of [
    ["INSERT INTO schuljahr VALUES ($1, 'Ein Jahr', heute() - 100, heute() + 100, heute())", [jahr]],
    ["INSERT INTO fach VALUES ($1, 'M', 'Mathematik')", [fach]],
    ["INSERT INTO klasse VALUES ($1, $2, '5a')", [klasse, jahr]],
    ["INSERT INTO kurs VALUES ($1, $2, $3, 'Mathematik in der fünften Klasse a')", [kurs, jahr, fach]],
    ["INSERT INTO klassenmitglied VALUES ($1, $2, $1, daterange(heute() - 9, heute() + 9))", [bert.id, klasse]],
    ["INSERT INTO einschreibung VALUES ($1, $2, $1, daterange(heute() - 9, heute() + 9))", [bert.id, kurs]],
    ["INSERT INTO unterrichtsauftrag VALUES ($1, $2, $1, daterange(heute() - 9, heute() + 9))", [anna.id, kurs]],
  ] as const)
    await school.database.query(sql, values);
}

interface Visit {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Hosts that the browser asked for anything. */
  readonly hosts: Set<string>;
  /** What the browser complained of: refused styles, scripts, forms. */
  readonly complaints: string[];
}

async function visit(
  options: { width?: number; dark?: boolean; cookies?: false; scripts?: false } = {},
): Promise<Visit> {
  const context = await browser.newContext({
    javaScriptEnabled: options.scripts ?? true,
    ignoreHTTPSErrors: true,
    viewport: { width: options.width ?? 1280, height: 800 },
    colorScheme: options.dark ? "dark" : "light",
  });
  const page = await context.newPage();
  const hosts = new Set<string>();
  const complaints: string[] = [];
  page.on("request", (request) => hosts.add(new URL(request.url()).host));
  page.on("console", (message) => {
    if (/Content Security Policy|Refused to/i.test(message.text())) {
      complaints.push(message.text());
    }
  });
  return { page, context, hosts, complaints };
}

const oeffne = (page: Page, path: string): Promise<void> => openPage(page, origin + path);

async function meldeAn(page: Page, konto: TestKonto): Promise<void> {
  await oeffne(page, "/anmelden");
  await page.getByLabel("Benutzername").fill(konto.benutzername);
  await page.getByLabel("Passwort").fill(konto.passwort);
  await page.getByRole("button", { name: "Anmelden" }).click();
  await page.getByRole("heading", { level: 1 }).waitFor();
}

async function shortcomings(page: Page): Promise<string[]> {
  // With its stylesheet: on a busy machine the words are there before it.
  await page.waitForLoadState("load");
  return page.evaluate<string[]>(`(() => { ${checks}; return globalThis.shortcomings(); })()`);
}

describe("in a real browser", () => {
  test("R17 R57 R7 sign in, write a message with a file, read it, save the file; nothing foreign is asked for", async () => {
    const teacher = await visit();
    await meldeAn(teacher.page, anna);
    expect((await teacher.context.cookies()).map((cookie) => cookie.name).sort()).toEqual([
      "__Host-sicherheit",
      "__Host-sitzung",
    ]);
    await teacher.page.getByRole("link", { name: "Dateien", exact: true }).first().click();
    await teacher.page
      .getByLabel("Datei hochladen")
      .setInputFiles({ name: "Wochenplan.txt", mimeType: "text/plain", buffer: Buffer.from("Montag: Sport") });
    await teacher.page.getByRole("button", { name: "Hochladen", exact: true }).click();
    await teacher.page.getByText("Die Datei wurde hochgeladen").waitFor();

    await oeffne(teacher.page, "/nachrichten/neu");
    await teacher.page.getByLabel("Person suchen").fill("brecht");
    await teacher.page.getByRole("button", { name: "Suchen" }).click();
    await teacher.page.getByLabel("Bert Brecht").check();
    await teacher.page.getByLabel("Betreff").fill("Der Plan für die Woche");
    await teacher.page.getByLabel("Nachricht", { exact: true }).fill("Siehe Anhang.");
    await teacher.page.getByText("Dateien anhängen").click();
    await teacher.page.getByLabel("Wochenplan.txt").check();
    await teacher.page.getByRole("button", { name: "Nachricht senden" }).click();
    await teacher.page.getByText("Ihre Nachricht wurde gesendet.").waitFor();

    const pupil = await visit({ width: 375, dark: true });
    await meldeAn(pupil.page, bert);
    await pupil.page.getByRole("button", { name: "Menü: Start 1 ungelesen" }).click();
    await pupil.page.getByRole("link", { name: "Nachrichten 1 ungelesen" }).click();
    await pupil.page.getByRole("link", { name: "Der Plan für die Woche" }).click();
    const [download] = await Promise.all([
      pupil.page.waitForEvent("download"),
      pupil.page.getByRole("link", { name: "Wochenplan.txt" }).click(),
    ]);
    expect(download.suggestedFilename()).toBe("Wochenplan.txt");
    const stream = await download.createReadStream();
    const parts: Buffer[] = [];
    for await (const part of stream) {
      parts.push(Buffer.from(part));
    }
    expect(Buffer.concat(parts).toString()).toBe("Montag: Sport");
    await pupil.page.getByRole("button", { name: "Abmelden" }).click();
    await pupil.page.getByText("Sie sind abgemeldet.").waitFor();
    for (const one of [teacher, pupil]) {
      expect([...one.hosts]).toEqual([new URL(origin).host]);
      expect(one.complaints).toEqual([]);
      await one.context.close();
    }
  });

  test("the login works with the keyboard alone, and each stop is visible", async () => {
    const { page, context } = await visit();
    await oeffne(page, "/anmelden");
    await page.keyboard.press("Tab");
    expect(await page.evaluate("document.activeElement.textContent")).toBe("Zum Inhalt springen");
    const skip = await page.evaluate("document.activeElement.getBoundingClientRect().top");
    expect(skip).toBeGreaterThanOrEqual(0);
    await page.keyboard.press("Enter");
    await page.keyboard.press("Tab");
    expect(await page.evaluate("document.activeElement.id")).toBe("feld-benutzername");
    const outline = await page.evaluate("getComputedStyle(document.activeElement).outlineWidth");
    expect(outline).toBe("3px");
    await page.keyboard.type(anna.benutzername);
    await page.keyboard.press("Tab");
    await page.keyboard.type(anna.passwort);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: /Anna/ }).waitFor();
    await context.close();
  });

  test("on a phone the head leaves room: eight areas are behind a button, for a finger and for the keyboard", async () => {
    const { page, context } = await visit({ width: 360 });
    await meldeAn(page, admin);
    const head = await page.locator("header").first().boundingBox();
    expect(head?.height).toBeLessThan(120);
    const link = page.getByRole("link", { name: "Rollen", exact: true });
    const menu = page.getByRole("button", { name: "Menü: Start" });
    expect(await page.getByRole("navigation").getByRole("link").count()).toBe(0);
    await menu.focus();
    await page.keyboard.press("Enter");
    expect(await page.getByRole("navigation").getByRole("link").count()).toBeGreaterThan(6);
    // With what is open, as it is without.
    expect(await shortcomings(page)).toEqual([]);
    await page.keyboard.press("Escape");
    expect(await link.count()).toBe(0);
    await menu.click();
    await link.click();
    await page.getByRole("heading", { level: 1, name: "Rollen" }).waitFor();
    expect(await page.getByRole("button", { name: "Menü: Rollen" }).count()).toBe(1);
    await context.close();

    const wide = await visit({ width: 1280 });
    await meldeAn(wide.page, admin);
    expect(await wide.page.getByRole("button", { name: /^Menü/ }).count()).toBe(0);
    await wide.page.getByRole("link", { name: "Rollen", exact: true }).click();
    await wide.context.close();
  });

  test("R19 an account is marked for deletion with the keyboard alone, on a phone, and that is taken back", async () => {
    const paul = await school.konto("Paul", "Probe", "schueler");
    const { page, context, complaints } = await visit({ width: 360 });
    await meldeAn(page, admin);
    await oeffne(page, `/konten/${paul.id}`);
    await page.getByRole("link", { name: "Konto löschen …" }).press("Enter");
    await page.getByRole("heading", { level: 1, name: "Konto löschen: Paul Probe" }).waitFor();
    await page.getByRole("radio", { name: /^Inhalte anonym behalten/ }).press("Space");
    await page.keyboard.press("Tab");
    await page.keyboard.type("falsch");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").getByRole("link").press("Enter");
    expect(await page.evaluate("location.hash")).toBe("#feld-bestaetigung");
    expect(await page.getByRole("radio", { name: /^Inhalte anonym behalten/ }).isChecked()).toBe(true);
    await page.getByLabel("Benutzername zur Bestätigung").fill(paul.benutzername);
    await page.keyboard.press("Enter");
    await page.getByText("Das Konto ist zur Löschung vorgemerkt.").waitFor();
    expect(await shortcomings(page)).toEqual([]);
    await page.getByRole("button", { name: /Zurücknehmen.*Paul Probe/ }).press("Enter");
    await page.getByText("Die Löschung ist zurückgenommen.").waitFor();
    expect(complaints).toEqual([]);
    await context.close();
  });

  test("with scripts the book of marks is a spreadsheet: arrows and Enter, and what is pasted; whoever leaves unsaved marks is asked", async () => {
    const { page, context, complaints } = await visit();
    await meldeAn(page, anna);
    await oeffne(page, `/noten/kurse/${struktur.kurs}?halbjahr=2`);
    const fields = page.locator("table[data-tabelle] input:not([type=hidden])");
    const rows = await page.locator("table[data-tabelle] tbody tr").count();
    const each = (await fields.count()) / rows;
    const focused = () =>
      page.evaluate(
        "[...document.querySelectorAll('table[data-tabelle] input:not([type=hidden])')].indexOf(document.activeElement)",
      );
    await fields.first().focus();
    await page.keyboard.press("ArrowRight");
    expect(await focused()).toBe(0);
    await fields.first().selectText();
    await page.keyboard.press("ArrowRight");
    expect(await focused()).toBe(1);
    await fields.first().focus();
    await page.keyboard.press("Enter");
    expect(await focused()).toBe(rows > 1 ? each : 0);
    await fields.first().evaluate((field: { dispatchEvent(event: unknown): void }) => {
      const { DataTransfer, ClipboardEvent } = globalThis as unknown as Record<
        string,
        new (
          ...args: unknown[]
        ) => never
      >;
      const clipboardData = new (DataTransfer as new () => { setData(type: string, text: string): void })();
      clipboardData.setData("text/plain", "1-\t2\r\n");
      field.dispatchEvent(
        new (ClipboardEvent as never as new (t: string, o: object) => object)("paste", {
          clipboardData,
          bubbles: true,
          cancelable: true,
        }),
      );
    });
    expect(await fields.first().inputValue()).toBe("1-");
    expect(await fields.nth(1).inputValue()).toBe("2");
    const asked = page.waitForEvent("dialog");
    const leaving = page.goto(`${origin}/`).catch(() => undefined);
    const dialog = await asked;
    expect(dialog.type()).toBe("beforeunload");
    await dialog.dismiss();
    await leaving;
    await fields.first().focus();
    await page.keyboard.press("Control+Enter");
    await page
      .getByText(/Noten? (wurden?|ist|sind) /)
      .first()
      .waitFor();
    expect(page.url()).toContain("erledigt=noten");
    expect(complaints).toEqual([]);
    await context.close();
  });

  test("with scripts an upload shows how far it is and can be stopped; what is refused says why; without scripts it works as well", async () => {
    const { page, context, complaints } = await visit();
    await meldeAn(page, anna);
    await oeffne(page, "/dateien");
    const slow = await context.newCDPSession(page);
    await slow.send("Network.enable");
    const conditions = { offline: false, latency: 0, downloadThroughput: -1 };
    await slow.send("Network.emulateNetworkConditions", { ...conditions, uploadThroughput: 2_000_000 });
    const choose = (name: string, bytes: number) =>
      page
        .getByLabel("Datei hochladen")
        .setInputFiles({ name, mimeType: "text/plain", buffer: Buffer.alloc(bytes, "x") });
    await choose("Langer Film.txt", 12_000_000);
    await page.getByRole("button", { name: "Hochladen", exact: true }).click();
    await page.getByText(/[1-9]0 % hochgeladen/).waitFor();
    expect(
      await page.getByRole("progressbar", { name: "Fortschritt" }).evaluate((bar: { value: number }) => bar.value),
    ).toBeGreaterThan(0.05);
    await page.getByRole("button", { name: "Abbrechen" }).click();
    await page.getByText("Abgebrochen. Es wurde nichts gespeichert.").waitFor();
    await slow.send("Network.emulateNetworkConditions", { ...conditions, uploadThroughput: -1 });
    await choose(`${"sehr langer Name ".repeat(25)}.txt`, 10);
    await page.getByRole("button", { name: "Hochladen", exact: true }).click();
    await page.getByText("Der Dateiname ist zu lang").first().waitFor();
    await oeffne(page, "/dateien");
    await choose("Kurzer Film.txt", 1_000);
    await page.getByRole("button", { name: "Hochladen", exact: true }).click();
    await page.getByText("Die Datei wurde hochgeladen").waitFor();
    expect(await page.getByText("Langer Film.txt").count()).toBe(0);
    expect(complaints).toEqual([]);
    await context.close();

    const plain = await visit({ scripts: false });
    await meldeAn(plain.page, anna);
    await oeffne(plain.page, "/dateien");
    await plain.page
      .getByLabel("Datei hochladen")
      .setInputFiles({ name: "Ohne Skript.txt", mimeType: "text/plain", buffer: Buffer.from("x") });
    await plain.page.getByRole("button", { name: "Hochladen", exact: true }).click();
    await plain.page.getByText("Die Datei wurde hochgeladen").waitFor();
    await plain.context.close();
  });

  test("an error leads to its field", async () => {
    const { page, context } = await visit();
    await meldeAn(page, admin);
    await oeffne(page, "/konten/neu");
    await page.getByLabel("Vorname").fill("Eva");
    await page.getByLabel("Nachname").fill("Ernst");
    await page.getByLabel("E-Mail-Adresse").fill("eva@schule");
    await page.getByRole("button", { name: "Konto anlegen" }).click();
    await page.getByRole("alert").getByRole("link").click();
    expect(await page.evaluate("location.hash")).toBe("#feld-email");
    expect(await page.getByLabel("E-Mail-Adresse").getAttribute("aria-invalid")).toBe("true");
    expect(await page.title()).toMatch(/^Fehler: /);
    await context.close();
  });

  test.each([
    ["on a wide screen", { width: 1280 }],
    ["on a phone, dark", { width: 375, dark: true }],
    ["at 320 pixels, as with 400 % zoom", { width: 320 }],
  ])("every page is readable and operable %s", async (_name, options) => {
    const { page, context, complaints } = await visit(options);
    const problems: string[] = [];
    const look = async (path: string) => {
      await oeffne(page, path);
      problems.push(...(await shortcomings(page)));
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
    problems.push(...(await shortcomings(page)));
    await meldeAn(page, admin);
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
    await meldeAn(page, leitung);
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
    await meldeAn(page, bert);
    await look(`/noten/${bert.id}`);
    await meldeAn(page, anna);
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
    await context.close();
  });
});
