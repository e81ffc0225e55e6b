import { execFile } from "node:child_process";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { layoutOf } from "../../../control-plane/host/layout.ts";
import { clusterUnderTest } from "../../fixtures/cluster-platform.ts";
import { REPOSITORY_NAMESPACE, restServer } from "../../fixtures/cluster-rest-server.ts";
import { openPlatform, type RealPlatform } from "../../fixtures/real-platform.ts";
import { type SchoolInUse, schoolInUse, seenBy } from "../../fixtures/school-in-use.ts";
import { Besucher } from "../../fixtures/school-visitor.ts";

/**
 * A school moves from this machine to a cluster and back, through the command line: whenever the variables of
 * tests/real/cluster/life-of-a-school.test.ts name a cluster one of whose nodes is this machine (its services' addresses lead to
 * the backups).
 */
const cluster = clusterUnderTest();
const SLUG = "hebbel";
const SPACE = `school-${SLUG}`;
const run = promisify(execFile);

interface Moved {
  readonly from: string;
  readonly to: string;
  readonly message: string;
  readonly url: string;
  readonly left?: string;
}

if (typeof cluster === "string") {
  it("a school moves to a cluster and back", (context) => context.skip(cluster));
} else {
  describe("a school that is moved", () => {
    let platform: RealPlatform;
    let school: SchoolInUse;
    let settingsFile: string;
    let settingsBefore: string;
    const { ingress } = cluster;
    const env = { ...process.env, KUBECONFIG: cluster.kubeconfig };
    const kubectl = async (...words: readonly string[]) => (await run("kubectl", [...words], { env })).stdout;
    const move = (...words: readonly string[]) =>
      platform.json<Moved>("tenant", "move", SLUG, ...words, "--yes", "--reason", "Umzug");

    /** Somebody who comes by the cluster's ingress controller. */
    async function visitorOfCluster(): Promise<Besucher> {
      const { address: at, port } = ingress;
      const { domain } = JSON.parse(settingsBefore) as { domain: string };
      const certificateAuthority = await readFile(layoutOf(platform.instance).authorityFile, "utf8");
      return new Besucher({ at, port, host: `${SLUG}.${domain}:${port}`, certificateAuthority });
    }

    beforeAll(async () => {
      platform = await openPlatform();
      const layout = layoutOf(platform.instance);
      settingsFile = layout.settingsFile;
      settingsBefore = await readFile(settingsFile, "utf8");
      const rest = await restServer(cluster.images["rest-server"]);
      const input = JSON.stringify({ apiVersion: "v1", kind: "List", items: rest.objects });
      const applied = run("kubectl", ["apply", "-f", "-"], { env });
      applied.child.stdin?.end(input);
      await applied;
      await kubectl("annotate", "storageclass", cluster.storageClass, "classmind.de/encrypts=true", "--overwrite");
      await kubectl("-n", REPOSITORY_NAMESPACE, "rollout", "status", "deployment/rest-server", "--timeout=180s");
      const jsonpath = ["-o", "jsonpath={.spec.clusterIP}"];
      const address = await kubectl("-n", REPOSITORY_NAMESPACE, "get", "service", "rest-server", ...jsonpath);
      const { repository, peers, hosts } = rest.settings(address.trim());
      const beside = (name: string) => path.join(path.dirname(settingsFile), name);
      await copyFile(cluster.kubeconfig, beside("move-kubeconfig"));
      await run("chmod", ["600", beside("move-kubeconfig")]);
      await writeFile(beside("move-environment"), rest.credentials.environment, { mode: 0o600 });
      await writeFile(beside("move-authority"), rest.credentials.authority, { mode: 0o600 });
      const engine = {
        engine: { kind: "kubernetes", kubeconfig: beside("move-kubeconfig") },
        platform: {
          httpsPort: cluster.ingress.port,
          images: { app: cluster.images.app, postgres: cluster.images.postgres },
          storageClass: cluster.storageClass,
          ingressClass: cluster.ingressClass,
          gatewayPeers: cluster.gatewayPeers,
          backup: { repository, peers, hosts },
        },
        repositoryEnvironmentFile: beside("move-environment"),
        repositoryAuthorityFile: beside("move-authority"),
      };
      await writeFile(settingsFile, JSON.stringify({ ...JSON.parse(settingsBefore), engines: { cluster: engine } }), {
        mode: 0o600,
      });
      const ended = await platform.classmind("up");
      if (ended.code !== 0) throw new Error(ended.stderr);
      school = await schoolInUse(platform, SLUG, "--engine", "containers");
      await platform.json("backup", "create", SLUG);
    }, 600_000);
    afterAll(async () => {
      await platform?.purge(SLUG).catch(() => undefined);
      if (settingsBefore !== undefined) await writeFile(settingsFile, settingsBefore, { mode: 0o600 });
      await platform?.classmind("up");
      await kubectl("delete", "namespace", REPOSITORY_NAMESPACE, SPACE, "--ignore-not-found");
    }, 300_000);

    it("lives on the cluster with all that people had, and its old place shows that it is closed", async () => {
      const moved = await move("--to", "cluster");
      expect(moved).toMatchObject({ from: "containers", to: "cluster" });
      expect(moved.message).toMatch(/^\d+ rows in \d+ tables, equal on both sides; closed for [\d.]+ s$/);
      expect(moved.left).toBeUndefined();
      expect(await seenBy(visitorOfCluster, school)).toEqual({ nachricht: true, datei: true });
      expect((await platform.besucher(SLUG).get("/anmelden")).status).toBe(503);
    });

    it("brings its earlier backups along: they are read back over there", async () => {
      const { items } = await platform.json<{ items: { runId: string; state: string }[] }>("backup", "list", SLUG);
      const complete = items.filter(({ state }) => state === "Complete");
      expect(complete.length).toBeGreaterThan(1);
      const oldest = complete.at(-1)?.runId ?? "";
      const { verifiedAt } = await platform.json<{ verifiedAt?: string }>("backup", "verify", SLUG, oldest);
      expect(verifiedAt).toBeDefined();
    });

    it("comes back with what was entered on the cluster, and leaves nothing there once that is confirmed", async () => {
      const visitor = await visitorOfCluster();
      await visitor.meldeAn(school.admin.benutzername, school.admin.passwort);
      await visitor.get("/dateien");
      const content = Buffer.from("erst auf dem Cluster geschrieben");
      await visitor.upload("Nachtrag.txt", content);
      await move("--to", "containers");
      expect(await seenBy(() => platform.besucher(SLUG), school)).toEqual({ nachricht: true, datei: true });
      const home = platform.besucher(SLUG);
      await home.meldeAn(school.admin.benutzername, school.admin.passwort);
      const ids = [...(await home.get("/dateien")).text.matchAll(/href="\/dateien\/([0-9a-f-]{36})"/g)];
      const added = ids.map(([, id]) => id).find((id) => id !== school.datei.id);
      expect((await home.get(`/dateien/${added}/inhalt`)).body.equals(content)).toBe(true);
      await platform.json("tenant", "move", SLUG, "--confirm", "--yes");
      expect(await kubectl("get", "namespace", SPACE, "--ignore-not-found")).toBe("");
      expect(await kubectl("get", "persistentvolumes", "-o", "name")).not.toContain(SPACE);
    });
  });
}
