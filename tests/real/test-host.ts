import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createInstance, type Instance } from "../../control-plane/host/instance.ts";
import type { HostPackage } from "../../control-plane/host/packages.ts";

const DIRECTORY = "/run/classmind";

/** What the tests need of Debian beyond what the platform needs. */
export const TEST_PACKAGES: readonly HostPackage[] = [
  { name: "chromium", why: "opens the school's pages as people do" },
  { name: "libnss3-tools", why: "lets a browser trust the platform's authority, as people do" },
  { name: "openssl", why: "judges certificates as others do" },
  { name: "curl", why: "speaks to the gateway as programs do" },
  { name: "systemd", why: "checks the unit that is written where it runs" },
  { name: "hostname", why: "names the host's addresses, which a school must not reach" },
];

/**
 * The instance that tests use: beside a live platform and beside other test runs, with everything host-wide under a name of
 * its own. The global setup claims one; its tests learn the name from the environment.
 */
export function testInstance(name = process.env.CLASSMIND_TEST_INSTANCE ?? "cmtest"): Instance {
  return createInstance(name, {
    stateDir: `/var/tmp/classmind-test/${name}`,
    runDir: `${DIRECTORY}/${name}`,
    configDir: `/var/tmp/classmind-test/${name}-config`,
  });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/**
 * Claims the test instance that CLASSMIND_TEST_INSTANCE names, or the first one that no other run uses. Returns what gives it
 * back.
 */
export function claimTestInstance(): { readonly name: string; release(): void } {
  mkdirSync(DIRECTORY, { recursive: true, mode: 0o755 });
  const wished = process.env.CLASSMIND_TEST_INSTANCE;
  const numbered = Array.from({ length: 16 }, (_, index) => (index === 0 ? "cmtest" : `cmtest${index + 1}`));
  for (const name of wished === undefined ? numbered : [wished]) {
    const lock = `${DIRECTORY}/${name}.claimed`;
    try {
      const holder = Number(readFileSync(lock, "utf8"));
      if (holder !== process.pid && isAlive(holder)) continue;
      rmSync(lock, { force: true });
    } catch {
      // Nobody claimed it.
    }
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" });
    } catch {
      continue;
    }
    process.env.CLASSMIND_TEST_INSTANCE = name;
    return { name, release: () => rmSync(lock, { force: true }) };
  }
  throw new Error(
    wished === undefined
      ? "sixteen test runs at once; wait for one to end"
      : `another test run uses ${wished} (CLASSMIND_TEST_INSTANCE); wait for it to end`,
  );
}
