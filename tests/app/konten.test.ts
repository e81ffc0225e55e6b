import { beforeAll, describe, expect, test } from "vitest";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { type Besucher, hidden } from "../fixtures/school-visitor.ts";

let school: TestSchool;
let admin: Besucher;
let adminKonto: TestKonto;
let leitung: Besucher;
let lehrer: TestKonto;
let schueler: TestKonto;
beforeAll(async () => {
  school = await startSchool();
  adminKonto = await school.konto("Maria", "Sommer", "administrator");
  admin = await school.angemeldet(adminKonto);
  leitung = await school.angemeldet(await school.konto("Sabine", "Leitner", "schulleitung"));
  lehrer = await school.konto("Karl", "Lehmann", "lehrer");
  schueler = await school.konto("Tim", "Thaler", "schueler");
});

/** Opens the form, fills it, returns the answer. */
async function anlegen(fields: Readonly<Record<string, string | readonly string[]>>) {
  const form = await admin.get("/konten/neu");
  return admin.post("/konten", { vorgang: hidden(form, "vorgang"), ...fields });
}

const slip = (text: string, id: string) => new RegExp(`id="${id}">([^<]+)<`).exec(text)?.[1] ?? "";

describe("creating accounts", () => {
  test("R13 a name and a valid mail address are required, and the missing one is named", async () => {
    const whole = { vorname: "Eva", nachname: "Ernst", email: "eva@schule.example" };
    for (const [missing, field] of [
      [{ vorname: " ", nachname: "  " }, "nachname"],
      [{ email: "" }, "email"],
    ] as const) {
      const answer = await anlegen({ ...whole, ...missing });
      expect(answer.status).toBe(422);
      expect(answer.text).toContain(`href="#feld-${field}"`);
      expect(answer.text).toContain(`id="fehler-${field}"`);
    }
    for (const email of ["eva", "eva@", "@schule.example", "eva@schule", "a b@schule.example"]) {
      const answer = await anlegen({ ...whole, email });
      expect(answer.status).toBe(422);
      expect(answer.text).toContain('id="fehler-email"');
    }
    expect((await anlegen(whole)).status).toBe(201);
  });

  test("R14 two „Jürgen Groß“ become juergen.gross and juergen.gross2; a user name that was sent is ignored", async () => {
    const person = {
      vorname: "Jürgen",
      nachname: "Groß",
      email: "j@schule.example",
      benutzername: "chef",
      id: adminKonto.id,
    };
    const first = await anlegen(person);
    const second = await anlegen(person);
    expect(slip(first.text, "benutzername")).toBe("juergen.gross");
    expect(slip(second.text, "benutzername")).toBe("juergen.gross2");
    expect(await school.database.query("SELECT FROM konto WHERE benutzername = 'chef'")).toEqual([]);
  });

  test("R14 twelve of one name at the same moment get twelve names", async () => {
    const form = await admin.get("/konten/neu");
    expect(form.status).toBe(200);
    const person = { vorname: "Max", nachname: "Müller", email: "max@schule.example" };
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => admin.post("/konten", { ...person, vorgang: crypto.randomUUID() })),
    );
    expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 201));
    expect(new Set(answers.map((answer) => slip(answer.text, "benutzername"))).size).toBe(12);
  });

  test("the same form sent twice makes one account", async () => {
    const form = await admin.get("/konten/neu");
    const fields = { vorgang: hidden(form, "vorgang"), vorname: "Nur", nachname: "Einmal", email: "n@schule.example" };
    expect((await admin.post("/konten", fields)).status).toBe(201);
    expect((await admin.post("/konten", fields)).location).toContain("erledigt=konto-vorhanden");
    expect(await school.database.query("SELECT FROM konto WHERE nachname = 'Einmal'")).toHaveLength(1);
  });

  test("the one-time password works once: an own one is to be chosen before anything else", async () => {
    const answer = await anlegen({
      vorname: "Ida",
      nachname: "Igel",
      email: "ida@schule.example",
      rolle: ["schueler"],
    });
    const benutzername = slip(answer.text, "benutzername");
    const einmal = slip(answer.text, "einmalpasswort");
    const ida = school.besucher();
    expect((await ida.meldeAn(benutzername, einmal)).location).toBe("/passwort");
    for (const path of ["/", "/nachrichten", "/profil", "/dateien"]) {
      expect((await ida.get(path)).location).toBe("/passwort");
    }
    expect((await ida.post("/nachrichten", { betreff: "x", inhalt: "y" })).location).toBe("/passwort");
    const page = await ida.get("/passwort");
    expect(page.text).not.toContain('aria-label="Hauptnavigation"');
    const neu = "Sieben Igel im Garten";
    for (const [fields, field] of [
      [{ bisher: einmal, neu: "kurz", wiederholt: "kurz" }, "neu"],
      [{ bisher: einmal, neu: `${benutzername}-2026`, wiederholt: `${benutzername}-2026` }, "neu"],
      [{ bisher: einmal, neu, wiederholt: `${neu}x` }, "wiederholt"],
      [{ bisher: "falsch", neu, wiederholt: neu }, "bisher"],
    ] as const) {
      const refused = await ida.post("/passwort", fields);
      expect(refused.status).toBe(422);
      expect(refused.text).toContain(`id="fehler-${field}"`);
    }
    const old = new Map(ida.cookies);
    expect((await ida.post("/passwort", { bisher: einmal, neu, wiederholt: neu })).location).toBe(
      "/?erledigt=passwort",
    );
    expect([...ida.cookies.values()]).not.toEqual([...old.values()]);
    expect((await ida.get("/")).status).toBe(200);
    expect((await school.besucher().meldeAn(benutzername, einmal)).status).toBe(422);
    expect((await school.besucher().meldeAn(benutzername, neu)).location).toBe("/");
  });

  test("a one-time password expires after thirty days", async () => {
    const answer = await anlegen({ vorname: "Spät", nachname: "Dran", email: "s@schule.example" });
    const rows = await school.database.query<{ tage: number }>(
      `SELECT round(extract(epoch FROM einmalig_bis - geaendert_am) / 86400)::int AS tage FROM zugang z
         JOIN konto k ON k.id = z.konto_id WHERE k.nachname = 'Dran'`,
    );
    expect(rows).toEqual([{ tage: 30 }]);
    await school.database.query(
      "UPDATE zugang SET einmalig_bis = now() - interval '1 day' WHERE konto_id = (SELECT id FROM konto WHERE nachname = 'Dran')",
    );
    const late = await school
      .besucher()
      .meldeAn(slip(answer.text, "benutzername"), slip(answer.text, "einmalpasswort"));
    expect(late.status).toBe(422);
    expect(late.text).toContain("abgelaufen");
  });
});

