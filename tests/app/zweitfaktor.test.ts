import { Secret, TOTP } from "otpauth";
import { beforeAll, describe, expect, test } from "vitest";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { asOperator } from "../fixtures/school-operator.ts";
import type { Besucher } from "../fixtures/school-visitor.ts";

/** R36: a second factor for what is especially sensitive. */

let school: TestSchool;
let anna: TestKonto;
let admin: TestKonto;
let kurs: string;
beforeAll(async () => {
  school = await startSchool();
  anna = await school.konto("Anna", "Arendt", "lehrer");
  admin = await school.konto("Ada", "Amt", "administrator");
  const [jahr, fach] = [crypto.randomUUID(), crypto.randomUUID()];
  kurs = crypto.randomUUID();
  for (const [sql, values] of [
    ["INSERT INTO schuljahr VALUES ($1, 'Ein Jahr', heute() - 100, heute() + 100, heute())", [jahr]],
    ["INSERT INTO fach VALUES ($1, 'M', 'Mathematik')", [fach]],
    ["INSERT INTO kurs VALUES ($1, $2, $3, 'Mathe 5a')", [kurs, jahr, fach]],
    [
      "INSERT INTO unterrichtsauftrag VALUES (gen_random_uuid(), $1, $2, daterange(heute() - 9, heute() + 9))",
      [kurs, anna.id],
    ],
  ] as const)
    await school.database.query(sql, values);
});

/** The code that the person's app shows, so many seconds from now. */
const codeOf = (secret: string, later = 0) =>
  new TOTP({ secret: Secret.fromBase32(secret.replaceAll(" ", "")) }).generate({
    timestamp: school.now().getTime() + later * 1000,
  });
const next = () => school.travel(31_000);

interface Set {
  readonly secret: string;
  readonly codes: readonly string[];
}
async function setUp(browser: Besucher): Promise<Set> {
  await browser.fuelle("/zweitfaktor", {}, "/zweitfaktor/einrichten");
  const { text } = await browser.get("/zweitfaktor");
  const secret = /id="geheimnis">([A-Z2-7 ]+)</.exec(text)?.[1] ?? "";
  const done = await browser.post("/zweitfaktor/bestaetigen", { code: codeOf(secret), weiter: "/noten" });
  expect(done.status).toBe(200);
  const codes = [...done.text.matchAll(/<li>([a-z2-9-]{17})<\/li>/g)].map(([, code = ""]) => code);
  expect(codes).toHaveLength(10);
  next();
  return { secret, codes };
}

