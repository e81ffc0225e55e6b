import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ClassmindError } from "../../../control-plane/errors.ts";
import { checkWaysOut } from "../../../control-plane/host/doctor.ts";
import { createInstance, type Instance } from "../../../control-plane/host/instance.ts";
import { filesReadAtStart } from "../../../control-plane/host/read-at-start.ts";
import { DEFAULT_SETTINGS, readSettings } from "../../../control-plane/host/settings.ts";

const HOST = "box.example.org";
const options = { type: "pkcs8", format: "pem" } as const;
const KEY = generateKeyPairSync("ed25519").privateKey.export(options).toString();

let directory: string;
let instance: Instance;
let key: string;
let knownHosts: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cm-settings-"));
  instance = createInstance("cmunit", { configDir: directory, stateDir: directory, runDir: directory });
  key = join(directory, "backup-key");
  knownHosts = join(directory, "backup-known-hosts");
  writeFileSync(key, KEY, { mode: 0o600 });
  writeFileSync(knownHosts, `[${HOST}]:23 ssh-ed25519 AAAA\n`, { mode: 0o644 });
});
afterEach(() => rmSync(directory, { recursive: true }));

function read(change: Record<string, unknown> = {}) {
  const value = {
    ...DEFAULT_SETTINGS,
    httpPort: 80,
    httpsPort: 443,
    backupRepository: `sftp://me@${HOST}:23//srv/backups`,
    backupHost: { name: HOST, address: "192.0.2.10", port: 23 },
    backupKeyFile: key,
    backupKnownHostsFile: knownHosts,
    ...change,
  };
  writeFileSync(join(directory, "platform.json"), JSON.stringify(value), { mode: 0o600 });
  return readSettings(instance);
}

/** The setting that is named, the message and the remedy of a refusal. */
function refusal(change: Record<string, unknown> = {}): { field: string | undefined; message: string; remedy: string } {
  try {
    read(change);
  } catch (error) {
    if (error instanceof ClassmindError) {
      return { field: error.field, message: error.message, remedy: error.remedy ?? "" };
    }
    throw error;
  }
  throw new Error("it was accepted");
}

describe("the settings of a repository over SFTP", () => {
  it("are accepted when key and known hosts are there; a change of either file asks for a new start", () => {
    const settings = read();
    if (settings === undefined) throw new Error("no settings");
    expect(settings.backupRepository).toBe(`sftp://me@${HOST}:23//srv/backups`);
    expect(filesReadAtStart(instance, settings)).toEqual(expect.arrayContaining([key, knownHosts]));
  });

  it("name the setting and the remedy when the key is missing", () => {
    const missing = { field: "backupKeyFile", remedy: expect.stringContaining("ssh-keygen -t ed25519") };
    expect(refusal({ backupKeyFile: undefined })).toMatchObject(missing);
    for (const file of [join(directory, "nothing"), "backup-key", directory]) {
      expect(refusal({ backupKeyFile: file })).toMatchObject({
        field: "backupKeyFile",
        message: expect.stringContaining(`${file} is not the absolute path of a file`),
      });
    }
  });

  it.each([0o640, 0o604, 0o660])("refuse a key of mode %o, which others can read", (mode) => {
    chmodSync(key, mode);
    expect(refusal()).toMatchObject({ field: "backupKeyFile", remedy: `Run: chmod 600 ${key}` });
  });

  it.runIf(process.getuid?.() === 0)("refuse files that are not root's", () => {
    chownSync(key, 65534, 65534);
    expect(refusal()).toMatchObject({ field: "backupKeyFile", remedy: `Run: chown root:root ${key}` });
    chownSync(key, 0, 0);
    chownSync(knownHosts, 65534, 65534);
    expect(refusal()).toMatchObject({ field: "backupKnownHostsFile", remedy: `Run: chown root:root ${knownHosts}` });
  });

  it("refuse what is no private key, or asks for a passphrase", () => {
    writeFileSync(key, "ssh-ed25519 AAAA me\n");
    expect(refusal()).toMatchObject({ field: "backupKeyFile", remedy: expect.stringContaining(".pub") });
    const locked = { ...options, cipher: "aes-256-cbc", passphrase: "x" };
    writeFileSync(key, generateKeyPairSync("ed25519").privateKey.export(locked));
    expect(refusal()).toMatchObject({ field: "backupKeyFile", message: expect.stringContaining("passphrase") });
    writeFileSync(key, KEY.slice(0, -30));
    expect(refusal()).toMatchObject({ field: "backupKeyFile", message: expect.stringContaining("does not end") });
  });

  it("never quote the key", () => {
    writeFileSync(key, KEY.slice(0, -30));
    const { message, remedy } = refusal();
    expect(message + remedy).not.toContain(KEY.split("\n")[1]);
  });

  it("refuse known hosts that are missing, can be changed by others, or know another host alone", () => {
    const named = { field: "backupKnownHostsFile", remedy: expect.stringContaining("ssh-keyscan -p 23 192.0.2.10") };
    expect(refusal({ backupKnownHostsFile: undefined })).toMatchObject(named);
    chmodSync(knownHosts, 0o664);
    expect(refusal()).toMatchObject({ field: "backupKnownHostsFile", remedy: `Run: chmod 644 ${knownHosts}` });
    chmodSync(knownHosts, 0o644);
    writeFileSync(knownHosts, `[${HOST}]:22 ssh-ed25519 AAAA\n`);
    expect(refusal()).toMatchObject({ ...named, message: expect.stringContaining(`has no key of [${HOST}]:23`) });
  });

  it("refuse an address that is not understood, and one that backupHost says nothing of", () => {
    expect(refusal({ backupRepository: `sftp:${HOST}:/srv` })).toMatchObject({
      field: "backupRepository",
      remedy: expect.stringContaining("sftp://user@name:port//path"),
    });
    // Without a port it is 22.
    expect(refusal({ backupRepository: `sftp:me@${HOST}:/srv` })).toMatchObject({
      field: "backupHost",
      remedy: expect.stringContaining('"port": 22'),
    });
    expect(refusal({ backupHost: undefined }).field).toBe("backupHost");
  });

  it("say of a port of the platform's own that it is one", () => {
    const change = {
      backupRepository: `sftp://me@${HOST}:443//srv`,
      backupHost: { name: HOST, address: "192.0.2.10", port: 443 },
    };
    expect(refusal(change).field).toBe("backupHost.port");
  });
});

