import { beforeAll, describe, expect, test } from "vitest";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { type Besucher, werteIn } from "../fixtures/school-visitor.ts";

/** What the first schools stumbled over. */

let school: TestSchool;
let anna: TestKonto;
let bert: TestKonto;
let admin: Besucher;
let lehrerin: Besucher;
beforeAll(async () => {
  school = await startSchool();
  admin = await school.angemeldet(await school.konto("Ada", "Min", "administrator"));
  anna = await school.konto("Anna", "Arendt", "lehrer");
  bert = await school.konto("Bert", "Brecht", "schueler");
  lehrerin = await school.angemeldet(anna);
});

const slip = (text: string, id: string) => new RegExp(`id="${id}">([^<]+)<`).exec(text)?.[1] ?? "";
const neu = () => ({ vorgang: crypto.randomUUID(), betreff: "Ausflug", inhalt: "Bitte Regenjacken mitbringen." });
const gesendet = async () => (await school.database.query("SELECT FROM nachricht")).length;

/** Accounts without a password: only to be written to. */
async function viele(nachname: string, anzahl: number): Promise<string[]> {
  const rows = await school.database.query<{ id: string }>(
    `INSERT INTO konto (id, benutzername, vorname, nachname, email, suchname, angelegt_am)
     SELECT gen_random_uuid(), lower($1) || '.' || n, 'Nr ' || n, $1, 'x@schule.example', lower($1) || ' nr ' || n, now()
       FROM generate_series(1, $2) AS n RETURNING id`,
    [nachname, anzahl],
  );
  return rows.map(({ id }) => id);
}

describe("a message reaches all it is for, or nobody", () => {
  test("more recipients than possible are refused with the number, and nothing is sent", async () => {
    const an = await viele("Zuviel", 501);
    const before = await gesendet();
    const answer = await lehrerin.fuelle("/nachrichten/neu", { ...neu(), an, schritt: "senden" }, "/nachrichten");
    expect(answer.status).toBe(422);
    expect(answer.text).toContain("Sie haben 501 Personen gewählt, höchstens 500");
    expect(answer.text).toContain("Bitte Regenjacken mitbringen.");
    expect(await gesendet()).toBe(before);
  });

  test("one who was locked meanwhile is named, and nothing is sent", async () => {
    const gone = await school.konto("Greta", "Gesperrt", "lehrer");
    await school.database.query("UPDATE konto SET gesperrt_am = now() WHERE id = $1", [gone.id]);
    const before = await gesendet();
    const fields = { ...neu(), an: [bert.id, gone.id], schritt: "senden" };
    const answer = await lehrerin.fuelle("/nachrichten/neu", fields, "/nachrichten");
    expect(answer.status).toBe(422);
    expect(answer.text).toContain("Greta Gesperrt kann nicht angeschrieben werden");
    expect(answer.text).toContain(`value="${bert.id}" checked`);
    expect(await gesendet()).toBe(before);
  });

  test("nobody is named whom the sender could not find: a pupil learns no other pupil's name", async () => {
    const other = await school.konto("Geheime", "Mitschülerin", "schueler");
    const pupil = await school.angemeldet(bert);
    const answer = await pupil.fuelle(
      "/nachrichten/neu",
      { ...neu(), an: [anna.id, other.id], schritt: "senden" },
      "/nachrichten",
    );
    expect(answer.status).toBe(422);
    expect(answer.text).toContain("Eine der gewählten Personen kann nicht angeschrieben werden");
    expect(answer.text).not.toContain("Mitschülerin");
  });

  test("more files than possible, or one that is gone, are refused, and nothing is sent", async () => {
    await lehrerin.get("/dateien");
    for (let number = 0; number < 21; number += 1) await lehrerin.upload(`Blatt ${number}.txt`, Buffer.from("x"));
    const rows = await school.database.query<{ id: string }>("SELECT id FROM datei WHERE besitzer_id = $1", [anna.id]);
    const datei = rows.map(({ id }) => id);
    const before = await gesendet();
    const send = (chosen: string[]) =>
      lehrerin.fuelle(
        "/nachrichten/neu",
        { ...neu(), an: [bert.id], datei: chosen, schritt: "senden" },
        "/nachrichten",
      );
    const many = await send(datei);
    expect(many.status).toBe(422);
    expect(many.text).toContain("Sie haben 21 Dateien gewählt, höchstens 20");
    const gone = await send([...datei.slice(0, 2), crypto.randomUUID()]);
    expect(gone.text).toContain("gibt es nicht mehr");
    expect(await gesendet()).toBe(before);
    expect((await send(datei.slice(0, 20))).status).toBe(303);
  });

  test("sharing a file likewise: whoever cannot be found any more is named, and nothing changes", async () => {
    const [datei] = await school.database.query<{ id: string }>("SELECT id FROM datei WHERE besitzer_id = $1", [
      anna.id,
    ]);
    const gone = await school.konto("Gerd", "Gegangen", "lehrer");
    await school.database.query("UPDATE konto SET gesperrt_am = now() WHERE id = $1", [gone.id]);
    const page = `/dateien/${datei?.id}`;
    const answer = await lehrerin.fuelle(page, { an: [bert.id, gone.id], schritt: "speichern" }, `${page}/freigaben`);
    expect(answer.status).toBe(422);
    expect(answer.text).toContain("Gerd Gegangen");
    expect(await school.database.query("SELECT FROM datei_freigabe")).toEqual([]);
  });
});

