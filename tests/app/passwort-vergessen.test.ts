import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type MailRelay, mailRelay } from "../fixtures/mail-relay.ts";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { until } from "../fixtures/until.ts";

/** A forgotten password, in a school whose operator configured a mail relay. */

let relay: MailRelay;
let school: TestSchool;
beforeAll(async () => {
  relay = await mailRelay();
  school = await startSchool({
    environment: {
      CLASSMIND_MAIL_RELAY: `smtps://${relay.user}@localhost:${relay.port}`,
      CLASSMIND_MAIL_FROM: "schule@classmind.example",
    },
    secrets: [
      ["mail-relay", "password", relay.password],
      ["mail-relay", "authority.pem", relay.authority],
    ],
  });
});
afterAll(() => relay.close());

const minute = 60_000;
const mailOf = async ({ id }: TestKonto) =>
  (await school.database.query<{ email: string }>("SELECT email FROM konto WHERE id = $1", [id]))[0]?.email ?? "";

async function ask(wer: string) {
  const browser = school.besucher();
  await browser.get("/passwort-vergessen");
  return browser.post("/passwort-vergessen", { wer });
}

/** The code in the newest mail to somebody, of which there are so many. */
async function codeFor(konto: TestKonto, mails = 1): Promise<string> {
  const email = await mailOf(konto);
  const mine = await until(`${mails} mails to ${email}`, async () => {
    const found = relay.received.filter(({ to }) => to.includes(email));
    return found.length >= mails ? found : undefined;
  });
  expect(mine).toHaveLength(mails);
  return /[a-z2-9]{5}-[a-z2-9]{5}-[a-z2-9]{5}/.exec(mine.at(-1)?.text ?? "")?.[0] ?? "";
}

async function choose(benutzername: string, code: string, neu: string) {
  const browser = school.besucher();
  await browser.get("/passwort-code");
  return browser.post("/passwort-code", { benutzername, code, neu, wiederholt: neu });
}
const satz = "Vier Wale im Watt!";

