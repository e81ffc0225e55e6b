import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import {
  readCertificateHosts,
  readRoutes,
  type WholeSchool,
  writeSchools,
} from "../../../control-plane/gateway/files.ts";
import { type GatewayPaths, gatewayPaths } from "../../../control-plane/gateway/paths.ts";
import type { IssuedCertificate } from "../../../control-plane/issuer/issuer.ts";
import { hostOf, testAuthority } from "../../fixtures/ingress-school.ts";

/** All schools of a gateway, written into its files in one go. */
let directory: string;
let paths: GatewayPaths;
const issued = new Map<string, IssuedCertificate>();

beforeAll(async () => {
  const authority = await testAuthority();
  for (const slug of ["a", "b", "c"]) issued.set(slug, await authority.issue(slug));
});
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "classmind-gateway-files-"));
  paths = gatewayPaths({ configDir: directory, runDir: directory });
});
afterEach(() => rm(directory, { recursive: true }));

const pemOf = (slug: string): string => {
  const pair = issued.get(slug);
  return `${pair?.privateKeyPem.trimEnd()}\n${pair?.certificatePem.trimEnd()}\n`;
};
const school = (slug: string, changes: Partial<WholeSchool> = {}): WholeSchool => ({
  slug,
  hosts: [hostOf(slug)],
  route: { slug, destination: { state: "open", address: "10.0.0.1", port: 8080 } },
  pem: pemOf(slug),
  ...changes,
});
const seen = async () => ({
  routes: [...(await readRoutes(paths))].map(([host, { slug }]) => `${host} ${slug}`).sort(),
  certificates: [...(await readCertificateHosts(paths))].map(([slug, hosts]) => `${slug} ${hosts.join()}`).sort(),
  files: (await readdir(paths.certificates)).sort(),
});

test("are there with their certificates, and no others", async () => {
  await writeSchools(paths, [school("a"), school("b")]);
  await writeSchools(paths, [school("b"), school("c")]);
  expect(await seen()).toEqual({
    routes: [`${hostOf("b")} b`, `${hostOf("c")} c`],
    certificates: [`b ${hostOf("b")}`, `c ${hostOf("c")}`],
    files: ["b.pem", "c.pem"],
  });
});

test("keep the certificate that is there where it cannot be read just now", async () => {
  await writeSchools(paths, [school("a")]);
  const before = await seen();
  await writeSchools(paths, [school("a", { pem: undefined })]);
  expect(await seen()).toEqual(before);
  expect(await readFile(join(paths.certificates, "a.pem"), "utf8")).toBe(pemOf("a"));
});

test("have no certificate in the list that is not there: HAProxy would not start", async () => {
  await writeSchools(paths, [school("a", { pem: undefined }), school("b")]);
  expect((await seen()).certificates).toEqual([`b ${hostOf("b")}`]);
});

test("of a host that two ask for, the first has it, and the other nothing of it", async () => {
  await writeSchools(paths, [school("a"), school("b", { hosts: [hostOf("a")] })]);
  expect(await seen()).toEqual({
    routes: [`${hostOf("a")} a`],
    certificates: [`a ${hostOf("a")}`],
    files: ["a.pem"],
  });
});

test("come back from files that somebody broke", async () => {
  await writeSchools(paths, [school("a"), school("b")]);
  await writeFile(join(paths.certificates, "a.pem"), "nothing");
  await writeFile(join(paths.certificates, ".new-x.pem"), "half");
  await writeSchools(paths, [school("a", { pem: undefined }), school("b")]);
  expect(await seen()).toMatchObject({ certificates: [`b ${hostOf("b")}`], files: ["b.pem"] });
});
