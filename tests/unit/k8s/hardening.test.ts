import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { loadChart } from "../../../control-plane/render/render.ts";
import { OTHER_CHECKS } from "../../fixtures/hardening/other-checks.ts";
import { type Check, POD_CHECKS } from "../../fixtures/hardening/pod-checks.ts";
import { buildKustomization, type KubeObject } from "../../fixtures/kustomize.ts";
import { tenantValues } from "../../fixtures/tenant-values.ts";

/**
 * The rules of Pod Security `restricted` and the checks of the common linters over all that runs on a cluster. What does not hold
 * on purpose is in k8s/exceptions.yaml, with the reason.
 */
const CHECKS: Readonly<Record<string, Check>> = { ...POD_CHECKS, ...OTHER_CHECKS };
const exceptions = z
  .record(z.string(), z.array(z.strictObject({ objects: z.array(z.string()), reason: z.string().min(20) })))
  .parse(parse(readFileSync("k8s/exceptions.yaml", "utf8")));

const chart = loadChart("charts/tenant");
const JOB = { deadlineSeconds: 600, superuser: false };
const jobs = [
  chart.renderJob("admin", tenantValues(), { ...JOB, name: "admin", command: "admin" }),
  chart.renderJob("backup", tenantValues(), { ...JOB, name: "backup", command: "backup" }),
  chart.renderJob("probe", tenantValues(), { ...JOB, name: "probe", command: "probe" }),
  chart.renderJob("retention", tenantValues(), { ...JOB, name: "retention", command: "forget" }),
];
/** What is there besides where cert-manager makes certificates. */
const certified = chart
  .renderTenant(tenantValues({ clusterIssuer: "letsencrypt" }))
  .filter(({ kind, metadata }) => kind === "Certificate" || metadata.name === "acme");
const SETS: Readonly<Record<string, readonly KubeObject[]>> = {
  school: [...chart.renderTenant(tenantValues()), ...certified, ...jobs] as readonly KubeObject[],
  "control-plane": [...buildKustomization("k8s/install"), ...buildKustomization("k8s/components/api-ingress")],
  gateway: buildKustomization("k8s/install", ["k8s/gateway"]).filter(
    ({ metadata }) => metadata.namespace === "classmind-gateway" || metadata.name.startsWith("classmind-gateway"),
  ),
};

/** `school Deployment/app`, for every object that breaks a rule. */
function broken(check: Check): readonly string[] {
  return Object.entries(SETS).flatMap(([name, objects]) =>
    objects
      .filter((object) => check.find(object, objects).length > 0)
      .map((object) => `${name} ${object.kind}/${object.metadata.name}`),
  );
}

describe("what runs on a cluster", () => {
  it.each(Object.keys(CHECKS))("%s, or says why not", (name) => {
    const check = CHECKS[name];
    const excused = (exceptions[name] ?? []).flatMap(({ objects }) => objects);
    expect([...(check === undefined ? [] : broken(check))].sort(), check?.from).toEqual([...excused].sort());
  });

  it("has no exception to a rule that is not there", () => {
    expect(Object.keys(exceptions).filter((name) => CHECKS[name] === undefined)).toEqual([]);
  });

  it("breaks no rule of Pod Security restricted, whatever the exceptions say", () => {
    const rules = Object.entries(CHECKS).filter(([, check]) => check.from.startsWith("PSS"));
    expect(rules.length).toBeGreaterThan(8);
    expect(rules.flatMap(([, check]) => broken(check))).toEqual([]);
  });
});

describe("the checks themselves", () => {
  const container = {
    name: "app",
    image: "x",
    ports: [{ containerPort: 80, hostPort: 80 }],
    env: [
      { name: "DB_PASSWORD", value: "x" },
      { name: "DB_PASSWORD", value: "x" },
    ],
    securityContext: { privileged: true, capabilities: { add: ["NET_ADMIN"] } },
  };
  const spec = { hostNetwork: true, containers: [container], volumes: [{ name: "host", hostPath: { path: "/" } }] };
  const template = { metadata: { labels: {} }, spec: { ...spec, securityContext: { sysctls: [] } } };
  const careless: readonly KubeObject[] = [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: "x" } },
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "d", namespace: "x" },
      spec: { replicas: 2, template },
    },
    { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "e", namespace: "x" }, spec: { template } },
    { apiVersion: "apps/v1", kind: "StatefulSet", metadata: { name: "s", namespace: "x" }, spec: { template } },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "v", namespace: "x" },
      spec: { type: "NodePort", ports: [{ port: 81 }] },
    },
    {
      apiVersion: "networking.k8s.io/v1",
      kind: "Ingress",
      metadata: { name: "i", namespace: "x" },
      spec: { rules: [{ host: "h", http: { paths: [] } }] },
    },
    {
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name: "n", namespace: "x" },
      spec: { podSelector: { matchLabels: { no: "one" } }, policyTypes: [] },
    },
    {
      apiVersion: "policy/v1",
      kind: "PodDisruptionBudget",
      metadata: { name: "b", namespace: "x" },
      spec: { minAvailable: 1, selector: { matchLabels: { no: "one" } } },
    },
    { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "c", namespace: "x" }, data: { f: '{"password": "x"}' } },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRole",
      metadata: { name: "r" },
      rules: [
        { apiGroups: ["*"], resources: ["secrets"], verbs: ["*"] },
        { apiGroups: [""], resources: ["nodes/proxy"], verbs: ["get"] },
      ],
    },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRoleBinding",
      metadata: { name: "r" },
      roleRef: { name: "r" },
    },
  ];

  it.each(Object.keys(CHECKS))("%s: what is careless is found", (name) => {
    const check = CHECKS[name];
    const found = careless.flatMap((object) => check?.find(object, careless) ?? []);
    // Two probes that are both missing do not resemble each other.
    if (name !== "probes-differ") expect(found.length, name).toBeGreaterThan(0);
  });
});
