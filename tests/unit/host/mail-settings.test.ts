import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ClassmindError } from "../../../control-plane/errors.ts";
import { createInstance, type Instance } from "../../../control-plane/host/instance.ts";
import { mailOf } from "../../../control-plane/host/mail-settings.ts";
import { filesReadAtStart } from "../../../control-plane/host/read-at-start.ts";
import { DEFAULT_SETTINGS, readSettings } from "../../../control-plane/host/settings.ts";

let directory: string;
let instance: Instance;
let passwordFile: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cm-settings-"));
  instance = createInstance("cmunit", { configDir: directory, stateDir: directory, runDir: directory });
  passwordFile = join(directory, "mail-password");
  writeFileSync(passwordFile, "a secret\n", { mode: 0o600 });
});
afterEach(() => rmSync(directory, { recursive: true }));

function read(change: Record<string, unknown> = {}) {
  const mail = {
    relay: "smtps://schools@mail.example.org",
    from: "schule@example.org",
    host: { name: "mail.example.org", address: "192.0.2.25", port: 465 },
    passwordFile,
    ...change,
  };
  const value = { ...DEFAULT_SETTINGS, httpPort: 80, httpsPort: 443, mail };
  writeFileSync(join(directory, "platform.json"), JSON.stringify(value), { mode: 0o600 });
  return readSettings(instance);
}

/** The setting that is named, and the message of a refusal. */
function refusal(change: Record<string, unknown>): readonly [string | undefined, string] {
  try {
    read(change);
  } catch (error) {
    if (error instanceof ClassmindError) return [error.field, `${error.message} ${error.remedy ?? ""}`];
    throw error;
  }
  throw new Error("it was accepted");
}

describe("the mail relay in platform.json", () => {
  it("is one address at one port, and what opens it is read at the start", () => {
    const settings = read();
    expect(settings?.mail && mailOf(settings.mail)).toEqual({
      relay: "smtps://schools@mail.example.org",
      from: "schule@example.org",
      peers: [{ peers: [{ ipBlock: { cidr: "192.0.2.25/32" } }], port: 465 }],
      hosts: [{ name: "mail.example.org", address: "192.0.2.25" }],
    });
    if (settings === undefined) throw new Error("no settings");
    expect(filesReadAtStart(instance, settings)).toContain(passwordFile);
  });

  it.each([
    [
      "no place",
      { host: { name: "mail.example.org", address: "192.0.2.25", port: 25 } },
      "mail.host",
      /mail\.example\.org:465/,
    ],
    ["the port of a relay that begins TLS later", { relay: "smtp://mail.example.org" }, "mail.host", /:587/],
    ["a password in its address", { relay: "smtps://schools:secret@mail.example.org" }, "mail.relay", /passwordFile/],
    ["mail without TLS by another protocol", { relay: "http://mail.example.org" }, "mail.relay", /smtps:/],
    ["a user without a password", { passwordFile: undefined }, "mail.passwordFile", /schools is missing/],
    ["a file that is not there", { passwordFile: "/nowhere/x" }, "mail.passwordFile", /not the absolute path/],
    ["no sender", { from: "schule" }, "mail.from", /email/i],
    [
      "a port of this platform's own",
      { relay: "smtps://mail.example.org:443", host: { name: "mail.example.org", address: "192.0.2.25", port: 443 } },
      "mail.host.port",
      /own/,
    ],
  ])("is refused with %s, naming the field and the remedy", (_what, change, field, message) => {
    const [named, said] = refusal(change);
    expect(named).toBe(field);
    expect(said).toMatch(message);
    expect(said).not.toContain("a secret");
  });

  it("is refused when others can read the password", () => {
    writeFileSync(join(directory, "open"), "x");
    chmodSync(join(directory, "open"), 0o644);
    expect(refusal({ passwordFile: join(directory, "open") })).toEqual([
      "mail.passwordFile",
      expect.stringMatching(/read by others.*chmod 600/),
    ]);
  });
});
