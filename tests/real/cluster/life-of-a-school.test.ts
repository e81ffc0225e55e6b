import { rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { connect } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ClusterPlatform, clusterUnderTest, installOnCluster } from "../../fixtures/cluster-platform.ts";
import { restServer } from "../../fixtures/cluster-rest-server.ts";
import { createSchool, type SchoolInUse, schoolInUse, seenBy } from "../../fixtures/school-in-use.ts";

/**
 * A school's whole life on a real cluster: the control plane as `kubectl apply -k` installs it, the command line, HTTPS through the
 * cluster's ingress controller with a certificate that is checked, backups outside of the school's namespace.
 *
 *   CLASSMIND_TEST_KUBECONFIG         of an administrator of a cluster that has no namespace `classmind`
 *   CLASSMIND_TEST_CLUSTER_IMAGES     images.json of tests/real/cluster/images.ts, once the cluster has those images
 *   CLASSMIND_TEST_INGRESS_ADDRESS    ADDRESS:PORT where its ingress controller answers HTTPS
 *   CLASSMIND_TEST_INGRESS_CLASS, CLASSMIND_TEST_GATEWAY_PEERS, CLASSMIND_TEST_STORAGE_CLASS
 *                                     with the class `classmind` our own gateway is installed, at the address's port of the nodes
 *   CLASSMIND_TEST_USER_NAMESPACES    yes: schools' pods run in user namespaces
 *   CLASSMIND_TEST_LACKS              checks of preflight, with commas between, that this cluster is known to fail
 */
const cluster = clusterUnderTest();
const SLUG = "schiller";
const SPACE = `school-${SLUG}`;
const BACKUPS = "classmind-test-life-backup";
const PEOPLE = 8;
const lacks = (process.env.CLASSMIND_TEST_LACKS ?? "").split(",");

