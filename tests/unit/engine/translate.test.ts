import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { containerOptions, macOf } from "../../../control-plane/engine/containers/container-spec.ts";
import { namespaceRules } from "../../../control-plane/engine/containers/firewall-rules.ts";
import { describeWorkload } from "../../../control-plane/engine/containers/keeper-status.ts";
import { acceptedWithoutEffect } from "../../../control-plane/engine/containers/translate/accepted.ts";
import {
  allowances,
  checkPolicy,
  coversPool,
  outward,
} from "../../../control-plane/engine/containers/translate/policies.ts";
import { checkQuota } from "../../../control-plane/engine/containers/translate/quota.ts";
import { accept, jobOf, workloadOf } from "../../../control-plane/engine/containers/translate/translate.ts";
import { EngineError, type Manifest } from "../../../control-plane/engine/engine.ts";
import { createInstance } from "../../../control-plane/host/instance.ts";
import { processLimits } from "../../../control-plane/host/process-limits.ts";
import { loadChart } from "../../../control-plane/render/render.ts";
import { smallSchool } from "../../fixtures/engine-school.ts";
import { tenantValues } from "../../fixtures/tenant-values.ts";

const chart = loadChart(join(import.meta.dirname, "../../../charts/tenant"));
const SPACE = "school-goethe";
const manifests = chart.renderTenant(tenantValues());

function find(kind: string, name?: string): Manifest {
  const found = manifests.find(
    (manifest) => manifest.kind === kind && (name ?? manifest.metadata.name) === manifest.metadata.name,
  );
  if (found === undefined) throw new Error(`the chart has no ${kind}`);
  return found;
}

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

function copy(manifest: Manifest): { [key: string]: Json } & Manifest {
  return JSON.parse(JSON.stringify(manifest));
}

/** Sets a value deep inside a copy, by path. */
function withValue(manifest: Manifest, path: readonly (string | number)[], value: Json | undefined): Manifest {
  const result = copy(manifest);
  let target: Record<string | number, unknown> = result;
  for (const key of path.slice(0, -1)) target = target[key] as Record<string | number, unknown>;
  const last = path.at(-1) ?? "";
  if (value === undefined) delete target[last];
  else target[last] = value;
  return result;
}

function workload(name: "app" | "db") {
  const accepted = accept(SPACE, find(name === "app" ? "Deployment" : "StatefulSet", name));
  if (accepted.kind !== "Deployment" && accepted.kind !== "StatefulSet") throw new Error("not a workload");
  return workloadOf(accepted);
}

