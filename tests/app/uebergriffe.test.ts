import { beforeAll, describe, expect, test } from "vitest";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { type Besucher, werteIn } from "../fixtures/school-visitor.ts";

/** Ways to more than one is allowed, and forms that would say or do something other than what is so. */

let school: TestSchool;
let chef: TestKonto;
let admin: Besucher;
let anna: TestKonto;
let bert: TestKonto;
beforeAll(async () => {
  school = await startSchool();
  chef = await school.konto("Ada", "Min", "administrator");
  admin = await school.angemeldet(chef);
  anna = await school.konto("Anna", "Arendt", "lehrer");
  bert = await school.konto("Bert", "Brecht", "schueler");
});

let made = 0;
/** A role with these rules, and somebody who has it. */
async function mitRolle(
  ...rules: readonly string[]
): Promise<{ readonly rolle: string; readonly konto: TestKonto; readonly browser: Besucher }> {
  made += 1;
  const rolle = `eigens-${made}`;
  await school.database.query("INSERT INTO rolle (id, name) VALUES ($1, $1)", [rolle]);
  for (const rule of rules) {
    await school.database.query("INSERT INTO recht VALUES ($1, $2, $3, $4)", [rolle, ...rule.split(" ")]);
  }
  const konto = await school.konto("Hilfe", `Nummer${made}`, rolle);
  return { rolle, konto, browser: await school.angemeldet(konto) };
}
describe("nobody makes themselves an administrator", () => {
  const sekretariat = [
    "Konto lesen schule",
    "Konto anlegen schule",
    "Konto bearbeiten schule",
    "Rolle lesen schule",
    "Rolle bearbeiten schule",
  ];

  test("by giving the role to somebody else whose password they set", async () => {
    const { browser } = await mitRolle(...sekretariat);
    const fields = { vorname: "Stroh", nachname: "Mann", email: "x@schule.example", rolle: ["administrator"] };
    const answer = await browser.fuelle("/konten/neu", fields, "/konten");
    expect([403, 422]).toContain(answer.status);
    expect(await school.database.query("SELECT FROM konto WHERE nachname = 'Mann'")).toEqual([]);
    expect((await browser.fuelle("/konten/neu", { ...fields, rolle: ["lehrer"] }, "/konten")).status).toBe(201);
  });

  test("by a new password, another mail address or a lock for one who may more", async () => {
    const { browser } = await mitRolle(...sekretariat, "Konto sperren schule");
    const page = `/konten/${chef.id}`;
    const { text } = await browser.get(page);
    expect(text).toContain("darf mehr verwalten als Ihres");
    expect(text).not.toContain("einmalpasswort");
    for (const [path, form] of [
      ["/einmalpasswort", {}],
      ["/sperren", {}],
      ["", { vorname: "Ada", nachname: "Min", email: "mein@schule.example", version: "1" }],
    ] as const) {
      expect((await browser.post(`${page}${path}`, form)).status, path).toBe(404);
    }
    // Of a pupil they may.
    expect((await browser.fuelle(`/konten/${bert.id}`, { email: "neu@schule.example" })).status).toBe(303);
  });

  test("past the page, in the database: neither password, nor role, nor lock", async () => {
    const { konto } = await mitRolle(...sekretariat, "Konto sperren schule");
    const client = await school.database.connect("school_app");
    try {
      for (const sql of [
        `SELECT passwort_setzen('${chef.id}', 'x', NULL, now())`,
        `SELECT einmalpasswort_setzen('${chef.id}', 'x', now(), now(), gen_random_uuid())`,
        `INSERT INTO konto_rolle VALUES ('${bert.id}', 'administrator')`,
      ]) {
        await client.query("BEGIN");
        await client.query("SELECT set_config('classmind.konto', $1, true)", [konto.id]);
        await expect(client.query(sql), sql).rejects.toThrow(/another account|row-level security/);
        await client.query("ROLLBACK");
      }
      await client.query("BEGIN");
      await client.query("SELECT set_config('classmind.konto', $1, true)", [konto.id]);
      const locked = await client.query("UPDATE konto SET gesperrt_am = now() WHERE id = $1", [chef.id]);
      expect(locked.rowCount).toBe(0);
      await client.query("ROLLBACK");
      // Nor do pupils rename themselves, or whoever may lock rename others.
      await client.query("BEGIN");
      await client.query("SELECT set_config('classmind.konto', $1, true)", [bert.id]);
      await expect(client.query("UPDATE konto SET vorname = 'Boss' WHERE id = $1", [bert.id])).rejects.toThrow(
        "column",
      );
      await client.query("ROLLBACK");
    } finally {
      await client.end();
    }
  });

  test("by switching on a role that they have and that gives them more", async () => {
    const { rolle, konto, browser } = await mitRolle("Rolle lesen schule", "Rolle bearbeiten schule");
    await school.database.query("INSERT INTO rolle (id, name, aktiv) VALUES ('schlafend', 'Schlafend', false)");
    await school.database.query("INSERT INTO recht VALUES ('schlafend', 'Konto', 'lesen', 'schule')");
    await school.database.query("INSERT INTO konto_rolle VALUES ($1, 'schlafend')", [konto.id]);
    const answer = await browser.fuelle("/rollen/schlafend", { aktiv: "ja" });
    expect(answer.status).toBe(422);
    expect(answer.text).toContain("mehr Rechte, als Sie selbst haben");
    expect((await browser.get("/konten")).status).toBe(403);
    expect((await admin.fuelle("/rollen/schlafend", { aktiv: "ja" })).status).toBe(303);
    expect(rolle).toBeDefined();
  });
});

