import type { Page } from "playwright-core";
import { beforeAll, describe, expect, test } from "vitest";
import { type FurnishedSchool, furnishedSchool, type Visit, type VisitOptions } from "../fixtures/furnished-school.ts";
import type { TestKonto, TestSchool } from "../fixtures/school.ts";

let furnished: FurnishedSchool;
let school: TestSchool;
let origin: string;
let anna: TestKonto;
let bert: TestKonto;
let admin: TestKonto;
let struktur: FurnishedSchool["struktur"];
beforeAll(async () => {
  furnished = await furnishedSchool();
  ({ school, origin, anna, bert, admin, struktur } = furnished);
});

const visit = (options?: VisitOptions): Promise<Visit> => furnished.visit(options);
const oeffne = (page: Page, path: string): Promise<void> => furnished.oeffne(page, path);
const meldeAn = (page: Page, konto: TestKonto): Promise<void> => furnished.meldeAn(page, konto);

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
    expect(await furnished.shortcomings(page)).toEqual([]);
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
    expect(await furnished.shortcomings(page)).toEqual([]);
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

  test("R28 marks are printed on sheets that lie: every column is on them, and nothing that is for the screen alone", async () => {
    const { page, context } = await visit();
    for (const [who, path, hidden] of [
      [furnished.leitung, `/noten/klassen/${struktur.klasse}?halbjahr=2`, "nav, .warum"],
      [anna, `/noten/kurse/${struktur.kurs}?halbjahr=2`, "nav, button, .spalten"],
    ] as const) {
      await meldeAn(page, who);
      await oeffne(page, path);
      const sheets = (await page.pdf({ preferCSSPageSize: true }))
        .toString("latin1")
        .matchAll(/MediaBox \[0 0 ([\d.]+)/g);
      // 297 mm in points.
      expect([...sheets].map(([, width]) => Math.round(Number(width)))).toEqual([842]);
      await page.emulateMedia({ media: "print" });
      // As wide as such a sheet within its margins.
      await page.setViewportSize({ width: 1032, height: 700 });
      const table = await page.locator(".buch").boundingBox();
      expect((table?.x ?? 0) + (table?.width ?? 9999)).toBeLessThanOrEqual(1032);
      expect(await page.locator(hidden).filter({ visible: true }).count()).toBe(0);
      await page.emulateMedia({ media: null });
    }
    await context.close();
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
});