describe("the engine's subset of Kubernetes", () => {
  it("has no Certificate: cert-manager is a cluster's", () => {
    const certificate = chart
      .renderTenant(tenantValues({ clusterIssuer: "letsencrypt" }))
      .find(({ kind }) => kind === "Certificate");
    if (certificate === undefined) throw new Error("no Certificate");
    expect(() => accept(SPACE, certificate)).toThrow("cert-manager.io/v1 Certificate is not supported");
  });

  it("accepts every object and every job of the chart", () => {
    for (const manifest of manifests) expect(() => accept(SPACE, manifest), manifest.kind).not.toThrow();
    for (const template of ["admin", "backup", "probe", "retention"] as const) {
      const job = { name: `${template}-x`, command: "x", deadlineSeconds: 60, superuser: true };
      expect(jobOf(SPACE, chart.renderJob(template, tenantValues(), job)).name).toBe(`${template}-x`);
    }
    expect(() => checkQuota(manifests.map((manifest) => accept(SPACE, manifest)))).not.toThrow();
  });

  const template = ["spec", "template", "spec"] as const;
  const container = [...template, "containers", 0] as const;
  it.each<[string, readonly (string | number)[], Json | undefined, RegExp]>([
    ["an unknown field of the pod", [...template, "hostNetwork"], true, /spec\.template\.spec\.hostNetwork/],
    [
      "an unknown field of the container",
      [...container, "lifecycle"],
      {},
      /spec\.template\.spec\.containers\[0\]\.lifecycle/,
    ],
    ["a second container", [...template, "containers", 1], {}, /spec\.template\.spec\.containers/],
    ["a mounted token", [...template, "automountServiceAccountToken"], true, /automountServiceAccountToken/],
    ["root", [...template, "securityContext", "runAsUser"], 0, /securityContext\.runAsUser/],
    ["a missing security context", [...container, "securityContext"], undefined, /containers\[0\]\.securityContext/],
    [
      "a writable root",
      [...container, "securityContext", "readOnlyRootFilesystem"],
      false,
      /readOnlyRootFilesystem: must be true/,
    ],
    ["a kept capability", [...container, "securityContext", "capabilities", "drop"], ["NET_RAW"], /capabilities\.drop/],
    [
      "an added capability",
      [...container, "securityContext", "capabilities", "add"],
      ["SYS_ADMIN"],
      /capabilities\.add/,
    ],
    ["privileges", [...container, "securityContext", "privileged"], true, /securityContext\.privileged/],
    ["no memory limit", [...container, "resources", "limits", "memory"], undefined, /resources\.limits\.memory/],
    [
      "an environment value from a secret",
      [...container, "env", 0],
      { name: "X", valueFrom: { secretKeyRef: {} } },
      /env\[0\]\.valueFrom/,
    ],
    ["a host path", [...template, "volumes", 0], { name: "data", hostPath: { path: "/" } }, /volumes\[0\]\.hostPath/],
    [
      "a mount outside",
      [...container, "volumeMounts", 0, "mountPath"],
      "/var/../etc",
      /mountPath: is not a plain absolute path/,
    ],
    ["a subPath that climbs", [...container, "volumeMounts", 0, "subPath"], "..", /subPath/],
    ["more than one replica", ["spec", "replicas"], 2, /spec\.replicas/],
    [
      "a probe that would start a program",
      [...container, "livenessProbe"],
      { exec: { command: ["true", "alive"] } },
      /livenessProbe\.exec\.command\[0\]: must be "\/usr\/local\/lib\/classmind\/postgres-probe"/,
    ],
    ["a host port", [...container, "ports", 0, "hostPort"], 80, /ports\[0\]\.hostPort/],
    ["another namespace", ["metadata", "namespace"], "school-schiller", /school-schiller/],
  ])("refuses %s by its path, for good", (_, path, value, message) => {
    const act = () => accept(SPACE, withValue(find("Deployment"), path, value));
    expect(act).toThrow(EngineError);
    expect(act).toThrow(message);
    expect(act).toThrow(/^Deployment\/app: /);
  });

  it("refuses kinds it does not know, and a Service that leaves the namespace", () => {
    expect(() =>
      accept(SPACE, { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "x", namespace: SPACE } }),
    ).toThrow(/ConfigMap is not supported/);
    expect(() => accept(SPACE, withValue(find("Service", "app"), ["spec", "type"], "NodePort"))).toThrow(/spec\.type/);
  });

  it("refuses what exceeds the namespace's quota, naming the resource", () => {
    const greedy = manifests.map((manifest) =>
      accept(
        SPACE,
        manifest.kind === "ResourceQuota" ? withValue(manifest, ["spec", "hard", "limits.memory"], "512Mi") : manifest,
      ),
    );
    expect(() => checkQuota(greedy)).toThrow(/ResourceQuota\/plan: spec\.hard\.limits\.memory/);
  });
});

describe("a job that restores from another school's backups", () => {
  const job = { name: "backup-restore", command: "restore", deadlineSeconds: 60 };
  const lent = chart.renderJob("restore", tenantValues(), { ...job, repositoryOf: "school-schiller" });

  it("names that school's namespace and mounts the repository read-only", () => {
    const model = jobOf(SPACE, lent);
    expect(model.repositoryOf).toBe("school-schiller");
    const mount = model.pod.main.mounts.find((entry) => entry.kind === "claim" && entry.claim === "repository");
    expect(mount?.readOnly).toBe(true);
    expect(jobOf(SPACE, chart.renderJob("backup", tenantValues(), job)).repositoryOf).toBeUndefined();
  });

  it("is refused when it could write there, mounts no repository or names no namespace", () => {
    const { annotations } = lent.metadata;
    const writing = chart.renderJob("backup", tenantValues(), job);
    expect(() => jobOf(SPACE, withValue(writing, ["metadata", "annotations"], { ...annotations }))).toThrow(
      /repository-of: the claim repository must be mounted read-only/,
    );
    const admin = chart.renderJob("admin", tenantValues(), job);
    expect(() => jobOf(SPACE, withValue(admin, ["metadata", "annotations"], { ...annotations }))).toThrow(
      /mounts no claim repository/,
    );
    const path = ["metadata", "annotations", "classmind.de/repository-of"];
    expect(() => jobOf(SPACE, withValue(lent, path, "../x"))).toThrow(/is not the name of a namespace/);
  });
});

