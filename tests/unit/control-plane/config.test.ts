import { describe, expect, it } from "vitest";
import {
  connectionOf,
  parseSiteSettings,
  platformAt,
  readApiConfig,
  readReconcilerConfig,
  sitesOf,
} from "../../../control-plane/config.ts";
import { tenantValues } from "../../../control-plane/render/tenant-values.ts";
import { NEW_VOLUMES } from "../../../control-plane/tenant.ts";
import { platformConfig, tenantSpec } from "../../fixtures/platform.ts";
import { inDirectory } from "../k8s/in-directory.ts";

const database = { host: "database", port: 5432, name: "controlplane", user: "controlplane_api" };
const api = (platform: unknown) =>
  JSON.stringify({ platform, database: { ...database, passwordFile: "/run/p" }, listen: { host: "0.0.0.0", port: 1 } });

describe("the engines of a reconciler", () => {
  const instance = { kind: "simulated", stateFile: "/state/world.json" } as const;
  const reconciler = (write: (name: string, text: string) => string, more: object) =>
    readReconcilerConfig(
      write(
        "reconciler.json",
        JSON.stringify({
          platform: platformConfig(),
          database: { ...database, passwordFile: "/run/p" },
          keyring: { ...database, passwordFile: "/run/p" },
          kekFile: "/run/kek",
          workers: 2,
          ...more,
        }),
      ),
    );

  it("are one, called after its kind, or several by their names; nothing else", () => {
    inDirectory((_directory, write) => {
      expect([...sitesOf(reconciler(write, { engine: instance })).keys()]).toEqual(["simulated"]);
      const several = sitesOf(reconciler(write, { engines: { b: { engine: instance }, a: { engine: instance } } }));
      expect([...several.keys()]).toEqual(["b", "a"]);
      for (const wrong of [{}, { engine: instance, engines: { a: { engine: instance } } }])
        expect(() => sitesOf(reconciler(write, wrong))).toThrow(expect.objectContaining({ field: "engine" }));
      expect(() => reconciler(write, { engines: {} })).toThrow(expect.objectContaining({ field: "engines" }));
    });
  });

  it("differ from the platform where they say so, and nowhere else", () => {
    const platform = platformConfig();
    const repository = "rest:https://backup.example.org:8000/";
    const there = platformAt(platform, parseSiteSettings({ httpsPort: 8443, backup: { repository } }));
    expect(there).toEqual({ ...platform, httpsPort: 8443, backup: { ...platform.backup, repository } });
    expect(platformAt(platform, {})).toEqual(platform);
  });

  it("lets an app linger as long as its own way in needs: a cluster's beside this machine not as long as this machine's", () => {
    const machine = { ...platformConfig(), lingerMilliseconds: 0 };
    expect(platformAt(machine, {}).lingerMilliseconds).toBe(0);
    expect(platformAt(machine, parseSiteSettings({ ingressClass: "nginx" })).lingerMilliseconds).toBeUndefined();
    expect(
      platformAt(machine, parseSiteSettings({ ingressClass: "nginx", lingerMilliseconds: 3_000 })).lingerMilliseconds,
    ).toBe(3_000);
  });
});