describe("what a form does is what it says", () => {
  test("a role that is switched off and loses a right in the same form loses it", async () => {
    const { rolle, browser } = await mitRolle("Rolle lesen schule", "Rolle bearbeiten schule", "Konto lesen schule");
    expect((await browser.fuelle(`/rollen/${rolle}`, { aktiv: [], "recht-Konto-lesen": "" })).status).toBe(303);
    const left = await school.database.query("SELECT FROM recht WHERE rolle_id = $1 AND ressource = 'Konto'", [rolle]);
    expect(left).toEqual([]);
  });

  test("whoever may do more than see a thing may see it: else what they did would look refused", async () => {
    const { rolle } = await mitRolle("Nachricht lesen eigen");
    const answer = await admin.fuelle(`/rollen/${rolle}`, {
      "recht-Nachricht-lesen": "",
      "recht-Nachricht-anlegen": "eigen",
    });
    expect(answer.status).toBe(422);
    expect(answer.text).toContain("Nachrichten: Wer mehr darf als „lesen“");
    const wide = await admin.fuelle(`/rollen/${rolle}`, {
      "recht-Konto-lesen": "eigen",
      "recht-Konto-bearbeiten": "schule",
    });
    expect(wide.text).toContain("und zwar die der ganzen Schule");
  });

  test("a stale account form shows contact data, too, and does not delete what somebody else has entered", async () => {
    const person = await school.konto("Tel", "Nummer", "lehrer");
    const page = `/konten/${person.id}`;
    const old = werteIn((await admin.get(page)).text, page);
    const own = await school.angemeldet(person);
    expect((await own.fuelle("/profil", { telefon: "0561 4711" })).status).toBe(303);
    const answer = await admin.post(page, { ...old, nachname: "Nummernschild" });
    expect(answer.status).toBe(409);
    expect(answer.text).toContain("0561 4711");
  });

  test("a double click on save says that it is saved", async () => {
    const page = `/konten/${anna.id}`;
    const form = { ...werteIn((await admin.get(page)).text, page), vorname: "Annette" };
    expect((await admin.post(page, form)).status).toBe(303);
    const second = await admin.post(page, form);
    expect(second.status).toBe(409);
    expect(second.text).toContain("Schon gespeichert");
    await admin.fuelle("/rollen", { name: "Doppelt" });
    const twice = await admin.fuelle("/rollen", { name: "Doppelt" });
    expect(twice.status).toBe(422);
  });

  test("the file page shows readers that cannot be found any more, and keeps them", async () => {
    const pupil = await school.angemeldet(bert);
    await pupil.get("/dateien");
    await pupil.upload("meins.txt", Buffer.from("x"));
    const [datei] = await school.database.query<{ id: string }>("SELECT id FROM datei WHERE besitzer_id = $1", [
      bert.id,
    ]);
    const other = await school.konto("Nicht", "Auffindbar", "schueler");
    await school.database.query("INSERT INTO datei_freigabe VALUES ($1, $2, now())", [datei?.id, other.id]);
    const page = `/dateien/${datei?.id}`;
    const shown = await pupil.get(page);
    expect(shown.text).toContain("Nicht Auffindbar");
    expect(shown.text).not.toContain("Noch kann niemand");
    await pupil.fuelle(page, { schritt: "speichern" }, `${page}/freigaben`);
    expect(await school.database.query("SELECT FROM datei_freigabe WHERE konto_id = $1", [other.id])).toHaveLength(1);
  });

  test("another message out of a form that was sent before is not taken for sent", async () => {
    const teacher = await school.angemeldet(anna);
    const vorgang = crypto.randomUUID();
    const first = { vorgang, an: [bert.id], betreff: "Eins", inhalt: "eins", schritt: "senden" };
    expect((await teacher.fuelle("/nachrichten/neu", first, "/nachrichten")).status).toBe(303);
    expect((await teacher.post("/nachrichten", first)).status).toBe(303);
    const other = await teacher.post("/nachrichten", { ...first, an: [chef.id], betreff: "Zwei" });
    expect(other.status).toBe(422);
    expect(other.text).toContain("schon eine andere Nachricht gesendet");
    const again = await teacher.post("/nachrichten", { ...werteIn(other.text, "/nachrichten"), schritt: "senden" });
    expect(again.status).toBe(303);
    expect(await school.database.query("SELECT FROM nachricht_empfaenger WHERE konto_id = $1", [chef.id])).toHaveLength(
      1,
    );
  });

  test("searching in a draft keeps ticked files that are not among the newest, and says whom it lost", async () => {
    const teacher = await school.angemeldet(anna);
    await teacher.get("/dateien");
    await teacher.upload("Alt.txt", Buffer.from("x"));
    const [alt] = await school.database.query<{ id: string }>("SELECT id FROM datei WHERE besitzer_id = $1", [anna.id]);
    for (let index = 0; index < 25; index += 1) await teacher.upload(`Neu ${index}.txt`, Buffer.from("x"));
    const gone = await school.konto("Bald", "Gesperrt", "lehrer");
    await school.database.query("UPDATE konto SET gesperrt_am = now() WHERE id = $1", [gone.id]);
    const fields = { an: [bert.id, gone.id], datei: [alt?.id ?? ""], suche: "min", schritt: "suchen" };
    const answer = await teacher.fuelle("/nachrichten/neu", fields, "/nachrichten");
    expect(answer.text).toContain(`value="${alt?.id}" checked`);
    expect(answer.text).toContain("Bald Gesperrt kann nicht angeschrieben werden");
  });

  test("a right that was taken while a form was coming does not count: nobody is written to who may not be found", async () => {
    const { rolle, browser } = await mitRolle(
      "Nachricht lesen eigen",
      "Nachricht anlegen eigen",
      "Adressbuch lesen schule",
    );
    const form = werteIn((await browser.get("/nachrichten/neu")).text, "/nachrichten");
    await school.database.query(
      "UPDATE recht SET umfang = 'mitglied' WHERE rolle_id = $1 AND ressource = 'Adressbuch'",
      [rolle],
    );
    const answer = await browser.post("/nachrichten", {
      ...form,
      an: [bert.id],
      betreff: "x",
      inhalt: "y",
      schritt: "senden",
    });
    expect(answer.status).toBe(422);
  });

  test("what no keyboard types is refused, not a fault of the platform's", async () => {
    for (const path of ["/konten?suche=%00", "/konten?seite=%00"])
      expect((await admin.get(path)).status, path).toBe(400);
    expect((await admin.get("/rollen/%00")).status).toBe(404);
    expect((await admin.get("/rollen/%E0%A4")).status).toBe(400);
    expect((await admin.get("/rollen/%E0%A4")).text).not.toContain("at ");
    const stranger = school.besucher();
    await stranger.get("/anmelden");
    expect((await stranger.post("/anmelden", { benutzername: "a\0b", passwort: "x" })).status).toBe(400);
    expect((await admin.fuelle("/rollen", { name: "a\0b" })).status).toBe(400);
  });

  test("a page that is asked for without being read is not marked as read", async () => {
    const teacher = await school.angemeldet(anna);
    const vorgang = crypto.randomUUID();
    const fields = { vorgang, an: [bert.id], betreff: "HEAD", inhalt: "x", schritt: "senden" };
    await teacher.fuelle("/nachrichten/neu", fields, "/nachrichten");
    const pupil = await school.angemeldet(bert);
    expect((await pupil.send("HEAD", `/nachrichten/${vorgang}`)).status).toBe(405);
    const [row] = await school.database.query<{ gelesen_am: Date | null }>(
      "SELECT gelesen_am FROM nachricht_empfaenger WHERE nachricht_id = $1",
      [vorgang],
    );
    expect(row?.gelesen_am).toBeNull();
  });

  test("an expired one-time password is nobody who manages the school", async () => {
    const alone = await startSchool();
    const one = await alone.konto("Eins", "Echt", "administrator");
    const two = await alone.konto("Zwei", "Abgelaufen", "administrator");
    await alone.database.query("UPDATE zugang SET einmalig_bis = now() - interval '1 day' WHERE konto_id = $1", [
      two.id,
    ]);
    await expect(alone.database.query("UPDATE konto SET gesperrt_am = now() WHERE id = $1", [one.id])).rejects.toThrow(
      "nobody would be left",
    );
    await alone.database.query("UPDATE konto SET gesperrt_am = now() WHERE id = $1", [two.id]);
  });
});