describe("a second factor", () => {
  test("R36 once set up, marks need it in each session, and a code counts once", async () => {
    const first = await school.angemeldet(anna);
    expect((await first.get(`/noten/kurse/${kurs}`)).status).toBe(200);
    const { secret } = await setUp(first);
    expect((await first.get(`/noten/kurse/${kurs}`)).status).toBe(200);

    const second = await school.angemeldet(anna);
    expect((await second.get("/nachrichten")).status).toBe(200);
    const asked = await second.get(`/noten/kurse/${kurs}?halbjahr=2`);
    expect(asked.location).toBe(`/zweitfaktor?weiter=${encodeURIComponent(`/noten/kurse/${kurs}?halbjahr=2`)}`);
    const { text } = await second.get(asked.location ?? "");
    expect(text).toContain("Was Sie öffnen möchten, ist besonders geschützt.");
    const form = await second.post(`/noten/kurse/${kurs}`, {});
    expect([form.status, form.text.includes("zweiten Faktor")]).toEqual([403, true]);

    const code = codeOf(secret);
    const weiter = `/noten/kurse/${kurs}?halbjahr=2`;
    expect((await second.post("/zweitfaktor", { code: "000000", weiter })).status).toBe(422);
    expect(
      (await second.post("/zweitfaktor", { code: ` ${code.slice(0, 3)} ${code.slice(3)}`, weiter })).location,
    ).toBe(weiter);
    expect((await second.get(weiter)).status).toBe(200);

    const third = await school.angemeldet(anna);
    await third.get("/zweitfaktor");
    expect((await third.post("/zweitfaktor", { code, weiter })).status).toBe(422);
    next();
    // Sent twice at the same moment it passes once.
    const fresh = codeOf(secret);
    const fourth = await school.angemeldet(anna);
    await fourth.get("/zweitfaktor");
    const both = await Promise.all(
      [third, fourth].map((browser) => browser.post("/zweitfaktor", { code: fresh, weiter })),
    );
    expect(both.map(({ status }) => status).sort()).toEqual([303, 422]);
  });

  test("R36 codes are not guessed: after five wrong ones in a row even a right one waits", async () => {
    const konto = await school.konto("Rate", "Versuch", "lehrer");
    const { secret } = await setUp(await school.angemeldet(konto));
    const thief = await school.angemeldet(konto);
    await thief.get("/zweitfaktor");
    for (let guess = 0; guess < 5; guess += 1) {
      expect((await thief.post("/zweitfaktor", { code: `11111${guess}` })).status).toBe(422);
    }
    const right = await thief.post("/zweitfaktor", { code: codeOf(secret) });
    expect(right.status).toBe(429);
    expect((await thief.get("/noten")).location).toContain("/zweitfaktor");
  });

  test("R36 a code for when the device is lost counts once; new ones take the old ones' place", async () => {
    const konto = await school.konto("Ohne", "Telefon", "lehrer");
    const { secret, codes } = await setUp(await school.angemeldet(konto));
    const browser = await school.angemeldet(konto);
    await browser.get("/zweitfaktor");
    expect(
      (await browser.post("/zweitfaktor", { code: codes[0]?.toUpperCase().replaceAll("-", " ") ?? "" })).status,
    ).toBe(303);
    expect((await browser.get("/zweitfaktor")).text).toContain("noch 9 Wiederherstellungscodes");
    const again = await school.angemeldet(konto);
    await again.get("/zweitfaktor");
    expect((await again.post("/zweitfaktor", { code: codes[0] ?? "" })).status).toBe(422);
    const renewed = await browser.post("/zweitfaktor/aendern", { code: codeOf(secret), schritt: "codes" });
    expect(renewed.text).toContain("Wiederherstellungscodes");
    expect((await again.post("/zweitfaktor", { code: codes[1] ?? "" })).status).toBe(422);
  });

  test("R36 a school demands it for a role: without one, marks and management are closed, all else is open", async () => {
    const chief = await school.angemeldet(admin);
    const { text } = await chief.get("/rollen/lehrer");
    expect(text).toContain("Zweiter Faktor verlangt");
    await chief.fuelle("/rollen/lehrer", { zweitfaktor: "ja" });
    const teacher = await school.angemeldet(await school.konto("Neu", "Lehrer", "lehrer"));
    expect((await teacher.get("/noten")).location).toBe("/zweitfaktor?weiter=%2Fnoten");
    expect((await teacher.get("/zweitfaktor")).text).toContain("Ihre Schule verlangt");
    expect((await teacher.get("/nachrichten")).status).toBe(200);
    await setUp(teacher);
    expect((await teacher.get("/noten")).status).toBe(200);
    // Who has one cannot be without while it is demanded: removed, it is asked for again.
    await school.database.query("UPDATE rolle SET zweitfaktor = false WHERE id = 'lehrer'");
  });

  test("R36 the administrator's deeds need it; looking does not", async () => {
    const konto = await school.konto("Zwei", "Admin", "administrator");
    const { secret } = await setUp(await school.angemeldet(konto));
    const browser = await school.angemeldet(konto);
    expect((await browser.get("/konten")).status).toBe(200);
    await browser.get(`/konten/${anna.id}`);
    expect((await browser.post(`/konten/${anna.id}/sperren`, {})).status).toBe(403);
    expect(await school.database.query("SELECT FROM konto WHERE gesperrt_am IS NOT NULL")).toEqual([]);
    await browser.get(`/personen/${anna.id}`);
    expect((await browser.post(`/personen/${anna.id}/eltern`, {})).text).toContain("zweiten Faktor");
    await browser.get(`/kurse/${kurs}`);
    for (const list of ["lehrkraefte", "teilnehmende"])
      expect((await browser.post(`/kurse/${kurs}/${list}`, {})).text).toContain("zweiten Faktor");
    const leitung = await school.konto("Zwei", "Leitung", "schulleitung");
    await setUp(await school.angemeldet(leitung));
    const other = await school.angemeldet(leitung);
    expect((await other.get("/noten/profile")).location).toContain("/zweitfaktor");
    await browser.get("/zweitfaktor");
    await browser.post("/zweitfaktor", { code: codeOf(secret) });
    await browser.get(`/konten/${anna.id}`);
    expect((await browser.post(`/konten/${anna.id}/sperren`, {})).status).toBe(303);
    await browser.post(`/konten/${anna.id}/entsperren`, {});
  });

  test("who has lost device and codes gets rid of it by the administration, nobody by themselves without a code", async () => {
    const konto = await school.konto("Alles", "Verloren", "lehrer");
    const stolen = await school.angemeldet(konto);
    await setUp(stolen);
    const lost = await school.angemeldet(konto);
    await lost.get("/zweitfaktor");
    expect((await lost.post("/zweitfaktor/aendern", { code: "123456", schritt: "entfernen" })).status).toBe(422);
    // An unfinished set-up takes the place of none that counts.
    await lost.post("/zweitfaktor/einrichten", {});
    expect((await lost.get("/noten")).location).toContain("/zweitfaktor");
    await lost.get("/");
    expect((await lost.post(`/zweitfaktor/${konto.id}/entfernen`, {})).status).toBe(403);
    const chief = await school.angemeldet(admin);
    await chief.get(`/konten/${konto.id}`);
    expect((await chief.post(`/zweitfaktor/${konto.id}/entfernen`, {})).location).toContain("zweitfaktor-entfernt");
    expect((await lost.get("/noten")).status).toBe(200);
    const [entry] = await school.database.query<{ konto_id: string }>(
      "SELECT konto_id FROM journal.eintrag WHERE aktion = 'zweitfaktor' AND objekt = $1 ORDER BY zeit DESC LIMIT 1",
      [konto.id],
    );
    expect(entry?.konto_id).toBe(admin.id);
    // A session that had shown the old one has not shown the new one.
    await setUp(lost);
    expect((await stolen.get("/noten")).location).toContain("/zweitfaktor");
  });

  test("R36 R48 the operator removes the one administrator's, with a reason that the school sees; open sessions end", async () => {
    const konto = await school.konto("Einzige", "Verwaltung", "administrator");
    const browser = await school.angemeldet(konto);
    await setUp(browser);
    const remove = (input: object) =>
      asOperator(school, "remove-second-factor", { username: konto.benutzername, by: "anna@betrieb", ...input });
    const why = { reason: "Telefon verloren" };
    await expect(remove({})).rejects.toThrow();
    await expect(remove({ ...why, username: "niemand" })).rejects.toThrow("no account");
    expect(await remove(why)).toEqual({ username: konto.benutzername, removed: true });
    expect(await remove(why)).toEqual({ username: konto.benutzername, removed: false });
    expect((await browser.get("/konten")).location).toContain("/anmelden");
    const again = await school.angemeldet(konto);
    expect((await again.get("/zweitfaktor")).text).toContain("einrichten");
    const { text } = await again.get("/betreiber");
    expect(text).toContain(`Zweiten Faktor von ${konto.benutzername} entfernt`);
    expect(text).toContain("Telefon verloren");
  });

  test("R3 the secret is nowhere in clear in the database, and nobody else's can be read or removed past the app", async () => {
    const konto = await school.konto("Geheim", "Nis", "lehrer");
    const { secret } = await setUp(await school.angemeldet(konto));
    const rows = await school.database.query<{ alles: string }>("SELECT z::text AS alles FROM zweitfaktor z");
    const plain = secret.replaceAll(" ", "");
    for (const { alles } of rows) {
      expect(alles).not.toContain(plain);
      expect(alles).not.toContain(Buffer.from(plain).toString("hex"));
    }
    const client = await school.database.connect("school_app");
    await client.query("SELECT set_config('classmind.konto', $1, false)", [anna.id]);
    expect((await client.query("SELECT FROM zweitfaktor WHERE konto_id = $1", [konto.id])).rows).toEqual([]);
    await expect(client.query("SELECT zweitfaktor_entfernen($1)", [konto.id])).rejects.toThrow(
      "second factor of another account",
    );
    await client.end();
  });
});