describe("changing accounts", () => {
  test("R35 locking ends running sessions with the next request; unlocking lets in again", async () => {
    const pupil = await school.konto("Lukas", "Locker", "schueler");
    const browser = await school.angemeldet(pupil);
    await admin.get(`/konten/${pupil.id}`);
    expect((await admin.post(`/konten/${pupil.id}/sperren`, {})).status).toBe(303);
    expect((await browser.get("/")).location).toBe("/anmelden");
    const refused = await school.besucher().meldeAn(pupil.benutzername, pupil.passwort);
    expect(refused.status).toBe(422);
    expect(refused.text).toContain("gesperrt");
    await admin.post(`/konten/${pupil.id}/entsperren`, {});
    expect((await browser.get("/")).location).toBe("/anmelden");
    expect((await school.besucher().meldeAn(pupil.benutzername, pupil.passwort)).status).toBe(303);
  });

  test("R35 a lock set behind the app's back counts with the next request, too", async () => {
    const pupil = await school.konto("Direkt", "Gesperrt", "schueler");
    const browser = await school.angemeldet(pupil);
    await school.database.query("UPDATE konto SET gesperrt_am = now() WHERE id = $1", [pupil.id]);
    expect((await browser.get("/")).status).toBe(303);
  });

  test("a changed role takes effect with the next request; nobody changes their own", async () => {
    const wechsler = await school.konto("Willi", "Wechsel", "schueler");
    const browser = await school.angemeldet(wechsler);
    expect((await browser.get("/konten")).status).toBe(403);
    const page = `/konten/${wechsler.id}`;
    const unknown = await admin.fuelle(page, { rolle: ["administrator", "gibt-es-nicht"] });
    expect(unknown.status).toBe(422);
    expect((await browser.get("/konten")).status).toBe(403);
    expect((await admin.fuelle(page, { rolle: ["administrator"] })).status).toBe(303);
    expect((await browser.get("/konten")).status).toBe(200);
    // One's own account has no roles to tick, and whoever sends some changes none.
    await browser.fuelle(page, { rolle: ["schulleitung"] });
    const own = await school.database.query("SELECT rolle_id FROM konto_rolle WHERE konto_id = $1", [wechsler.id]);
    expect(own).toEqual([{ rolle_id: "administrator" }]);
    expect((await browser.post(`/konten/${wechsler.id}/sperren`, {})).status).toBe(404);
    expect((await admin.fuelle(page, { rolle: [] })).status).toBe(303);
    expect((await browser.get("/konten")).status).toBe(403);
    const rows = await school.database.query("SELECT FROM journal.eintrag WHERE objekt = $1 AND ressource = 'Rolle'", [
      wechsler.id,
    ]);
    expect(rows).toHaveLength(2);
  });

  test("a new one-time password ends sessions and replaces the old password", async () => {
    const pupil = await school.konto("Vera", "Vergessen", "schueler");
    const browser = await school.angemeldet(pupil);
    await admin.get(`/konten/${pupil.id}`);
    const answer = await admin.post(`/konten/${pupil.id}/einmalpasswort`, {});
    expect((await browser.get("/")).status).toBe(303);
    expect((await school.besucher().meldeAn(pupil.benutzername, pupil.passwort)).status).toBe(422);
    expect((await school.besucher().meldeAn(pupil.benutzername, slip(answer.text, "einmalpasswort"))).location).toBe(
      "/passwort",
    );
  });

  test("editing keeps the user name; wrong values are named", async () => {
    const person = await school.konto("Alt", "Name", "lehrer");
    const page = `/konten/${person.id}`;
    const bad = await admin.fuelle(page, { vorname: "", nachname: "", email: "x" });
    const nameless = await admin.fuelle(page, { vorname: "", nachname: "", email: "neu@schule.example" });
    expect(bad.status).toBe(422);
    expect(bad.text).toContain('id="fehler-email"');
    expect(nameless.text).toContain('id="fehler-nachname"');
    const good = await admin.fuelle(page, { vorname: "Neu", nachname: "Name", email: "neu@schule.example" });
    expect(good.status).toBe(303);
    const rows = await school.database.query("SELECT vorname, benutzername FROM konto WHERE id = $1", [person.id]);
    expect(rows).toEqual([{ vorname: "Neu", benutzername: person.benutzername }]);
  });

  test("the list is paged and searched, umlauts spelled either way", async () => {
    for (const text of ["groß", "GROSS", "juergen gr", "gross juergen"]) {
      const found = await admin.get(`/konten?suche=${encodeURIComponent(text)}`);
      expect(found.text).toContain("juergen.gross2");
      expect(found.text).not.toContain("tim.thaler");
    }
    expect((await admin.get("/konten?suche=%25")).text).toContain("Nichts gefunden");
    const first = await admin.get("/konten");
    expect(first.text).toMatch(/Seite 1 von \d/);
    expect((await admin.get("/konten?seite=999")).status).toBe(200);
    expect((await admin.get("/konten?seite=-1e9")).status).toBe(200);
  });
});

