import { beforeAll, describe, expect, test } from "vitest";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { type Besucher, werteIn } from "../fixtures/school-visitor.ts";

/** Roles that a school edits, forms that are older than what is stored, and the administrator that always remains. */

let school: TestSchool;
let chef: TestKonto;
let admin: Besucher;
beforeAll(async () => {
  school = await startSchool();
  chef = await school.konto("Ada", "Min", "administrator");
  admin = await school.angemeldet(chef);
});

const rules = (rolle: string) =>
  school.database.query<{ recht: string }>(
    "SELECT ressource || ' ' || aktion || ' ' || umfang AS recht FROM recht WHERE rolle_id = $1 ORDER BY 1",
    [rolle],
  );

describe("the page of roles", () => {
  test("R37 a school makes a role of its own, „Sekretariat“, and says what it may, without code", async () => {
    const made = await admin.fuelle("/rollen", { name: "Sekretariat" });
    expect(made.location).toBe("/rollen/sekretariat?erledigt=rolle-angelegt");
    const page = "/rollen/sekretariat";
    const saved = await admin.fuelle(page, {
      "recht-Konto-lesen": "schule",
      "recht-Konto-anlegen": "schule",
      "recht-Nachricht-lesen": "eigen",
    });
    expect(saved.location).toBe("/rollen?erledigt=rolle");
    expect(await rules("sekretariat")).toEqual([
      { recht: "Konto anlegen schule" },
      { recht: "Konto lesen schule" },
      { recht: "Nachricht lesen eigen" },
    ]);
    const person = await school.angemeldet(await school.konto("Sek", "Retariat", "sekretariat"));
    expect((await person.get("/konten/neu")).status).toBe(200);
    expect((await person.get("/nachrichten/neu")).status).toBe(403);
  });

  test("R4 a right that is taken away or given counts with the very next request", async () => {
    const person = await school.angemeldet(await school.konto("Lea", "Lehrer", "lehrer"));
    expect((await person.get("/nachrichten/neu")).status).toBe(200);
    await admin.fuelle("/rollen/lehrer", { "recht-Nachricht-anlegen": "" });
    expect((await person.get("/nachrichten/neu")).status).toBe(403);
    await admin.fuelle("/rollen/lehrer", { "recht-Nachricht-anlegen": "eigen" });
    expect((await person.get("/nachrichten/neu")).status).toBe(200);
    await admin.fuelle("/rollen/lehrer", { aktiv: [] });
    expect((await person.get("/nachrichten/neu")).status).toBe(403);
    await admin.fuelle("/rollen/lehrer", { aktiv: "ja" });
  });

  test("R4 a right is asked again when a form arrives that was opened with it", async () => {
    const person = await school.angemeldet(await school.konto("Offen", "Formular", "lehrer"));
    const form = werteIn((await person.get("/nachrichten/neu")).text, "/nachrichten");
    await admin.fuelle("/rollen/lehrer", { "recht-Nachricht-anlegen": "" });
    const answer = await person.post("/nachrichten", { ...form, an: [chef.id], betreff: "x", inhalt: "y" });
    expect(answer.status).toBe(403);
    await admin.fuelle("/rollen/lehrer", { "recht-Nachricht-anlegen": "eigen" });
  });

  test("nobody gives a right that they do not hold themselves, by the page or past it", async () => {
    await school.database.query("INSERT INTO rolle (id, name) VALUES ('helfer', 'Helfer')");
    await school.database.query(
      "INSERT INTO recht VALUES ('helfer', 'Rolle', 'lesen', 'schule'), ('helfer', 'Rolle', 'bearbeiten', 'schule')",
    );
    const helper = await school.konto("Hel", "Fer", "helfer");
    const browser = await school.angemeldet(helper);
    const before = await rules("schueler");
    const { text } = await browser.get("/rollen/schueler");
    expect(text).toContain('name="recht-Konto-anlegen"><option value="" selected>nicht erlaubt</option></select>');
    await browser.fuelle("/rollen/schueler", { "recht-Konto-anlegen": "schule", "recht-Konto-lesen": "schule" });
    expect(await rules("schueler")).toEqual(before);
    // As the app, without the page.
    const client = await school.database.connect("school_app");
    try {
      await client.query("BEGIN");
      await client.query("SELECT set_config('classmind.konto', $1, true)", [helper.id]);
      await expect(client.query("INSERT INTO recht VALUES ('schueler', 'Konto', 'anlegen', 'schule')")).rejects.toThrow(
        "row-level security",
      );
    } finally {
      await client.end();
    }
  });

  test("what the page does not offer stays as it is stored", async () => {
    await school.database.query("INSERT INTO recht VALUES ('eltern', 'Fehlzeit', 'lesen', 'kind')");
    await admin.fuelle("/rollen/eltern", { "recht-Adressbuch-lesen": "schule" });
    expect((await rules("eltern")).map(({ recht }) => recht)).toEqual(
      expect.arrayContaining(["Fehlzeit lesen kind", "Adressbuch lesen schule"]),
    );
  });

  test("a name that is taken, missing or too long is refused at its field", async () => {
    for (const name of ["Lehrkraft", "  ", "x".repeat(61), "a\u0007b"]) {
      const answer = await admin.fuelle("/rollen", { name });
      expect(answer.status, name).toBe(422);
      expect(answer.text).toContain('id="fehler-name"');
    }
  });

  test("a role that somebody has, or that was delivered, is not deleted", async () => {
    await admin.fuelle("/rollen", { name: "Kurz da" });
    const person = await school.konto("Kurz", "Da", "kurz-da");
    await admin.get("/rollen/kurz-da");
    expect((await admin.post("/rollen/kurz-da/loeschen", {})).status).toBe(422);
    await school.database.query("DELETE FROM konto_rolle WHERE konto_id = $1", [person.id]);
    expect((await admin.post("/rollen/kurz-da/loeschen", {})).location).toBe("/rollen?erledigt=rolle-geloescht");
    expect((await admin.post("/rollen/eltern/loeschen", {})).status).toBe(422);
  });
});

