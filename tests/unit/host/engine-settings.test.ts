import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ClassmindError } from "../../../control-plane/errors.ts";
import { createInstance, type Instance } from "../../../control-plane/host/instance.ts";
import { filesReadAtStart } from "../../../control-plane/host/read-at-start.ts";
import { DEFAULT_SETTINGS, readSettings } from "../../../control-plane/host/settings.ts";

let directory: string;
let instance: Instance;
let kubeconfig: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cm-engines-"));
  instance = createInstance("cmunit", { configDir: directory, stateDir: directory, runDir: directory });
  kubeconfig = join(directory, "fsn1.kubeconfig");
  writeFileSync(kubeconfig, "{}", { mode: 0o600 });
});
afterEach(() => rmSync(directory, { recursive: true }));

const cluster = (engine: Record<string, unknown> = {}, platform: Record<string, unknown> = {}) => ({
  engine: { kind: "kubernetes", kubeconfig, ...engine },
  platform: {
    storageClass: "longhorn-encrypted",
    ingressClass: "nginx",
    gatewayPeers: [],
    httpsPort: 443,
    ...platform,
  },
});

function read(engines: unknown) {
  const value = { ...DEFAULT_SETTINGS, httpPort: 80, httpsPort: 8443, engines };
  writeFileSync(join(directory, "platform.json"), JSON.stringify(value));
  return readSettings(instance);
}

function refusal(engines: unknown): ClassmindError {
  try {
    read(engines);
  } catch (error) {
    if (error instanceof ClassmindError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

describe("clusters beside a machine", () => {
  it("are taken as they are written, and a changed kubeconfig is noticed", () => {
    const settings = read({ fsn1: { ...cluster(), capacity: 500, labels: { tier: "gold" } } });
    expect(settings?.engines?.fsn1).toMatchObject({ capacity: 500, platform: { storageClass: "longhorn-encrypted" } });
    if (settings === undefined) throw new Error("no settings");
    expect(filesReadAtStart(instance, settings)).toContain(kubeconfig);
  });

  it("may have cert-manager make certificates, which this machine itself may not", () => {
    const issuer = { kind: "cert-manager", name: "letsencrypt" };
    expect(read({ fsn1: cluster({}, { issuer }) })?.engines?.fsn1?.platform.issuer).toMatchObject(issuer);
    const value = { ...DEFAULT_SETTINGS, httpPort: 80, httpsPort: 8443, issuer };
    writeFileSync(join(directory, "platform.json"), JSON.stringify(value));
    expect(() => readSettings(instance)).toThrow("issuer");
  });

  it.each([
    ["without a kubeconfig", () => ({ fsn1: cluster({ kubeconfig: undefined }) }), "engines.fsn1.engine.kubeconfig"],
    [
      "with one that is not there",
      () => ({ fsn1: cluster({ kubeconfig: "/nowhere" }) }),
      "engines.fsn1.engine.kubeconfig",
    ],
    [
      "without a storage class",
      () => ({ fsn1: cluster({}, { storageClass: undefined }) }),
      "engines.fsn1.platform.storageClass",
    ],
    ["under this machine's own name", () => ({ containers: cluster() }), "engines.containers."],
    [
      "of another kind",
      () => ({ fsn1: { ...cluster(), engine: { kind: "simulated", stateFile: "/x" } } }),
      "engines.fsn1.engine.kind",
    ],
    ["under a name with a blank", () => ({ "fsn 1": cluster() }), "engines.fsn 1"],
    ["with a field that nobody knows", () => ({ fsn1: { ...cluster(), kapazitaet: 5 } }), "engines.fsn1"],
  ])("%s are refused, with the field", (_what, engines, field) => {
    expect(refusal(engines())).toMatchObject({ code: "Invalid", field });
  });

  it("whose kubeconfig others can read are refused with the command that mends it", () => {
    chmodSync(kubeconfig, 0o644);
    expect(refusal({ fsn1: cluster() }).remedy).toBe(`Run: chmod 600 ${kubeconfig}`);
  });
});
