import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { layoutOf } from "../../../control-plane/host/layout.ts";
import { type MailRelay, mailRelay } from "../../fixtures/mail-relay.ts";
import { openPlatform, type RealPlatform } from "../../fixtures/real-platform.ts";
import { schoolInUse, sql } from "../../fixtures/school-in-use.ts";
import { until } from "../../fixtures/until.ts";

/** A mail from a school in its containers: through the relay that the operator configured, and by no other way. */

const NAME = "mail.example.org";
const ADDRESS = "127.0.77.25";

let platform: RealPlatform;
let relay: MailRelay;
let directory: string;
let settingsFile: string;
let before: string;

/** Brings the platform's settings to what a change makes of them, as an operator with an editor does. */
async function up(change: Record<string, unknown>): Promise<void> {
  await writeFile(settingsFile, JSON.stringify({ ...JSON.parse(before), ...change }), { mode: 0o600 });
  const ended = await platform.classmind("up");
  if (ended.code !== 0) throw new Error(ended.stderr);
}

beforeAll(async () => {
  platform = await openPlatform();
  relay = await mailRelay({ name: NAME, address: ADDRESS });
  directory = await mkdtemp(path.join(tmpdir(), "cm-mail-"));
  settingsFile = layoutOf(platform.instance).settingsFile;
  before = await readFile(settingsFile, "utf8");
  await writeFile(path.join(directory, "password"), relay.password, { mode: 0o600 });
  await writeFile(path.join(directory, "authority.pem"), relay.authority);
});
afterAll(async () => {
  await up({});
  await relay.close();
  await rm(directory, { recursive: true });
});

describe("the mail relay", () => {
  it("takes a school's mail once it is configured, with TLS and its password, and nobody else's connections", async () => {
    const { lehrerin } = await schoolInUse(platform, "hebbel");
    const browser = platform.besucher("hebbel");
    expect((await browser.get("/passwort-vergessen")).text).not.toContain("Code anfordern");

    await up({
      mail: {
        relay: `smtps://${relay.user}@${NAME}:${relay.port}`,
        from: "schule@example.org",
        host: { name: NAME, address: ADDRESS, port: relay.port },
        passwordFile: path.join(directory, "password"),
        authorityFile: path.join(directory, "authority.pem"),
      },
    });
    await until("the school has heard of it", async () =>
      (await browser.get("/passwort-vergessen")).text.includes("Code anfordern") ? true : undefined,
    );
    await browser.get("/passwort-vergessen");
    expect((await browser.post("/passwort-vergessen", { wer: lehrerin.benutzername })).text).toContain("Postfach");
    const [mail] = await until("the mail arrives", async () =>
      relay.received.length > 0 ? relay.received : undefined,
    );
    expect(mail?.text).toContain("https://hebbel.");
    const email = await sql(
      platform,
      "hebbel",
      `select email from konto where benutzername = '${lehrerin.benutzername}'`,
    );
    expect(mail?.to).toEqual([email.trim()]);

    const code = /[a-z2-9]{5}-[a-z2-9]{5}-[a-z2-9]{5}/.exec(mail?.text ?? "")?.[0] ?? "";
    await browser.get("/passwort-code");
    const neu = "Vier Wale im Watt!";
    const done = await browser.post("/passwort-code", {
      benutzername: lehrerin.benutzername,
      code,
      neu,
      wiederholt: neu,
    });
    expect(done.location).toBe("/anmelden?passwort=neu");
    expect((await platform.besucher("hebbel").meldeAn(lehrerin.benutzername, neu)).status).toBe(303);

    const { code: verified, stdout } = await platform.classmind("verify", "isolation", "hebbel");
    expect(verified, stdout).toBe(0);
  });
});