describe("the settings of other repositories", () => {
  it("ask for neither key nor known hosts", () => {
    const none = { backupKeyFile: undefined, backupKnownHostsFile: undefined };
    expect(read({ ...none, backupRepository: "local", backupHost: undefined })).toBeDefined();
    const backupHost = { name: HOST, address: "192.0.2.10", port: 8000 };
    expect(read({ ...none, backupRepository: `rest:https://${HOST}:8000/`, backupHost })).toBeDefined();
  });

  it("refuse credentials that others can read", () => {
    const credentials = join(directory, "backup.env");
    writeFileSync(credentials, "RESTIC_REST_USERNAME=me\n");
    chmodSync(credentials, 0o644);
    expect(refusal({ backupEnvironmentFile: credentials })).toMatchObject({
      field: "backupEnvironmentFile",
      remedy: `Run: chmod 600 ${credentials}`,
    });
  });
});

describe("the doctor", () => {
  const at = (port: number) =>
    ({
      backupRepository: `sftp://me@${HOST}:${port}//srv`,
      backupHost: { name: HOST, address: "192.0.2.10", port },
    }) as const;

  it("says when a program of the host holds the port that backups need, and what to do", async () => {
    const everywhere = createServer().listen(0, "0.0.0.0");
    await once(everywhere, "listening");
    const { port } = everywhere.address() as AddressInfo;
    writeFileSync(knownHosts, `${HOST} ssh-ed25519 AAAA\n`);
    read(at(port));
    expect(checkWaysOut(instance)).toEqual([
      expect.objectContaining({ check: "backup-way", ok: false, remedy: expect.stringContaining("ListenAddress") }),
    ]);
    everywhere.close();
    await once(everywhere, "close");
    expect(checkWaysOut(instance)).toEqual([expect.objectContaining({ check: "backup-way", ok: true })]);
  });

  it("says what is wrong with the settings, and nothing of a local repository", () => {
    read();
    chmodSync(key, 0o644);
    expect(checkWaysOut(instance)).toEqual([expect.objectContaining({ ok: false, remedy: `Run: chmod 600 ${key}` })]);
    read({ backupRepository: "local", backupHost: undefined });
    expect(checkWaysOut(instance)).toEqual([]);
  });
});