describe("profile", () => {
  test("R50 whoever is not signed in is sent to the login", async () => {
    expect((await school.besucher().get("/profil")).location).toBe("/anmelden?weiter=%2Fprofil");
  });

  test("R16 R51 phone and address are optional, and the page says so", async () => {
    const browser = await school.angemeldet(lehrer);
    const page = await browser.get("/profil");
    expect(page.text.match(/\(freiwillig\)/g)).toHaveLength(3);
    expect(page.text).toContain("Geben Sie nur an, was wirklich gebraucht wird");
    const saved = await browser.fuelle("/profil", { email: "k@schule.example", passwort: lehrer.passwort });
    expect(saved.status).toBe(303);
  });

  test("another mail address needs the password: nobody at an unlocked computer has the account's codes sent to themselves", async () => {
    const konto = await school.konto("Emil", "Anders", "lehrer");
    const browser = await school.angemeldet(konto);
    const mail = async () =>
      (await school.database.query<{ email: string }>("SELECT email FROM konto WHERE id = $1", [konto.id]))[0]?.email;
    const before = await mail();
    const without = await browser.fuelle("/profil", { email: "dieb@schule.example", telefon: "0561 1" });
    expect(without.status).toBe(422);
    expect(without.text).toContain("Bitte geben Sie dafür Ihr Passwort ein.");
    // What was typed is still there.
    expect(without.text).toContain("dieb@schule.example");
    const wrong = await browser.fuelle("/profil", { email: "dieb@schule.example", passwort: "falsch geraten!" });
    expect(wrong.text).toContain("Das Passwort ist nicht richtig.");
    expect(await mail()).toBe(before);
    // All else does not.
    expect((await browser.fuelle("/profil", { telefon: "0561 2" })).status).toBe(303);
    expect((await browser.fuelle("/profil", { email: "neu@schule.example", passwort: konto.passwort })).status).toBe(
      303,
    );
    expect(await mail()).toBe("neu@schule.example");
  });

  test("R3 R16 contact data are stored encrypted, bound to their row, and come back", async () => {
    const browser = await school.angemeldet(schueler);
    await browser.get("/profil");
    const kontakt = { telefon: "0561 4711-0815", mobil: "+49 170 5550123", anschrift: "Geheimweg 7\n34117 Kassel" };
    expect((await browser.fuelle("/profil", kontakt)).status).toBe(303);
    const page = await browser.get("/profil");
    expect(page.text).toContain("0561 4711-0815");
    expect(page.text).toContain("Geheimweg 7");
    const dump = JSON.stringify(await school.database.query("SELECT t::text FROM kontaktdaten t"));
    for (const clear of ["0561", "5550123", "Geheimweg"]) {
      expect(dump).not.toContain(clear);
      expect(dump).not.toContain(Buffer.from(clear).toString("hex"));
    }
    expect((await leitung.get(`/konten/${schueler.id}`)).text).toContain("Geheimweg 7");
    // A value that somebody moves to another row does not open there.
    const browser2 = await school.angemeldet(lehrer);
    await browser2.fuelle("/profil", { telefon: "1" });
    await school.database.query(
      "UPDATE kontaktdaten SET telefon_verschlossen = (SELECT telefon_verschlossen FROM kontaktdaten WHERE konto_id = $1) WHERE konto_id = $2",
      [schueler.id, lehrer.id],
    );
    const stolen = await browser2.get("/profil");
    expect(stolen.text).toContain("Nicht lesbar");
    expect(stolen.text).not.toContain("0561");
    await school.database.query("DELETE FROM kontaktdaten WHERE konto_id = $1", [lehrer.id]);
  });
});