const began = performance.now();
/** What was done and when, for whoever watches. */
function say(text: string): void {
  process.stdout.write(`${((performance.now() - began) / 1000).toFixed(1).padStart(7)} s  ${text}\n`);
}
async function timed<T>(text: string, work: () => Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await work();
  say(`${text}: ${((performance.now() - start) / 1000).toFixed(1)} s`);
  return result;
}
async function until(what: string, holds: () => Promise<boolean>, seconds = 120): Promise<void> {
  for (const end = Date.now() + seconds * 1000; !(await holds()); ) {
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

if (typeof cluster === "string") {
  it("a school's life on a cluster", (context) => context.skip(cluster));
} else {
  describe("a school's life on a cluster", () => {
    let platform: ClusterPlatform;
    let school: SchoolInUse;
    const inSchool = (...words: readonly string[]) => platform.kubectl("-n", SPACE, ...words);
    const phase = async () => (await platform.json<{ phase: string }>("tenant", "get", SLUG)).phase;
    const ready = async () => (await phase()) === "Ready";

    const seen = () => seenBy(() => platform.besucher(SLUG), school);

    beforeAll(async () => {
      const rest = await restServer(cluster.images["rest-server"], BACKUPS);
      const file = (name: string) => path.join(tmpdir(), `classmind-${process.pid}-${name}`);
      const { execFileSync } = await import("node:child_process");
      const env = { ...process.env, KUBECONFIG: cluster.kubeconfig };
      const kubectl = (words: readonly string[], input?: string) =>
        execFileSync("kubectl", [...words], { env, encoding: "utf8", ...(input === undefined ? {} : { input }) });
      kubectl(["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items: rest.objects }));
      kubectl(["annotate", "storageclass", cluster.storageClass, "classmind.de/encrypts=true", "--overwrite"]);
      kubectl(["-n", BACKUPS, "rollout", "status", "deployment/rest-server", "--timeout=180s"]);
      const jsonpath = ["-o", "jsonpath={.spec.clusterIP}"];
      const address = kubectl(["-n", BACKUPS, "get", "service", "rest-server", ...jsonpath]).trim();
      platform = await installOnCluster(
        cluster,
        { backup: rest.settings(address), userNamespaces: cluster.userNamespaces },
        async (run) => {
          const files = await Promise.all(
            Object.entries(rest.credentials).map(async ([name, content]) => {
              await writeFile(file(name), content, { mode: 0o600 });
              return `--from-file=${name}=${file(name)}`;
            }),
          );
          await run("-n", "classmind", "create", "secret", "generic", "backup-repository", ...files);
          for (const name of Object.keys(rest.credentials)) await rm(file(name));
        },
        say,
      );
    }, 600_000);
    afterAll(async () => {
      // What a failed test left: a control plane made later must not find it.
      const left = [SPACE, "school-goethe", BACKUPS];
      await platform?.remove();
      await platform?.kubectl("delete", "namespace", ...left, "--ignore-not-found");
    }, 300_000);

    it("preflight finds the cluster fit", async () => {
      const words = [
        "-n",
        "classmind",
        "exec",
        "deployment/reconciler",
        "--",
        "node",
        "/app/reconciler.mjs",
        "preflight",
      ];
      // It ends with a code of its own where a check fails.
      const told = await platform.kubectl(...words).catch((error: Error) => error.message);
      say(`preflight\n${told.trimEnd()}`);
      expect([...told.matchAll(/^ok {3}\S+/gm)].length).toBeGreaterThan(5);
      const failed = [...told.matchAll(/^FAIL (\S+)/gm)].map(([, check]) => check);
      expect(failed.filter((check) => !lacks.includes(check ?? ""))).toEqual([]);
    });

    it("and, tried out with pods, fit for the walls around a school", async () => {
      interface Examined {
        readonly fit: boolean;
        readonly findings: ReadonlyArray<{ readonly check: string; readonly ok: boolean; readonly message: string }>;
      }
      await timed("doctor --engine", () => platform.classmind("doctor", "--engine", "kubernetes"));
      const { fit, findings } = await platform.json<Examined>("engine", "get", "kubernetes");
      for (const { check, ok, message } of findings) say(`  ${ok ? "ok  " : "FAIL"} ${check}: ${message}`);
      expect(findings.filter(({ check, ok }) => !ok && !lacks.includes(check))).toEqual([]);
      expect(findings.map(({ check }) => check)).toEqual(expect.arrayContaining(["trial-pod", "network-policies"]));
      expect(fit).toBe(true);
    });

    it("is created; people sign in over HTTPS, write a message and keep a file", async () => {
      school = await schoolInUse(platform, SLUG);
      say(`created and ready after ${(school.created.milliseconds / 1000).toFixed(1)} s`);
      for (const { name, milliseconds } of school.created.steps) say(`  ${name} ${(milliseconds / 1000).toFixed(1)} s`);
      expect(school.created).toMatchObject({ url: platform.url(SLUG), phase: "Ready" });
      expect(await seen()).toEqual({ nachricht: true, datei: true });
    });

    it("its walls hold against the cluster, the control plane and a neighbour", async () => {
      await createSchool(platform, "goethe");
      const { tried, holes, byKind } = await timed("verify isolation", () =>
        platform.json<{ tried: number; holes: unknown[]; byKind: Record<string, number> }>("verify", "isolation", SLUG),
      );
      say(`  ${tried} targets tried, ${holes.length} reached: ${JSON.stringify(byKind)}`);
      expect(holes).toEqual([]);
      expect(Object.keys(byKind)).toEqual(
        expect.arrayContaining([
          "neighbour",
          "host-port",
          "control-plane",
          "metadata",
          "internet",
          "outside-name",
          "kernel",
        ]),
      );
    });

    /** Of the certificate that a handshake for the school shows; whether it is valid, every visit checks. */
    const servedSerial = (): Promise<string> =>
      new Promise((resolve, reject) => {
        const { address, port } = cluster.ingress;
        const servername = new URL(platform.url(SLUG)).hostname;
        const socket = connect({ host: address, port, servername, rejectUnauthorized: false }, () => {
          resolve(socket.getPeerCertificate().serialNumber);
          socket.destroy();
        });
        socket.on("error", reject);
      });

    /** People at work while something happens, and for three seconds more. */
    async function underLoad(work: () => Promise<void>): Promise<void> {
      const visitors = await Promise.all(
        Array.from({ length: PEOPLE }, async () => {
          const visitor = platform.besucher(SLUG);
          await visitor.meldeAn(school.admin.benutzername, school.admin.passwort);
          return visitor;
        }),
      );
      const failed: string[] = [];
      let answered = 0;
      let over = false;
      const pages = [`/nachrichten/${school.nachricht.id}`, `/dateien/${school.datei.id}/inhalt`, "/dateien"];
      const load = visitors.map(async (visitor) => {
        for (let round = 0; !over; round += 1) {
          const page = pages[round % pages.length] ?? "/";
          const status = await visitor.get(page).then(
            (answer) => String(answer.status),
            (error: unknown) => String(error),
          );
          answered += 1;
          if (status !== "200") failed.push(`${page}: ${status}`);
        }
      });
      await work();
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      over = true;
      await Promise.all(load);
      say(`  ${answered} requests by ${PEOPLE} people meanwhile, ${failed.length} failed`);
      for (const failure of failed.slice(0, 20)) say(`    ${failure}`);
      expect(failed).toEqual([]);
      expect(answered).toBeGreaterThan(100);
    }

    it("its app is updated under load without one failed request", async () => {
      const image = cluster.images["next-app"];
      await underLoad(() =>
        timed("updated", async () => {
          await platform.configure({ images: { app: image, postgres: cluster.images.postgres } });
          const jsonpath = "jsonpath={.spec.template.spec.containers[0].image}";
          await until("the app's new image", async () =>
            (await inSchool("get", "deployment", "app", "-o", jsonpath)).includes(image),
          );
          await inSchool("rollout", "status", "deployment/app", "--timeout=120s");
          await until("the school is ready", ready);
        }),
      );
    });

    it("our own gateway's pods are replaced under load without one failed request", async (context) => {
      if (!cluster.ownGateway)
        return context.skip("another controller leads to schools here: CLASSMIND_TEST_INGRESS_CLASS is not classmind");
      const gateway = (...words: readonly string[]) => platform.kubectl("-n", "classmind-gateway", ...words);
      await underLoad(() =>
        timed("gateway replaced", async () => {
          const names = async () => (await gateway("get", "pods", "-o", "name")).trim().split("\n");
          const before = await names();
          await gateway("rollout", "restart", "deployment/gateway");
          await gateway("rollout", "status", "deployment/gateway", "--timeout=120s");
          await until("the old pods' end", async () => (await names()).every((name) => !before.includes(name)));
        }),
      );
    });

    it("our own gateway learns of another certificate at once, and has no right but to schools' certificates", async (context) => {
      if (!cluster.ownGateway)
        return context.skip("another controller leads to schools here: CLASSMIND_TEST_INGRESS_CLASS is not classmind");
      const before = await servedSerial();
      await timed("certificate renewed", () => platform.classmind("cert", "renew", SLUG));
      await until("the new certificate", async () => (await servedSerial()) !== before);
      const can = (...words: readonly string[]) =>
        platform
          .kubectl("auth", "can-i", ...words, "--as", "system:serviceaccount:classmind-gateway:gateway")
          .then((answer) => answer.trim())
          .catch(() => "no");
      expect(await can("get", "secret/tls", "-n", SPACE)).toBe("yes");
      expect(await can("get", "secret/database-owner", "-n", SPACE)).toBe("no");
      expect(await can("list", "secrets", "-n", SPACE)).toBe("no");
      expect(await can("get", "secret/tls", "-n", "classmind")).toBe("no");
      expect(await can("patch", "ingress", "-n", SPACE)).toBe("no");
    });

    interface Restored {
      readonly state: string;
      readonly result: { readonly volume: string; readonly closedSeconds: number; readonly message: string };
    }
    const restore = (...words: readonly string[]) =>
      timed("restored", () => platform.json<Restored>("backup", "restore", SLUG, "--yes", ...words));
    /** Names of the volume claims that are there, oldest name first. */
    const claims = async () => {
      const names = await inSchool("get", "pvc", "-o", "jsonpath={.items[*].metadata.name}");
      return names
        .split(" ")
        .filter((name) => name.startsWith("data"))
        .sort();
    };

    it("is restored in place: open until the restored volume takes the other's place, which is kept until that is confirmed", async () => {
      await timed("backed up", () => platform.json("backup", "create", SLUG));
      const { state, result } = await restore("--reason", "Prüfung");
      say(`  ${result.message}`);
      expect({ state, volume: result.volume }).toEqual({ state: "Succeeded", volume: "data-2" });
      expect(await seen()).toEqual({ nachricht: true, datei: true });
      expect(await claims()).toEqual(["data", "data-2"]);
      await platform.json("backup", "confirm", SLUG, "--yes");
      await until("the volume that was replaced is gone", async () => (await claims()).join() === "data-2");
      expect(await seen()).toEqual({ nachricht: true, datei: true });
    });

    it("whose namespace somebody deleted says so, gets no empty volume, and comes back from its backup", async () => {
      const { runId } = await timed("backed up", () => platform.json<{ runId: string }>("backup", "create", SLUG));
      await timed("read back", () => platform.json("backup", "verify", SLUG, runId));
      await timed("namespace deleted by hand", () => platform.kubectl("delete", "namespace", SPACE, "--wait=true"));
      const conditions = async () =>
        (await platform.json<{ conditions: { type: string; reason: string }[] }>("tenant", "get", SLUG)).conditions;
      await timed("told", () =>
        until("the school misses its volume", async () =>
          (await conditions()).some(({ type, reason }) => type === "Ready" && reason === "VolumeMissing"),
        ),
      );
      // Nothing was made in its place.
      expect(await claims().catch(() => [])).toEqual([]);
      const { state } = await restore("--run", runId, "--reason", "Namespace gelöscht");
      expect(state).toBe("Succeeded");
      expect(await seen()).toEqual({ nachricht: true, datei: true });
    });

    it("runs as a user of the node that nobody else is, where that is asked for", async (context) => {
      if (!cluster.userNamespaces) return context.skip("not asked for: CLASSMIND_TEST_USER_NAMESPACES is not yes");
      const firstUser = async (workload: string) =>
        (await inSchool("exec", workload, "--", "cat", "/proc/self/uid_map")).trim().split(/ +/)[1];
      const [app, database] = [await firstUser("deployment/app"), await firstUser("statefulset/db")];
      expect([app, database]).not.toContain("0");
      expect(app).not.toBe(database);
    });

    it("suspended, it runs nothing, has no key in the cluster and shows nothing; resumed, all is there", async () => {
      await timed("suspended", () => platform.json("tenant", "suspend", SLUG, "--yes"));
      expect(await phase()).toBe("Suspended");
      // The certificate stays, so that whoever comes sees a closed school and no warning.
      expect((await inSchool("get", "pods,secrets", "-o", "name")).trim()).toBe("secret/tls");
      const page = await platform.besucher(SLUG).get("/");
      expect([404, 502, 503, 504]).toContain(page.status);
      await timed("resumed", () => platform.json("tenant", "resume", SLUG));
      expect(await seen()).toEqual({ nachricht: true, datei: true });
    });

    it("its purge says within ten seconds what of somebody else's holds it up, and goes on when that is gone", async () => {
      const held = { name: "held", namespace: "school-goethe", finalizers: ["example.org/hold"] };
      await platform.apply({ apiVersion: "v1", kind: "ConfigMap", metadata: held });
      const letGo = ["patch", "configmap", held.name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}'];
      const purged = platform.purge("goethe");
      try {
        const ending = ["get", "namespace", held.namespace, "-o", "jsonpath={.metadata.deletionTimestamp}"];
        await until("the namespace is being removed", async () => (await platform.kubectl(...ending)) !== "");
        const asked = performance.now();
        await until("the finalizer is named", async () =>
          (await platform.classmind("tenant", "get", "goethe", "-o", "json")).stdout.includes("example.org/hold"),
        );
        const seconds = (performance.now() - asked) / 1000;
        say(`  what holds it up is told after ${seconds.toFixed(1)} s`);
        expect(seconds).toBeLessThan(10);
      } finally {
        await platform.kubectl("-n", held.namespace, ...letGo);
      }
      await purged;
      expect(await platform.kubectl("get", "namespace", held.namespace, "--ignore-not-found", "-o", "name")).toBe("");
    });

    it("purged, nothing of it is left in the cluster", async () => {
      const [claim = ""] = await claims();
      const volume = await inSchool("get", "pvc", claim, "-o", "jsonpath={.spec.volumeName}");
      await timed("purged", () => platform.purge(SLUG));
      expect(await platform.kubectl("get", "namespace", SPACE, "--ignore-not-found", "-o", "name")).toBe("");
      expect(await platform.kubectl("get", "persistentvolume", volume, "--ignore-not-found", "-o", "name")).toBe("");
      const all = await platform.kubectl("get", "all,pvc,pv,ingress,networkpolicy,secret", "-A", "-o", "name");
      expect(all).not.toContain(SLUG);
      expect((await platform.json<{ items: unknown[] }>("tenant", "list")).items).toEqual([]);
    });
  });
}
