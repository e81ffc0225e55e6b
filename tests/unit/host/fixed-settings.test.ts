import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { checkFixed } from "../../../control-plane/host/fixed-settings.ts";
import { createInstance, type Instance } from "../../../control-plane/host/instance.ts";
import { layoutOf } from "../../../control-plane/host/layout.ts";
import { DEFAULT_SETTINGS } from "../../../control-plane/host/settings.ts";
import type { Settings } from "../../../control-plane/host/settings-schema.ts";

/** Settings that schools depend on, before `up` does anything. */

const VALUE: Settings = { ...DEFAULT_SETTINGS, httpPort: 80, httpsPort: 443, domain: "schulen.example" };
const ELSEWHERE = { backupRepository: "s3:https://box.example.org:9000/schulen" };
const HOST = { backupHost: { name: "box.example.org", address: "192.0.2.7", port: 9000 } };
let root: string;
let instance: Instance;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "cm-fixed-"));
  instance = createInstance("cmunit", { configDir: join(root, "etc"), stateDir: root, runDir: root });
  mkdirSync(instance.configDir);
  const platform = { domain: VALUE.domain, backup: { repository: "local" } };
  writeFileSync(layoutOf(instance).reconcilerConfigFile, JSON.stringify({ platform }));
});
afterEach(() => rmSync(root, { recursive: true }));

const withSchool = () => mkdirSync(join(root, "engine", "school-goethe"), { recursive: true });

describe("a platform that has schools", () => {
  beforeEach(withSchool);

  it("is left alone by settings that say the same", () => {
    expect(() => checkFixed(instance, VALUE)).not.toThrow();
  });

  it("keeps its domain: another one would take the schools their names", () => {
    expect(() => checkFixed(instance, { ...VALUE, domain: "andere.example" })).toThrow(
      expect.objectContaining({
        code: "Conflict",
        field: "domain",
        remedy: expect.stringContaining("schulen.example"),
      }),
    );
  });

  it("keeps the repository that its schools have their backups in", () => {
    const environment = join(root, "backup.env");
    writeFileSync(environment, "AWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=b\n", { mode: 0o600 });
    const wanted = { ...VALUE, ...ELSEWHERE, ...HOST, backupEnvironmentFile: environment };
    expect(() => checkFixed(instance, { ...wanted, backupAbandoned: "local" })).not.toThrow();
    expect(() => checkFixed(instance, wanted)).toThrow(
      expect.objectContaining({
        code: "Conflict",
        field: "backupRepository",
        remedy: expect.stringContaining("local"),
      }),
    );
  });
});

it("a platform without schools can still get another domain", () => {
  expect(() => checkFixed(instance, { ...VALUE, domain: "andere.example" })).not.toThrow();
});
