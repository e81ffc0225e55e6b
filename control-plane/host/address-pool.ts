import { readFileSync } from "node:fs";
import type { Instance } from "./instance.ts";

/** The addresses of schools' networks beside those that a host knows of. Pure but for reading the host's routes. */

const WORD = 2 ** 32;
const POOL_MASK = 0xffff0000;

/** "10.64.0.0" as a number. */
function numberOf(address: string): number {
  return address.split(".").reduce((number, octet) => number * 256 + Number(octet), 0);
}

function textOf(number: number): string {
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join(".");
}

/** Little-endian hexadecimal, as the kernel writes it: 10.64.0.0 is 0000400A. */
function littleEndian(hex: string): number {
  return numberOf(
    [6, 4, 2, 0].map((offset) => Number.parseInt(hex.slice(offset, offset + 2), 16).toString()).join("."),
  );
}

/** IPv4 routes of the host, as the kernel lists them. */
export function hostRoutes(): string {
  return readFileSync("/proc/net/route", "utf8");
}

/** Names of the interfaces of an instance's schools begin so. */
export function ownInterfaces(instance: Pick<Instance, "short">): string {
  return `cm${instance.short}`;
}

/**
 * Destinations that share addresses with a pool, but for the default route and those of the schools themselves.
 * @param routes as hostRoutes
 * @param pool "10.64.0.0/16"
 * @param own beginning of the names of interfaces that do not count
 */
export function overlappingRoutes(routes: string, pool: string, own: string): readonly string[] {
  const network = numberOf(pool.split("/")[0] ?? "");
  return routes
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const [device = "", destination = "", , , , , , mask = ""] = line.trim().split(/\s+/);
      if (destination === "" || mask === "00000000" || device.startsWith(own)) return [];
      const [there, bits] = [littleEndian(destination), littleEndian(mask)];
      const common = (bits & POOL_MASK) >>> 0;
      const prefix = 32 - Math.log2(WORD - bits);
      return (there & common) === (network & common) ? [`${textOf(there)}/${prefix} (${device})`] : [];
    });
}

/** Pools in the order in which they are tried: from the preferred one through its kind, then some that few networks use. */
function candidates(preferred: string): readonly string[] {
  const first = Number(preferred.split(".")[1]) - 64;
  const numbers = Array.from({ length: 128 }, (_, step) => 64 + ((first + step) % 128));
  // Not those that Kubernetes gives to services (see instance.ts).
  const tens = numbers.slice(1).flatMap((number) => (number >= 96 && number < 112 ? [] : [`10.${number}.0.0/16`]));
  return [preferred, ...tens, ...Array.from({ length: 12 }, (_, step) => `172.${20 + step}.0.0/16`)];
}

/**
 * The first pool that meets no route of the host. Undefined when every one does.
 * @param claimed pools of other installations, which may not run just now
 */
export function freePool(
  preferred: string,
  routes: string,
  own: string,
  claimed: ReadonlySet<string> = new Set(),
): string | undefined {
  return candidates(preferred).find((pool) => !claimed.has(pool) && overlappingRoutes(routes, pool, own).length === 0);
}