describe("accounts for a whole class", () => {
  test("R14 R35 are made although one of them is marked for deletion, who gets none and is named", async () => {
    const [jahr, klasse] = [crypto.randomUUID(), crypto.randomUUID()];
    const bleibt = await school.konto("Bodo", "Bleibt", "schueler");
    const geht = await school.konto("Gesa", "Geht", "schueler");
    const ohne = crypto.randomUUID();
    await school.database.query(
      "INSERT INTO person (id, nachname, vorname, angelegt_am) VALUES ($1, 'Ohne', 'Olaf', now())",
      [ohne],
    );
    await school.database.query("INSERT INTO schuljahr VALUES ($1, 'Dieses', heute() - 100, heute() + 100, heute())", [
      jahr,
    ]);
    await school.database.query("INSERT INTO klasse (id, schuljahr_id, name) VALUES ($1, $2, '5z')", [klasse, jahr]);
    await school.database.query(
      `INSERT INTO klassenmitglied (id, klasse_id, person_id, gueltig)
       SELECT gen_random_uuid(), $1, x, daterange(heute() - 1, heute() + 90) FROM unnest($2::uuid[]) AS x`,
      [klasse, [bleibt.id, geht.id, ohne]],
    );
    await admin.fuelle(`/konten/${geht.id}/loeschen`, { inhalte: "weg", bestaetigung: geht.benutzername });
    for (const gruppe of [`klasse:${klasse}`, "klassen"]) {
      const { text } = await admin.get(`/konten/gruppe?gruppe=${gruppe}`);
      expect(text).toContain(gruppe === "klassen" ? "0 von 2 haben noch kein Konto" : "1 von 2 haben noch kein Konto");
      expect(text).toContain("Zur Löschung vorgemerkt und darum ohne Zettel: Gesa Geht.");
      const zettel = await admin.post("/konten/gruppe", { gruppe, neue: "ja", vorgang: crypto.randomUUID() });
      expect(zettel.status).toBe(201);
      expect(zettel.text).toContain("olaf.ohne");
      expect(zettel.text).not.toContain("Gesa Geht");
    }
    await school.database.query("DELETE FROM klassenmitglied WHERE person_id = ANY ($1)", [[bleibt.id, ohne]]);
    const { text } = await admin.get(`/konten/gruppe?gruppe=klasse:${klasse}`);
    expect(text).toContain("ohne Zettel: Gesa Geht.");
    expect(text).not.toContain("gehört niemand zu dieser Gruppe");
  });
});