describe("choosing people", () => {
  test("the picker says how many more there are than it shows, and finds by one letter or sign", async () => {
    await viele("Xanthippe", 84);
    const step = (suche: string) =>
      lehrerin.fuelle("/nachrichten/neu", { ...neu(), suche, schritt: "suchen" }, "/nachrichten");
    const many = await step("xanthippe");
    expect(many.text.match(/name="an"/g)).toHaveLength(20);
    expect(many.text).toContain("64 weitere Personen passen");
    await school.database.query(
      "UPDATE konto SET nachname = '王', suchname = '王 li' WHERE suchname = 'xanthippe nr 7'",
    );
    expect((await step("王")).text).toContain("王");
  });

  test("the Enter key looks for people only if what to look for has changed, and else sends", async () => {
    const fields = { ...neu(), an: [bert.id], suche: "arendt", schritt: "eingabe" };
    const searched = await lehrerin.fuelle("/nachrichten/neu", fields, "/nachrichten");
    expect(searched.status).toBe(200);
    expect(searched.text).toContain('name="gesucht" value="arendt"');
    const sent = await lehrerin.post("/nachrichten", { ...fields, gesucht: "arendt" });
    expect(sent.location).toBe("/nachrichten/gesendet?erledigt=gesendet");
    const { text } = await lehrerin.get("/nachrichten/neu");
    const form = text.slice(text.indexOf('action="/nachrichten"'));
    expect(/<button[^>]*value="([a-z]+)"/.exec(form)?.[1]).toBe("eingabe");
  });
});

describe("readers of a file are always told truly", () => {
  test("a file that was sent with a message says to whom; deleted, the message says that it was there", async () => {
    await lehrerin.get("/dateien");
    await lehrerin.upload("Anhang.txt", Buffer.from("Inhalt"));
    const [datei] = await school.database.query<{ id: string }>(
      "SELECT id FROM datei ORDER BY hochgeladen_am DESC LIMIT 1",
    );
    const id = datei?.id ?? "";
    expect((await lehrerin.get(`/dateien/${id}`)).text).toContain("Noch kann niemand außer Ihnen");
    const fields = { ...neu(), an: [bert.id], datei: [id], schritt: "senden" };
    await lehrerin.fuelle("/nachrichten/neu", fields, "/nachrichten");
    const own = await lehrerin.get(`/dateien/${id}`);
    expect(own.text).not.toContain("Noch kann niemand außer Ihnen");
    expect(own.text).toContain("geschickt an: Bert Brecht");
    await lehrerin.post(`/dateien/${id}/loeschen`, {});
    const pupil = await school.angemeldet(bert);
    expect((await pupil.get(`/nachrichten/${fields.vorgang}`)).text).toContain(
      "Eine angehängte Datei wurde vom Absender gelöscht.",
    );
  });

  test("names of files stay as they were given: quotation marks, joined emoji; device names get a mark", async () => {
    await lehrerin.get("/dateien");
    for (const name of ["Aufgabe %22Wald%22 👩‍👩‍👧.txt", "NUL.txt"]) await lehrerin.upload(name, Buffer.from("x"));
    const { text } = await lehrerin.get("/dateien");
    expect(text).toContain("Aufgabe &quot;Wald&quot; 👩‍👩‍👧.txt");
    expect(text).toContain("_NUL.txt");
  });
});

