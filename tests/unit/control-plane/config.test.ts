import { describe, expect, it } from "vitest";
import { connectionOf, readApiConfig } from "../../../control-plane/config.ts";
import { tenantValues } from "../../../control-plane/render/tenant-values.ts";
import { platformConfig, tenantSpec } from "../../fixtures/platform.ts";
import { inDirectory } from "../k8s/in-directory.ts";

const database = { host: "database", port: 5432, name: "controlplane", user: "controlplane_api" };
const api = (platform: unknown) =>
  JSON.stringify({ platform, database: { ...database, passwordFile: "/run/p" }, listen: { host: "0.0.0.0", port: 1 } });

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

  it("names the class of local repositories' volumes where a cluster calls it otherwise", () => {
    const tenant = { uid: "u", slug: "goethe", spec: tenantSpec() };
    const classOf = (platform = platformConfig()): string =>
      tenantValues({ tenant, platform, secrets: undefined, certificate: undefined }).backup.className;
    const { backup } = platformConfig();
    expect(classOf()).toBe("classmind-repository");
    expect(classOf(platformConfig({ backup: { ...backup, storageClass: "fast" } }))).toBe("fast");
  });
});
