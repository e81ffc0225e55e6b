import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ClassmindError } from "../../../control-plane/errors.ts";
import { createInstance, type Instance } from "../../../control-plane/host/instance.ts";
import { claimsOfOthers } from "../../../control-plane/host/neighbours.ts";
import { digestReadAtStart } from "../../../control-plane/host/read-at-start.ts";
import { DEFAULT_SETTINGS, readSettings, writeSettings } from "../../../control-plane/host/settings.ts";
import type { Settings } from "../../../control-plane/host/settings-schema.ts";

/** platform.json and the files that it names, as people leave them. */

const HOST = "box.example.org";
const VALUE = { ...DEFAULT_SETTINGS, httpPort: 8080, httpsPort: 8443 } satisfies Settings;
let root: string;
let instance: Instance;
const file = () => join(instance.configDir, "platform.json");
const credentials = () => join(root, "backup.env");

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "cm-written-"));
  instance = createInstance("cmunit", { configDir: join(root, "cmunit"), stateDir: root, runDir: root });
  writeSettings(instance, VALUE);
});
afterEach(() => rmSync(root, { recursive: true }));

function refusal(text: string): ClassmindError {
  writeFileSync(file(), text);
  try {
    readSettings(instance);
  } catch (error) {
    if (error instanceof ClassmindError) return error;
    throw error;
  }
  throw new Error("not refused");
}

describe("platform.json", () => {
  it("may come from another system: with a mark before it, and other ends of lines", () => {
    const text = readFileSync(file(), "utf8");
    writeFileSync(file(), `\ufeff${text.replaceAll("\n", "\r\n")}`);
    expect(readSettings(instance)).toEqual(VALUE);
    // So it is to the other installations of this host.
    expect(claimsOfOthers(createInstance("cmother", { configDir: join(root, "cmother") }))).toEqual([
      { httpPort: 8080, httpsPort: 8443 },
    ]);
  });

  it("that is no JSON is refused by its line, and nothing of it is repeated", () => {
    const text = readFileSync(file(), "utf8").replace('"demoDays": 30,', '"demoDays": hunter2,');
    const { code, message, remedy } = refusal(text);
    expect(code).toBe("Invalid");
    const line = text.split("\n").findIndex((each) => each.includes("hunter2")) + 1;
    expect(message).toBe(`${file()}, line ${line}: this is no value`);
    expect(`${message}${remedy}`).not.toContain("hunter2");
    expect(refusal('{"domain": "a.example", "domain": "b.example"}').message).toContain("there already");
  });

  it("is written in one order, and not at all when it says the same in another", () => {
    const first = readFileSync(file(), "utf8");
    const read = readSettings(instance);
    if (read === undefined) throw new Error("no settings");
    writeSettings(instance, read);
    writeSettings(instance, Object.fromEntries(Object.entries(read).reverse()) as Settings);
    expect(readFileSync(file(), "utf8")).toBe(first);
    const byHand = JSON.stringify(Object.fromEntries(Object.entries(read).reverse()));
    writeFileSync(file(), byHand);
    writeSettings(instance, read);
    expect(readFileSync(file(), "utf8")).toBe(byHand);
    writeSettings(instance, { ...read, demoDays: 31 });
    expect(readFileSync(file(), "utf8")).toBe(first.replace('"demoDays": 30', '"demoDays": 31'));
    chmodSync(file(), 0o644);
    writeSettings(instance, { ...read, demoDays: 31 });
    expect((statSync(file()).mode & 0o777).toString(8)).toBe("600");
  });
});

describe("what a platform read at its start", () => {
  it("is another when a file says something else, the program is another or a setting changes; not when a file is touched", () => {
    writeFileSync(credentials(), "A=1\n", { mode: 0o600 });
    const value = { ...VALUE, backupEnvironmentFile: credentials() };
    const before = digestReadAtStart(instance, value, "/p/1");
    utimesSync(credentials(), 1, 1);
    expect(digestReadAtStart(instance, Object.fromEntries(Object.entries(value).reverse()) as Settings, "/p/1")).toBe(
      before,
    );
    const others = [
      digestReadAtStart(instance, value, "/p/2"),
      digestReadAtStart(instance, { ...value, workers: 5 }, "/p/1"),
    ];
    writeFileSync(credentials(), "A=2\n");
    others.push(digestReadAtStart(instance, value, "/p/1"));
    rmSync(credentials());
    others.push(digestReadAtStart(instance, value, "/p/1"));
    expect(new Set([before, ...others]).size).toBe(5);
  });
});

describe("the credentials of a repository", () => {
  const settings = () =>
    JSON.stringify({
      ...VALUE,
      backupRepository: `rest:https://${HOST}:8000/`,
      backupHost: { name: HOST, address: "192.0.2.10", port: 8000 },
      backupEnvironmentFile: credentials(),
    });

  it("are refused by file and line before anything starts, and never repeated", () => {
    writeFileSync(credentials(), 'RESTIC_REST_USERNAME=me\r\nRESTIC_REST_PASSWORD="hunter2\r\n', { mode: 0o600 });
    chmodSync(credentials(), 0o600);
    const { field, message, remedy } = refusal(settings());
    expect(field).toBe("backupEnvironmentFile");
    expect(message).toBe(`${credentials()}, line 2: a double quote is opened and not closed`);
    expect(`${message}${remedy}`).not.toContain("hunter2");
  });

  it("are taken with the ends of lines of another system", () => {
    writeFileSync(credentials(), "\ufeffexport RESTIC_REST_USERNAME=me\r\nRESTIC_REST_PASSWORD='x y'\r\n");
    chmodSync(credentials(), 0o600);
    writeFileSync(file(), settings());
    expect(readSettings(instance)).toMatchObject({ backupEnvironmentFile: credentials() });
  });
});