describe("signing in", () => {
  const anlegen = async (vorname: string, nachname: string) => {
    const answer = await admin.fuelle(
      "/konten/neu",
      { vorname, nachname, email: "x@schule.example", rolle: ["schueler"] },
      "/konten",
    );
    return { benutzername: slip(answer.text, "benutzername"), einmal: slip(answer.text, "einmalpasswort") };
  };

  test("a one-time password counts however it is typed from paper, the user name too", async () => {
    const { benutzername, einmal } = await anlegen("Petra", "Müller");
    expect(benutzername).toBe("petra.mueller");
    const spellings: readonly (readonly [string, string])[] = [
      ["petra.müller", einmal],
      ["Petra.Mueller", einmal.toUpperCase()],
      [" petra.mueller ", einmal.replaceAll("-", " ")],
      ["petra.mueller", einmal.replaceAll("-", "–")],
    ];
    for (const [name, password] of spellings) {
      expect((await school.besucher().meldeAn(name, password)).location, `${name} ${password}`).toBe("/passwort");
    }
    expect((await school.besucher().meldeAn("petra.mueller", `${einmal}x`)).status).toBe(422);
  });

  test("a one-time password of an earlier version still counts, in capitals and with blanks as well", async () => {
    const { hashPassword } = await import("../../tenant-app/ground/crypto/passwords.ts");
    const { benutzername } = await anlegen("Frieda", "Früher");
    await school.database.query(
      "UPDATE zugang SET passwort = $2 WHERE konto_id = (SELECT id FROM konto WHERE benutzername = $1)",
      [benutzername, await hashPassword("ab2c-defg-hj2k")],
    );
    for (const typed of ["ab2c-defg-hj2k", "AB2C DEFG HJ2K"])
      expect((await school.besucher().meldeAn(benutzername, typed)).location).toBe("/passwort");
  });

  test("reloading the page with a new one-time password makes no other, and the printed slip stays good", async () => {
    const konto = await school.konto("Nele", "Neu", "schueler");
    const page = `/konten/${konto.id}`;
    const { text } = await admin.get(page);
    const form = werteIn(text, `${page}/einmalpasswort`);
    const shown = await admin.post(`${page}/einmalpasswort`, form);
    const einmal = slip(shown.text, "einmalpasswort");
    const reloaded = await admin.post(`${page}/einmalpasswort`, form);
    expect(reloaded.location).toBe(`${page}?erledigt=einmalpasswort-vorhanden`);
    expect((await school.besucher().meldeAn(konto.benutzername, einmal)).location).toBe("/passwort");
    expect(slip((await admin.fuelle(page, {}, `${page}/einmalpasswort`)).text, "einmalpasswort")).not.toBe(einmal);
  });

  test("a tab of before takes nobody's password away: not a later one-time password, nor the one that its owner chose", async () => {
    const konto = await school.konto("Nora", "Neuer", "schueler");
    const page = `/konten/${konto.id}`;
    const old = werteIn((await admin.get(page)).text, `${page}/einmalpasswort`);
    await admin.post(`${page}/einmalpasswort`, old);
    const second = slip((await admin.fuelle(page, {}, `${page}/einmalpasswort`)).text, "einmalpasswort");
    const again = () => admin.post(`${page}/einmalpasswort`, old);
    expect((await again()).location).toBe(`${page}?erledigt=einmalpasswort-vorhanden`);
    const nora = school.besucher();
    expect((await nora.meldeAn(konto.benutzername, second)).location).toBe("/passwort");
    const neu = "Vier Wale im Watt";
    await nora.get("/passwort");
    expect((await nora.post("/passwort", { bisher: second, neu, wiederholt: neu })).status).toBe(303);
    expect((await again()).location).toBe(`${page}?erledigt=einmalpasswort-vorhanden`);
    expect((await school.besucher().meldeAn(konto.benutzername, neu)).location).toBe("/");
  });

  test("two open login tabs: the second tells that somebody is signed in and leads on, and a page that was open too long asks once more", async () => {
    const browser = school.besucher();
    await browser.get("/anmelden");
    const { sicherheit } = browser;
    await browser.meldeAn(bert.benutzername, bert.passwort);
    const second = await browser.post("/anmelden", {
      benutzername: "x",
      passwort: "y",
      weiter: "/dateien",
      sicherheit,
    });
    expect(second.status).toBe(409);
    expect(second.text).toContain("Schon angemeldet");
    expect(second.text).toContain('href="/dateien"');
    expect((await browser.get("/dateien")).status).toBe(200);
    const late = school.besucher();
    await late.get("/anmelden");
    const answer = await late.post("/anmelden", { benutzername: bert.benutzername, passwort: "x", sicherheit: "alt" });
    expect(answer.status).toBe(422);
    expect(answer.text).toContain("zu lange offen");
    expect(answer.text).toContain(`value="${bert.benutzername}"`);
  });

  test("signing out twice leads to the login, and no error", async () => {
    const browser = await school.angemeldet(bert);
    const { sicherheit } = browser;
    expect((await browser.post("/abmelden", {})).status).toBe(303);
    const again = await browser.post("/abmelden", { sicherheit });
    expect(again.location).toBe("/anmelden");
  });
});

