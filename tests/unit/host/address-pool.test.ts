import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { freePool, overlappingRoutes } from "../../../control-plane/host/address-pool.ts";
import { checkAddresses } from "../../../control-plane/host/doctor.ts";
import { createInstance, type Instance } from "../../../control-plane/host/instance.ts";
import { layoutOf } from "../../../control-plane/host/layout.ts";
import { DEFAULT_SETTINGS, writeSettings } from "../../../control-plane/host/settings.ts";

const OWN = "cmab12";

/** The kernel's table with routes to these networks, as "interface 10.1.0.0/16". */
function routes(...lines: readonly string[]): string {
  const hex = (octets: readonly number[]) =>
    [...octets]
      .reverse()
      .map((octet) => octet.toString(16).toUpperCase().padStart(2, "0"))
      .join("");
  const rows = lines.map((line) => {
    const [device = "", network = ""] = line.split(" ");
    const [address = "", prefix = ""] = network.split("/");
    const mask = [0, 1, 2, 3].map((index) => {
      const bits = Math.max(0, Math.min(8, Number(prefix) - index * 8));
      return 256 - 2 ** (8 - bits);
    });
    return `${device}\t${hex(address.split(".").map(Number))}\t00000000\t0001\t0\t0\t0\t${hex(mask)}\t0\t0\t0`;
  });
  return ["Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT", ...rows, ""].join(
    "\n",
  );
}

describe("the addresses of schools", () => {
  it.each([
    ["a network inside them", "tun0 10.70.3.0/24", "10.70.3.0/24 (tun0)"],
    ["the same network", "tun0 10.70.0.0/16", "10.70.0.0/16 (tun0)"],
    ["a network around them", "eth0 10.0.0.0/8", "10.0.0.0/8 (eth0)"],
    ["a network around them that no byte ends", "eth0 10.64.0.0/10", "10.64.0.0/10 (eth0)"],
    ["one machine among them", "wg0 10.70.255.255/32", "10.70.255.255/32 (wg0)"],
  ])("meet %s", (_, route, found) => {
    expect(overlappingRoutes(routes(route), "10.70.0.0/16", OWN)).toEqual([found]);
  });

  it.each([
    ["a neighbouring network", "tun0 10.71.0.0/16"],
    ["one of another kind", "docker0 172.17.0.0/16"],
    ["the way to everywhere", "eth0 0.0.0.0/0"],
    ["half of everywhere, as some tunnels have it", "tun0 128.0.0.0/1"],
    ["the networks of the schools themselves", "cmab12f00d 10.70.0.16/28"],
  ])("do not meet %s", (_, route) => {
    expect(overlappingRoutes(routes(route), "10.70.0.0/16", OWN)).toEqual([]);
  });

  it("are taken where no other network is", () => {
    expect(freePool("10.70.0.0/16", routes("eth0 192.168.1.0/24"), OWN)).toBe("10.70.0.0/16");
    expect(freePool("10.70.0.0/16", routes("tun0 10.70.8.0/24", "tun1 10.71.0.0/16"), OWN)).toBe("10.72.0.0/16");
    expect(freePool("10.191.0.0/16", routes("tun0 10.191.0.0/16"), OWN)).toBe("10.64.0.0/16");
    expect(freePool("10.70.0.0/16", routes("eth0 10.0.0.0/8"), OWN)).toBe("172.20.0.0/16");
    expect(freePool("10.70.0.0/16", routes("eth0 10.0.0.0/8", "eth1 172.16.0.0/12"), OWN)).toBeUndefined();
  });

  it.each(["11.0.0.0/16", "10.256.0.0/16", "10.1.0.0/24", "172.32.0.0/16", "192.168.1.0/24", "x"])(
    "are never %s",
    (pool) => {
      expect(() => createInstance("cmpool", { addressPool: pool })).toThrow("is no private /16");
    },
  );
});

describe("the doctor", () => {
  let directory: string;
  let instance: Instance;
  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), "cmpool-"));
    instance = createInstance("cmpool", { configDir: path.join(directory, "etc") });
    mkdirSync(instance.configDir);
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it("says when schools' addresses are another network's, and how to choose others", () => {
    const settings = { ...DEFAULT_SETTINGS, httpPort: 80, httpsPort: 443, addressPool: "10.70.0.0/16" };
    writeSettings(instance, settings);
    const [finding] = checkAddresses(instance, routes("tun0 10.70.0.0/20"));
    expect(finding).toMatchObject({ check: "address-pool", ok: false, message: expect.stringContaining("tun0") });
    expect(finding?.remedy).toContain("--address-pool");
    expect(checkAddresses(instance, routes("tun0 10.99.0.0/16"))).toMatchObject([{ ok: true }]);
  });

  it("says nothing of them before there are any, or while the settings are wrong, which it says elsewhere", () => {
    expect(checkAddresses(instance, routes())).toEqual([]);
    writeFileSync(layoutOf(instance).settingsFile, "{");
    expect(checkAddresses(instance, routes())).toEqual([]);
  });
});