describe("rights", () => {
  /** Routes × roles; `own` stands for another account's id. */
  const cells: readonly (readonly [string, string, Readonly<Record<string, number>>])[] = [
    ["GET", "/konten", { schulleitung: 200, lehrer: 403, schueler: 403, administrator: 200 }],
    ["GET", "/konten/neu", { schulleitung: 403, lehrer: 403, schueler: 403, administrator: 200 }],
    ["POST", "/konten", { schulleitung: 403, lehrer: 403, schueler: 403, administrator: 422 }],
    ["GET", "/konten/:id", { schulleitung: 200, lehrer: 403, schueler: 403, administrator: 200 }],
    ["POST", "/konten/:id", { schulleitung: 403, lehrer: 403, schueler: 403, administrator: 422 }],
    ["POST", "/konten/:id/sperren", { schulleitung: 403, lehrer: 403, schueler: 403, administrator: 303 }],
    ["POST", "/konten/:id/entsperren", { schulleitung: 403, lehrer: 403, schueler: 403, administrator: 303 }],
    ["POST", "/konten/:id/einmalpasswort", { schulleitung: 403, lehrer: 403, schueler: 403, administrator: 200 }],
    ["GET", "/rollen", { schulleitung: 200, lehrer: 403, schueler: 403, administrator: 200 }],
    ["POST", "/rollen", { schulleitung: 403, lehrer: 403, schueler: 403, administrator: 422 }],
    ["GET", "/rollen/lehrer", { schulleitung: 403, lehrer: 403, schueler: 403, administrator: 200 }],
    ["POST", "/rollen/lehrer", { schulleitung: 403, lehrer: 403, schueler: 403, administrator: 422 }],
    ["POST", "/rollen/eltern/loeschen", { schulleitung: 403, lehrer: 403, schueler: 403, administrator: 422 }],
    ["GET", "/profil", { schulleitung: 200, lehrer: 200, schueler: 200, administrator: 200 }],
    ["POST", "/profil", { schulleitung: 403, lehrer: 422, schueler: 422, administrator: 422 }],
    ["GET", "/nachrichten", { schulleitung: 200, lehrer: 200, schueler: 200, administrator: 200 }],
    ["GET", "/nachrichten/neu", { schulleitung: 200, lehrer: 200, schueler: 200, administrator: 200 }],
    ["GET", "/dateien", { schulleitung: 200, lehrer: 200, schueler: 200, administrator: 200 }],
  ];

  test.each(["schulleitung", "lehrer", "schueler", "administrator"])(
    "R5 what the role %s may and may not, route by route",
    async (rolle) => {
      const target = await school.konto("Ziel", rolle, "schueler");
      const browser = await school.angemeldet(await school.konto("Probe", rolle, rolle));
      for (const [method, path, expected] of cells) {
        const real = path.replace(":id", target.id);
        const answer = method === "GET" ? await browser.get(real) : await browser.post(real, {});
        expect(answer.status, `${rolle} ${method} ${path}`).toBe(expected[rolle]);
      }
    },
  );

  test("R39 an account without a role, with only a role out of use, or with two rules for one thing may nothing", async () => {
    const browser = await school.angemeldet(await school.konto("Ohne", "Rolle"));
    const parent = await school.angemeldet(await school.konto("Eltern", "Teil", "eltern"));
    for (const path of ["/konten", "/nachrichten", "/dateien", "/rollen"]) {
      expect((await browser.get(path)).status).toBe(403);
      expect((await parent.get(path)).status).toBe(403);
    }
    expect((await browser.get("/")).status).toBe(200);
    await expect(
      school.database.query("INSERT INTO recht VALUES ('lehrer', 'Konto', 'lesen', 'schule')"),
    ).rejects.toThrow("recht_pkey");
  });
});