describe("containers made of manifests", () => {
  it("Docker options of the app are as recorded", async () => {
    const { pod } = workload("app");
    const options = containerOptions(pod, pod.main, {
      instance: createInstance("classmind"),
      namespace: SPACE,
      workload: { kind: "Deployment", name: "app" },
      role: "main",
      suffix: "2",
      address: "10.70.0.2",
      hash: "sha256:00",
      restarts: 0,
      startNanoCpus: 0,
      hosts: { db: "10.70.0.4" },
      sources: Object.fromEntries(pod.main.mounts.map((mount) => [mount.path, `/host${mount.path}`])),
      emptyFile: "/run/classmind/classmind/empty",
      uid: 2_000_300_007,
      passwd: "/run/classmind/classmind/users/2000300007",
      limits: { openFiles: 4096, processes: 1000 },
      seccomp: "seccomp=/run/classmind/classmind/seccomp.json",
      podman: true,
    });
    await expect(`${JSON.stringify(options, null, 2)}\n`).toMatchFileSnapshot("../../golden/container-app.json");
  });

  it("a pod's digest follows everything that a running pod depends on, and nothing else", () => {
    const digest = (path: readonly (string | number)[], value: Json) => {
      const accepted = accept(SPACE, withValue(find("Deployment"), path, value));
      return accepted.kind === "Deployment" ? workloadOf(accepted).pod.digest : "";
    };
    const same = workload("app").pod.digest;
    expect(digest(["spec", "replicas"], 0)).toBe(same);
    expect(digest(["metadata", "labels", "x"], "y")).toBe(same);
    expect(
      digest(["spec", "template", "spec", "containers", 0, "image"], "localhost/classmind/app:1111111111111111"),
    ).not.toBe(same);
    expect(digest(["spec", "template", "spec", "containers", 0, "resources", "limits", "memory"], "999Mi")).not.toBe(
      same,
    );
  });

  it("hardware addresses are local, unicast and one for each address", () => {
    expect(macOf("10.70.0.2")).toBe("02:63:0a:46:00:02");
  });

  it("process limits stay below the host's own", () => {
    const text =
      "Max processes             4000                 4000                 processes\nMax open files            1024                 20000                files\n";
    expect(processLimits(text)).toEqual({ openFiles: 4096, processes: 3000 });
    expect(processLimits("Max processes unlimited unlimited processes\n").processes).toBe(30_000);
  });
});