describe("the configuration of a process", () => {
  it("holds the platform's settings, or names the file that does", () => {
    inDirectory((_directory, write) => {
      const platform = write("platform.json", JSON.stringify(platformConfig()));
      const inside = readApiConfig(write("inside.json", api(platformConfig())));
      expect(readApiConfig(write("beside.json", api(platform)))).toEqual(inside);
    });
  });

  it("names the field that is wrong in the platform's own file, and the file that is not there", () => {
    inDirectory((directory, write) => {
      const platform = write("platform.json", JSON.stringify({ ...platformConfig(), country: "Germany" }));
      expect(() => readApiConfig(write("a.json", api(platform)))).toThrow(
        expect.objectContaining({ field: "platform.country" }),
      );
      expect(() => readApiConfig(write("b.json", api(`${directory}/none.json`)))).toThrow("none.json cannot be read");
    });
  });

  it("asks a database across a network for a certificate of the authority that is named, and for no other", () => {
    inDirectory((_directory, write) => {
      const passwordFile = write("password", "secret\n");
      expect(connectionOf({ ...database, passwordFile })).not.toHaveProperty("ssl");
      expect(connectionOf({ ...database, passwordFile, tls: {} }).ssl).toEqual({ rejectUnauthorized: true });
      const authorityFile = write("ca.pem", "PEM");
      expect(connectionOf({ ...database, passwordFile, tls: { authorityFile } }).ssl).toEqual({
        rejectUnauthorized: true,
        ca: "PEM",
      });
    });
  });

  it("takes no repository address with a login in it, and does not repeat it", () => {
    inDirectory((_directory, write) => {
      const { backup } = platformConfig();
      const secret = "rest:https://anna:geheim@backup.example.org:8000/";
      const platform = { ...platformConfig(), backup: { ...backup, repository: secret } };
      const read = () => readApiConfig(write("a.json", api(platform)));
      expect(read).toThrow(expect.objectContaining({ field: "platform.backup.repository" }));
      expect(read).not.toThrow(/geheim/);
    });
  });

  it("names the class of local repositories' volumes where a cluster calls it otherwise", () => {
    const tenant = { uid: "u", slug: "goethe", spec: tenantSpec(), volumes: NEW_VOLUMES };
    const classOf = (platform = platformConfig()): string =>
      tenantValues({ tenant, platform, secrets: undefined, certificate: undefined }).backup.className;
    const { backup } = platformConfig();
    expect(classOf()).toBe("classmind-repository");
    expect(classOf(platformConfig({ backup: { ...backup, storageClass: "fast" } }))).toBe("fast");
  });

  describe("what only a cluster has", () => {
    const CERT_MANAGER = { kind: "cert-manager", name: "letsencrypt" } as const;
    const KUBERNETES = { engine: { kind: "kubernetes" } };
    const SIMULATED = { engine: { kind: "simulated", stateFile: "/run/state" } };
    const CONTAINERS = {
      engine: {
        kind: "containers",
        socket: "/run/podman.sock",
        instance: {
          name: "x",
          short: "x",
          stateDir: "/",
          runDir: "/",
          configDir: "/",
          cacheDir: "/",
          addressPool: "10.0.0.0/16",
        },
        hostAccessUids: [],
      },
    };
    const read = (engines: object, platform: object = {}) => {
      const parts = { ...database, passwordFile: "/run/p" };
      const file = { platform: { ...platformConfig(), ...platform }, database: parts, keyring: parts };
      let config: ReturnType<typeof readReconcilerConfig> | undefined;
      inDirectory((_directory, write) => {
        config = readReconcilerConfig(
          write("r.json", JSON.stringify({ ...file, kekFile: "/run/kek", workers: 1, ...engines })),
        );
      });
      return config;
    };

    it.each([
      ["a gateway in pods", { clusterGateway: { role: "r", account: "a", namespace: "n" } }],
      ["user namespaces of pods", { userNamespaces: true }],
    ])("%s are refused on an engine of another kind, by name", (_what, setting) => {
      expect(() => read({ engine: CONTAINERS.engine }, setting)).toThrow(
        expect.objectContaining({
          field: `platform.${Object.keys(setting)[0]}`,
          message: expect.stringContaining("of kind containers"),
        }),
      );
    });

    it("cert-manager makes certificates where its engine is a cluster, by the ClusterIssuer that is named", () => {
      const config = read({
        engines: { fsn1: { ...KUBERNETES, platform: { issuer: CERT_MANAGER } }, here: SIMULATED },
      });
      const settings = config?.engines?.fsn1?.platform ?? {};
      expect(platformAt(platformConfig(), settings).issuer).toEqual({ ...CERT_MANAGER, issuerKind: "ClusterIssuer" });
      expect(platformAt(platformConfig(), {}).issuer).toBeUndefined();
      expect(read({ engine: { kind: "kubernetes" } }, { issuer: CERT_MANAGER })?.platform.issuer?.kind).toBe(
        "cert-manager",
      );
    });

    it("cert-manager is the platform's, but for an engine that says otherwise", () => {
      const internal = { platform: { issuer: { kind: "internal" } } };
      const engines = { fsn1: KUBERNETES, containers: { ...CONTAINERS, ...internal } };
      const config = read({ engines }, { issuer: CERT_MANAGER });
      const at = (name: string) =>
        platformAt(platformConfig({ issuer: CERT_MANAGER as never }), config?.engines?.[name]?.platform ?? {});
      expect([at("fsn1").issuer?.kind, at("containers").issuer?.kind]).toEqual(["cert-manager", "internal"]);
    });

    it.each([
      [
        "containers",
        { engines: { m: { ...CONTAINERS, platform: { issuer: CERT_MANAGER } } } },
        {},
        "engines.m.platform.issuer",
      ],
      [
        "simulated",
        { engines: { m: { ...SIMULATED, platform: { issuer: CERT_MANAGER } } } },
        {},
        "engines.m.platform.issuer",
      ],
      ["containers", { engine: CONTAINERS.engine }, { issuer: CERT_MANAGER }, "platform.issuer"],
      ["containers", { engines: { m: CONTAINERS, fsn1: KUBERNETES } }, { issuer: CERT_MANAGER }, "platform.issuer"],
    ])("cert-manager is refused on an engine of kind %s, by name (%#)", (kind, engines, platform, field) => {
      expect(() => read(engines, platform)).toThrow(
        expect.objectContaining({ field, message: expect.stringContaining(`of kind ${kind}`) }),
      );
    });

    it.each([
      ["an Issuer, which would have to be in every school's namespace", { ...CERT_MANAGER, issuerKind: "Issuer" }],
      ["a name that no object can have", { kind: "cert-manager", name: "Let's Encrypt" }],
      ["an unknown kind", { kind: "acme", name: "x" }],
      ["an unknown field", { ...CERT_MANAGER, namespace: "x" }],
    ])("cert-manager with %s is refused", (_title, issuer) => {
      expect(() => read({ engine: { kind: "kubernetes" } }, { issuer })).toThrow("is wrong");
    });
  });
});