describe("a forgotten password", () => {
  test("is replaced with a code that comes by mail; the old one is good until then, and all sessions end", async () => {
    const anna = await school.konto("Anna", "Arendt", "lehrer");
    const elsewhere = await school.angemeldet(anna);
    const asked = await ask(anna.benutzername);
    expect(asked.text).toContain("Bitte sehen Sie in Ihr Postfach");
    const code = await codeFor(anna);
    // Asking alone takes nothing from anybody.
    expect((await elsewhere.get("/profil")).status).toBe(200);
    await school.angemeldet(anna);
    const done = await choose(anna.benutzername.toUpperCase(), code.toUpperCase().replaceAll("-", " "), satz);
    expect(done.location).toBe("/anmelden?passwort=neu");
    expect((await school.besucher().get("/anmelden?passwort=neu")).text).toContain("Ihr neues Passwort gilt");
    expect((await elsewhere.get("/profil")).status).toBe(303);
    await expect(school.angemeldet(anna)).rejects.toThrow("could not sign in");
    await school.angemeldet({ ...anna, passwort: satz });
    // A code counts once.
    expect((await choose(anna.benutzername, code, "Fünf Wale im Watt!")).status).toBe(422);
    const rows = await school.database.query(
      "SELECT aktion FROM journal.eintrag WHERE objekt = $1 AND aktion = 'passwortcode'",
      [anna.id],
    );
    expect(rows).toHaveLength(1);
  });

  test("the mail says whose account it is and where to go, and holds no link that does it by itself", async () => {
    const bela = await school.konto("Béla", "Balász", "lehrer");
    await ask(await mailOf(bela));
    const code = await codeFor(bela);
    const mail = relay.received.at(-1);
    expect(mail?.from).toBe("schule@classmind.example");
    expect(mail?.text).toContain(bela.benutzername);
    expect(mail?.text).toContain("Auto-Submitted: auto-generated");
    const links = mail?.text.match(/https:\S+/g) ?? [];
    expect(links).toEqual(["https://goethe.classmind.localhost/passwort-code"]);
    expect(code).not.toBe("");
    const rows = await school.database.query<{ pruefwert: string }>("SELECT pruefwert FROM passwortcode");
    for (const { pruefwert } of rows) expect(pruefwert).not.toContain(code);
  });

  test("whether there is an account is not told, and nobody is sent anything who may not sign in or who manages the school", async () => {
    const locked = await school.konto("Lena", "Lock", "lehrer");
    const admin = await school.konto("Ada", "Amt", "administrator");
    await school.database.query("UPDATE konto SET gesperrt_am = now() WHERE id = $1", [locked.id]);
    const before = relay.received.length;
    const carla = await school.konto("Carla", "Cohn", "lehrer");
    const answers = [];
    for (const wer of [locked.benutzername, await mailOf(admin), "niemand.da", "niemand@schule.example"])
      answers.push((await ask(wer)).text);
    answers.push((await ask(carla.benutzername)).text);
    const plain = answers.map((text) => text.replace(/[0-9a-f]{32,}|value="[^"]*"/g, ""));
    expect(new Set(plain).size).toBe(1);
    await codeFor(carla);
    expect(relay.received.slice(before)).toHaveLength(1);
  });

  test("trying codes does not tell who is there: a name counts the same with a code and without, before and after one was asked for", async () => {
    const ida = await school.konto("Ida", "Igel", "lehrer");
    for (const name of [ida.benutzername, "niemand.hier"]) {
      for (let wrong = 0; wrong < 5; wrong += 1) await choose(name, "aaaaa-bbbbb-ccccc", satz);
      await ask(name);
      expect((await choose(name, "aaaaa-bbbbb-ccccc", satz)).text, name).toContain("Zu viele Versuche");
    }
    school.travel(6 * minute);
  });

  test("whoever may give others access gets no code, whatever else they may not", async () => {
    await school.database.query("INSERT INTO rolle (id, name) VALUES ('buero', 'Büro')");
    await school.database.query(
      "INSERT INTO recht (rolle_id, ressource, aktion, umfang) VALUES ('buero', 'Konto', 'bearbeiten', 'schule')",
    );
    const karla = await school.konto("Karla", "Kanzlei", "buero");
    const lars = await school.konto("Lars", "Lehrer", "lehrer");
    const before = relay.received.length;
    await ask(karla.benutzername);
    await ask(lars.benutzername);
    await codeFor(lars);
    expect(relay.received.slice(before)).toHaveLength(1);
    // Nor do accounts without an address, whatever is asked for.
    await school.database.query("UPDATE konto SET email = '' WHERE id = $1", [lars.id]);
    await ask("\u0301");
    const rows = await school.database.query(
      "SELECT FROM passwortcode c JOIN konto k ON k.id = c.konto_id WHERE k.email = '' AND c.gesendet_am IS NULL",
    );
    expect(rows).toEqual([]);
  });

  test("a code ends after half an hour, with a lock, and with the next one", async () => {
    const dora = await school.konto("Dora", "Dohm", "lehrer");
    await ask(dora.benutzername);
    const first = await codeFor(dora);
    school.travel(6 * minute);
    await ask(dora.benutzername);
    const second = await codeFor(dora, 2);
    expect((await choose(dora.benutzername, first, satz)).status).toBe(422);
    await school.database.query("UPDATE konto SET gesperrt_am = now() WHERE id = $1", [dora.id]);
    expect((await choose(dora.benutzername, second, satz)).status).toBe(422);
    await school.database.query("UPDATE konto SET gesperrt_am = NULL WHERE id = $1", [dora.id]);
    school.travel(30 * minute);
    const late = await choose(dora.benutzername, second, satz);
    expect(late.status).toBe(422);
    expect(late.text).toContain("gilt nicht mehr");
  });

  test("nobody is covered with mail: one in five minutes, five a day", async () => {
    const emil = await school.konto("Emil", "Ehrlich", "lehrer");
    for (let mails = 1; mails <= 5; mails += 1) {
      await ask(emil.benutzername);
      await ask(emil.benutzername);
      await codeFor(emil, mails);
      school.travel(6 * minute);
    }
    await ask(emil.benutzername);
    school.travel(25 * 60 * minute);
    await ask(emil.benutzername);
    await codeFor(emil, 6);
  });

  test("codes are not guessed: after five wrong ones even the right one waits", async () => {
    const fritz = await school.konto("Fritz", "Fromm", "lehrer");
    await ask(fritz.benutzername);
    const code = await codeFor(fritz);
    for (let wrong = 0; wrong < 5; wrong += 1) await choose(fritz.benutzername, "aaaaa-bbbbb-ccccc", satz);
    const waits = await choose(fritz.benutzername, code, satz);
    expect(waits.text).toContain("Zu viele Versuche");
    school.travel(minute);
    expect((await choose(fritz.benutzername, code, satz)).status).toBe(303);
  });

  test("a password that is too short, or holds one's name, is refused and the code stays good", async () => {
    const greta = await school.konto("Greta", "Grün-Sonnenschein", "lehrer");
    await ask(greta.benutzername);
    const code = await codeFor(greta);
    expect((await choose(greta.benutzername, code, "kurz")).text).toContain("mindestens 12 Zeichen");
    expect((await choose(greta.benutzername, code, "Greta Grün-Sonnenschein 1")).text).toContain("nicht Ihren Namen");
    expect((await choose(greta.benutzername, code, satz)).status).toBe(303);
  });

  test("what the relay does not take is told to the operator without a name, and can be asked for again after a minute", async () => {
    const hans = await school.konto("Hans", "Holm", "lehrer");
    relay.refuse("no such mailbox");
    await ask(hans.benutzername);
    await until("the relay refused", async () => (relay.refusals() > 0 ? true : undefined));
    relay.refuse(undefined);
    school.travel(minute + 1_000);
    await ask(hans.benutzername);
    await codeFor(hans);
  });
});

describe("a school without a relay", () => {
  test("says whom to ask, and offers no form", async () => {
    const other = await startSchool();
    const { text } = await other.besucher().get("/passwort-vergessen");
    expect(text).toContain("Einmalpasswort");
    expect(text).not.toContain("Code anfordern");
  });
});