describe("a form that is older than what is stored", () => {
  test("of a role: shows both, saves nothing, loses nothing, and is saved when sent again", async () => {
    await admin.fuelle("/rollen", { name: "Beratung" });
    const other = await school.angemeldet(await school.konto("Bea", "Min", "administrator"));
    const page = "/rollen/beratung";
    const old = werteIn((await admin.get(page)).text, page);
    await other.fuelle(page, { "recht-Konto-lesen": "schule" });
    const answer = await admin.post(page, { ...old, name: "Beratungsteam" });
    expect(answer.status).toBe(409);
    expect(answer.text).toContain("Inzwischen hat jemand anderes etwas geändert");
    expect(answer.text).toContain("der ganzen Schule");
    expect(await rules("beratung")).toEqual([{ recht: "Konto lesen schule" }]);
    const again = await admin.post(page, { ...werteIn(answer.text, page) });
    expect(again.status).toBe(303);
    expect(await school.database.query("SELECT name FROM rolle WHERE id = 'beratung'")).toEqual([
      { name: "Beratungsteam" },
    ]);
    expect(await rules("beratung")).toEqual([]);
  });

  test("of an account: an old tab does not write old values back", async () => {
    const person = await school.konto("Frida", "Alt", "schueler");
    const page = `/konten/${person.id}`;
    const old = werteIn((await admin.get(page)).text, page);
    expect((await admin.fuelle(page, { nachname: "Neu", rolle: ["lehrer"] })).status).toBe(303);
    const answer = await admin.post(page, { ...old, email: "frida@schule.example" });
    expect(answer.status).toBe(409);
    for (const part of ["Neu", "Alt", "frida@schule.example", "Lehrkraft", "Schülerschaft"])
      expect(answer.text).toContain(part);
    expect(await school.database.query("SELECT nachname FROM konto WHERE id = $1", [person.id])).toEqual([
      { nachname: "Neu" },
    ]);
  });

  test("of one's own profile likewise", async () => {
    const person = await school.konto("Pro", "Fil", "lehrer");
    const browser = await school.angemeldet(person);
    const old = werteIn((await browser.get("/profil")).text, "/profil");
    expect((await browser.fuelle("/profil", { telefon: "0561 1" })).status).toBe(303);
    const answer = await browser.post("/profil", { ...old, mobil: "0170 2" });
    expect(answer.status).toBe(409);
    expect(answer.text).toContain("0561 1");
    expect(answer.text).toContain("0170 2");
    expect((await browser.get("/profil")).text).toContain("0561 1");
  });
});

describe("somebody always remains who can manage the school", () => {
  test("also when two administrators lock each other, or take each other's role, at the same moment", async () => {
    const alone = await startSchool();
    for (let round = 0; round < 5; round += 1) {
      const names = [`Eins${round}`, `Zwei${round}`];
      const accounts = await Promise.all(names.map((name) => alone.konto(name, "Admin", "administrator")));
      const [one, two] = accounts;
      if (!one || !two) throw new Error("two accounts");
      await alone.database.query(
        "UPDATE konto SET gesperrt_am = now() WHERE id <> ALL ($1::uuid[]) AND gesperrt_am IS NULL",
        [[one.id, two.id]],
      );
      const browsers = await Promise.all([alone.angemeldet(one), alone.angemeldet(two)]);
      const [first, second] = browsers;
      const [, shown] = await Promise.all([first?.get(`/konten/${two.id}`), second?.get(`/konten/${one.id}`)]);
      // Filled in before: once the other's lock is through, there is no form to be had any more.
      const form = werteIn(shown?.text ?? "", `/konten/${one.id}`);
      const answers = await Promise.all([
        first?.post(`/konten/${two.id}/sperren`, {}),
        round % 2 === 0
          ? second?.post(`/konten/${one.id}/sperren`, {})
          : second?.post(`/konten/${one.id}`, { ...form, rolle: [] }),
      ]);
      expect(answers.some((answer) => answer?.status === 303)).toBe(true);
      const left = await alone.database.query<{ id: string }>(
        `SELECT k.id FROM konto k JOIN konto_rolle kr ON kr.konto_id = k.id AND kr.rolle_id = 'administrator'
          WHERE k.gesperrt_am IS NULL`,
      );
      expect(left).toHaveLength(1);
    }
  });

  test("taking the last one's right, role or the role's use is refused in words", async () => {
    const alone = await startSchool();
    const only = await alone.konto("Nur", "Einer", "administrator");
    const browser = await alone.angemeldet(only);
    for (const changes of [{ "recht-Konto-sperren": "" }, { "recht-Rolle-bearbeiten": "" }, { aktiv: [] }]) {
      const answer = await browser.fuelle("/rollen/administrator", changes);
      expect(answer.status).toBe(409);
      expect(answer.text).toContain("Jemand muss die Schule verwalten können");
    }
    await expect(alone.database.query("UPDATE konto SET gesperrt_am = now() WHERE id = $1", [only.id])).rejects.toThrow(
      "nobody would be left",
    );
    expect((await browser.get("/rollen")).status).toBe(200);
  });
});