describe("network policies", () => {
  const space = "school-small";
  const policies = smallSchool({ namespace: space, image: "localhost/classmind/app:0123456789abcdef" })
    .map((manifest) => accept(space, manifest))
    .filter((object) => object.kind === "NetworkPolicy");
  const pod = (address: string, name: string) => ({ address, labels: { "app.kubernetes.io/component": name } });
  const pods = [pod("10.70.0.2", "db"), pod("10.70.0.3", "app"), pod("10.70.0.5", "job"), pod("10.70.0.6", "stranger")];

  it("permit exactly gateway to app, app to database, job to database", () => {
    expect(allowances(policies, pods)).toEqual([
      { from: "10.70.0.3", to: "10.70.0.2", port: 5432 },
      { from: "10.70.0.5", to: "10.70.0.2", port: 5432 },
      { from: "host", to: "10.70.0.3", port: 8080 },
    ]);
  });

  it("permit nothing when the target's side or the source's side is missing", () => {
    const without = (name: string) => policies.filter((policy) => policy.metadata.name !== name);
    expect(allowances(without("db"), pods).filter((entry) => entry.to === "10.70.0.2")).toEqual([]);
    expect(allowances(without("job"), pods).filter((entry) => entry.from === "10.70.0.5")).toEqual([]);
    expect(allowances([], pods)).toEqual([]);
  });

  it("know only the host as a peer by address", () => {
    expect(coversPool("0.0.0.0/0", "10.70.0.0/16")).toBe(true);
    expect(coversPool("10.70.0.0/16", "10.70.0.0/16")).toBe(true);
    expect(coversPool("10.70.0.1/32", "10.70.0.0/16")).toBe(false);
    expect(coversPool("10.71.0.0/16", "10.70.0.0/16")).toBe(false);
    const app = policies.find((policy) => policy.metadata.name === "app");
    if (app === undefined) throw new Error("no policy");
    expect(() => checkPolicy(app, "172.16.0.0/16")).toThrow(/spec\.ingress\[0\]\.from\[0\]\.ipBlock\.cidr/);
  });

  it("let jobs reach one address outside for each port, never a network nor a school", () => {
    const peers = [{ peers: [{ ipBlock: { cidr: "192.0.2.10/32" } }], port: 8000 }];
    const elsewhere = chart.renderTenant(
      tenantValues({
        network: { ingressClass: "classmind", lingerMilliseconds: 0, gatewayPeers: [], repositoryPeers: peers },
      }),
    );
    const job = elsewhere.find(({ kind, metadata }) => kind === "NetworkPolicy" && metadata.name === "repository");
    if (job === undefined) throw new Error("no policy");
    const accepted = accept(SPACE, job);
    if (accepted.kind !== "NetworkPolicy") throw new Error("not a policy");
    checkPolicy(accepted, "10.70.0.0/16");
    const labels = { "app.kubernetes.io/component": "job", "classmind.de/job": "backup" };
    expect(outward([accepted], labels)).toEqual([{ address: "192.0.2.10", port: 8000 }]);
    expect(outward([accepted], { "app.kubernetes.io/component": "job" })).toEqual([]);
    const rules = { bridge: "cmx", gateway: "10.70.0.1", subnet: "10.70.0.0/28" };
    const { toHost } = namespaceRules(SPACE, rules, [{ from: "10.70.0.5", to: "host", port: 8000 }]);
    expect(toHost).toEqual(["ip saddr 10.70.0.5 ip daddr 10.70.0.1 tcp dport 8000 accept"]);
    const change = (cidr: string) => withValue(job, ["spec", "egress", 0, "to", 0, "ipBlock", "cidr"], cidr);
    for (const [cidr, why] of [
      ["192.0.2.0/24", /must be one address/],
      ["10.70.0.18/32", /is an address of schools/],
    ] as const) {
      const wrong = accept(SPACE, change(cidr));
      expect(() => wrong.kind === "NetworkPolicy" && checkPolicy(wrong, "10.70.0.0/16")).toThrow(why);
    }
  });
});

describe("the state of a workload", () => {
  const running = {
    wanted: true,
    present: true,
    busy: false,
    asWanted: true,
    started: true,
    young: false,
    ready: true,
    unreadyWhy: undefined,
    dead: undefined,
    failure: undefined,
  };
  it.each([
    ["ready", {}, "Ready", "AsDesired"],
    ["stopped", { wanted: false, present: false }, "Stopped", "AsDesired"],
    ["still stopping", { wanted: false }, "Starting", "Updating"],
    ["being replaced", { asWanted: false }, "Starting", "Updating"],
    ["starting", { present: false, busy: true, ready: false, started: false }, "Starting", "ContainerStarting"],
    ["not ready any more", { ready: false }, "Failing", "ProbeFailing"],
    ["not ready yet, as a database that recovers", { ready: false, young: true }, "Starting", "ContainerStarting"],
    [
      "failing to update",
      { asWanted: false, failure: { reason: "ContainerCrashing", message: "x" } },
      "Failing",
      "ContainerCrashing",
    ],
    [
      "without its secrets",
      { present: false, ready: false, failure: { reason: "SecretMissing", message: "x" } },
      "Missing",
      "ContainerMissing",
    ],
  ] as const)("%s", (_, change, state, reason) => {
    expect(describeWorkload({ ...running, ...change }).slice(0, 2)).toEqual([state, reason]);
  });
});

describe("accepted without effect", () => {
  it("the documentation lists every such field with its reason", () => {
    const text = readFileSync(join(import.meta.dirname, "../../../docs/containers-engine.md"), "utf8");
    for (const [path, reason] of acceptedWithoutEffect()) expect(text, path).toContain(`| \`${path}\` | ${reason} |`);
  });
});
