import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { writeSchools } from "../../../control-plane/gateway/files.ts";
import { haproxyGateway } from "../../../control-plane/gateway/haproxy.ts";
import { certificatePath, type GatewayPaths, gatewayPaths } from "../../../control-plane/gateway/paths.ts";
import type { IssuedCertificate } from "../../../control-plane/issuer/issuer.ts";
import { hostOf, testAuthority } from "../../fixtures/ingress-school.ts";

/** The gateway's files under the eyes of somebody who watches them; the files are real, HAProxy does not run. */
const SLUGS = ["a", "b", "c"] as const;
let directory: string;
let paths: GatewayPaths;
let stop: AbortController;
let told: string[];
let watching: Promise<unknown> | undefined;
let gateway: ReturnType<typeof haproxyGateway>;
const issued = new Map<string, IssuedCertificate>();

beforeAll(async () => {
  const authority = await testAuthority();
  for (const slug of SLUGS) issued.set(slug, await authority.issue(slug));
});
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "classmind-gateway-watch-"));
  const directories = { configDir: directory, runDir: directory };
  paths = gatewayPaths(directories);
  await writeSchools(
    paths,
    SLUGS.map((slug) => {
      const pair = issued.get(slug);
      const pem = `${pair?.privateKeyPem.trimEnd()}\n${pair?.certificatePem.trimEnd()}\n`;
      const destination = { state: "open", address: "10.0.0.1", port: 8080 } as const;
      return { slug, hosts: [hostOf(slug)], route: { slug, destination }, pem };
    }),
  );
  gateway = haproxyGateway(directories);
  stop = new AbortController();
  told = [];
  watching = gateway.watch?.(stop.signal, (slug) => told.push(slug));
  await wait(500);
});
afterEach(async () => {
  stop.abort();
  await watching;
  await rm(directory, { recursive: true });
});

describe("of the gateway's files", () => {
  it("a certificate that somebody removes, and one that somebody overwrites, is told of with its school", async () => {
    await rm(certificatePath(paths, "a"));
    await expect.poll(() => told, { timeout: 5_000 }).toEqual(["a"]);
    await writeFile(certificatePath(paths, "b"), "another");
    await expect.poll(() => told, { timeout: 5_000 }).toEqual(["a", "b"]);
  });

  it("lost routes are told of with the schools that they led to", async () => {
    const lines = (await readFile(paths.routes, "utf8")).split("\n").filter((line) => !line.startsWith(hostOf("c")));
    await writeFile(paths.routes, lines.join("\n"));
    await expect.poll(() => told, { timeout: 5_000 }).toEqual(["c"]);
    await rm(paths.routes);
    await expect.poll(() => told, { timeout: 5_000 }).toEqual(["c", "a", "b"]);
  });

  it("a directory that goes, with all in it, and what happens in its successor", async () => {
    await rm(paths.certificates, { recursive: true });
    await expect.poll(() => told.length, { timeout: 10_000 }).toBe(3);
    await wait(1_500);
    await writeFile(certificatePath(paths, "a"), "another");
    await expect.poll(() => told, { timeout: 10_000 }).toEqual(["a", "b", "c", "a"]);
  });

  it("what the gateway itself writes is no news, and nor is a look", async () => {
    const destination = { state: "open", address: "10.0.0.2", port: 8080 } as const;
    // HAProxy does not run: the file is written all the same.
    await expect(gateway.setRoute("a", [hostOf("a")], destination)).rejects.toMatchObject({ code: "Unavailable" });
    expect(await readFile(paths.routes, "utf8")).toContain("10.0.0.2");
    await gateway.observe("b");
    await expect(gateway.remove("c")).rejects.toMatchObject({ code: "Unavailable" });
    await wait(1_000);
    expect(told).toEqual([]);
  });
});