describe("a form whose session is over", () => {
  // Its clock is moved.
  let school: TestSchool;
  let anna: TestKonto;
  let bert: TestKonto;
  beforeAll(async () => {
    school = await startSchool();
    anna = await school.konto("Anna", "Arendt", "lehrer");
    bert = await school.konto("Bert", "Brecht", "schueler");
  });

  test("comes back with its text after the new login, and does nothing until it is sent again", async () => {
    const browser = await school.angemeldet(anna);
    const fields = { ...neu(), an: [bert.id], inhalt: "Lange getippt & <noch> da.", schritt: "senden" };
    const form = { ...werteIn((await browser.get("/nachrichten/neu")).text, "/nachrichten"), ...fields };
    school.travel(3 * 60 * 60 * 1000);
    const over = await browser.post("/nachrichten", form);
    expect(over.status).toBe(403);
    expect(over.text).toContain("dann sind Ihre Eingaben wieder da");
    expect(over.text).not.toContain("Lange getippt");
    const login = { ...werteIn(over.text, "/anmelden"), benutzername: anna.benutzername, passwort: anna.passwort };
    const back = await browser.post("/anmelden", login);
    expect(back.status).toBe(200);
    expect(back.text).toContain("Lange getippt &amp; &lt;noch&gt; da.");
    expect(await school.database.query("SELECT FROM nachricht WHERE id = $1", [fields.vorgang])).toEqual([]);
    const sent = await browser.post("/nachrichten", werteIn(back.text, "/nachrichten"));
    expect(sent.location).toBe("/nachrichten/gesendet?erledigt=gesendet");
    const pupil = await school.angemeldet(bert);
    expect((await pupil.get(`/nachrichten/${fields.vorgang}`)).text).toContain("Lange getippt");
  });

  test("survives a wrong password on the way, is no one's who makes one up, and ends after half a day", async () => {
    const browser = school.besucher();
    await browser.get("/anmelden");
    const over = await browser.post("/nachrichten", { betreff: "x", inhalt: "Text von vorhin", an: bert.id });
    const login = werteIn(over.text, "/anmelden");
    const wrong = await browser.post("/anmelden", { ...login, benutzername: anna.benutzername, passwort: "falsch" });
    const shown = werteIn(wrong.text, "/anmelden");
    expect(shown.entwurf).toBe(login.entwurf);
    const again = { ...shown, benutzername: anna.benutzername, passwort: anna.passwort };
    const invented = await school.besucher();
    await invented.get("/anmelden");
    const made = await invented.post("/anmelden", {
      benutzername: anna.benutzername,
      passwort: anna.passwort,
      entwurf: "AAAA",
    });
    expect(made.location).toBe("/");
    school.travel(13 * 60 * 60 * 1000);
    expect((await browser.post("/anmelden", again)).location).toBe("/");
  });
});

describe("pages that refuse", () => {
  test("look signed in for whoever is: their name, their navigation, their way out", async () => {
    for (const path of ["/konten", `/nachrichten/${crypto.randomUUID()}`]) {
      const answer = await lehrerin.get(path);
      expect([403, 404]).toContain(answer.status);
      expect(answer.text).toContain("Anna Arendt");
      expect(answer.text).toContain('aria-label="Hauptnavigation"');
      expect(answer.text).toContain("Abmelden");
    }
    expect((await school.besucher().get("/gibt-es-nicht")).text).not.toContain("Abmelden");
  });

  test("an account without roles opens its profile, and nothing of contact data", async () => {
    const browser = await school.angemeldet(await school.konto("Ohne", "Rolle"));
    const answer = await browser.get("/profil");
    expect(answer.status).toBe(200);
    expect(answer.text).toContain("ohne.rolle");
    expect(answer.text).not.toContain('name="telefon"');
  });
});
