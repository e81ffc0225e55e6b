import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../../control-plane/clock.ts";
import { readConfig } from "../../../control-plane/config.ts";
import type { Engine } from "../../../control-plane/engine/engine.ts";
import { openClient } from "../../../control-plane/engine/kubernetes/client.ts";
import { WATCH_TIMES } from "../../../control-plane/engine/kubernetes/keep-watching.ts";
import { loadKubeConfig } from "../../../control-plane/engine/kubernetes/kubeconfig.ts";
import {
  createKubernetesEngine,
  type KubernetesEngineOptions,
} from "../../../control-plane/engine/kubernetes/kubernetes.ts";
import { openTransport } from "../../../control-plane/engine/kubernetes/transport.ts";
import { haproxyGateway } from "../../../control-plane/gateway/haproxy.ts";
import { CONFIG_MOUNT, gatewayPaths, PATHS_INSIDE } from "../../../control-plane/gateway/paths.ts";
import { IMAGE_RECIPES } from "../../../control-plane/images/recipes.ts";
import { gatewayControllerConfig } from "../../../control-plane/ingress/config.ts";
import { startIngressController } from "../../../control-plane/ingress/controller.ts";
import { silentLog } from "../../../control-plane/log.ts";
import { loadChart } from "../../../control-plane/render/render.ts";
import { schemaProblems } from "../../../control-plane/render/schema.ts";
import { at, containersOf, hasPods, listAt, podOf, textAt } from "../../fixtures/hardening/objects.ts";
import { hostOf, INGRESS_CLASS, putSchool, testAuthority } from "../../fixtures/ingress-school.ts";
import { smallPod } from "../../fixtures/kube-api/behaviour.ts";
import { IN_TEST_API } from "../../fixtures/kube-api/engine-options.ts";
import { writeKubeconfig } from "../../fixtures/kube-api/kubeconfig.ts";
import { Authorizer } from "../../fixtures/kube-api/rbac.ts";
import { type KubeApi, startKubeApi } from "../../fixtures/kube-api/server.ts";
import { kubectlKustomize, sortedKeys } from "../../fixtures/kubectl.ts";
import { buildKustomization, type KubeObject } from "../../fixtures/kustomize.ts";
import { tenantValues } from "../../fixtures/tenant-values.ts";

/** k8s/gateway: what it installs, and the rights of the two accounts that it is about. */
const COMPONENT = "k8s/gateway";
const BASE = buildKustomization("k8s/install");
const OBJECTS = buildKustomization("k8s/install", [COMPONENT]);
const RECONCILER = { name: "reconciler", namespace: "classmind" };
const GATEWAY = { name: "gateway", namespace: "classmind-gateway" };
const ROLE = "classmind-gateway-school";
const GRANT = { role: "classmind-school", account: RECONCILER.name, namespace: RECONCILER.namespace };
const GATEWAY_GRANT = { role: ROLE, account: GATEWAY.name, namespace: GATEWAY.namespace };
const KINDS = {
  "v1/ConfigMap": "V1ConfigMap",
  "policy/v1/PodDisruptionBudget": "V1PodDisruptionBudget",
  "networking.k8s.io/v1/IngressClass": "V1IngressClass",
  "rbac.authorization.k8s.io/v1/ClusterRole": "V1ClusterRole",
  "rbac.authorization.k8s.io/v1/ClusterRoleBinding": "V1ClusterRoleBinding",
};

const titleOf = ({ kind, metadata }: KubeObject): string => `${metadata.namespace ?? ""}/${kind}/${metadata.name}`;
const before = new Set(BASE.map(titleOf));
const added = OBJECTS.filter((object) => !before.has(titleOf(object)));
const find = (kind: string, name = "gateway"): KubeObject => {
  const found = added.find((object) => object.kind === kind && object.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found;
};
const container = (name: string): unknown =>
  containersOf(find("Deployment")).find((candidate) => textAt(candidate, "name") === name);
const configFile = `${COMPONENT}/config/gateway.json`;

/** The engine with the rights of the reconciler's account. */
const openEngine = (file: string, changes: Partial<KubernetesEngineOptions>): Engine =>
  createKubernetesEngine({ ...IN_TEST_API, kubeconfig: file, grant: GRANT, ...changes });

describe("k8s/gateway", () => {
  it("every object is of a published type, with no field that it has not", () => {
    expect(added.map(({ kind }) => kind).sort()).toEqual([
      "ClusterRole",
      "ClusterRole",
      "ClusterRoleBinding",
      "ConfigMap",
      "Deployment",
      "IngressClass",
      "Namespace",
      "NetworkPolicy",
      "NetworkPolicy",
      "NetworkPolicy",
      "PodDisruptionBudget",
      "Service",
      "ServiceAccount",
    ]);
    for (const object of added) expect(schemaProblems(object, KINDS), titleOf(object)).toEqual([]);
  });

  it("changes nothing of the control plane but the one role that the reconciler may give the gateway", () => {
    const granted = (objects: readonly KubeObject[]) =>
      new Authorizer(
        objects.filter(({ metadata }) => !metadata.name.startsWith("classmind-gateway")),
        RECONCILER,
      ).granted();
    const had = new Set(granted(BASE));
    expect(granted(OBJECTS).filter((right) => !had.has(right))).toEqual([
      `classmind-reconciler: bind clusterroles.rbac.authorization.k8s.io:${ROLE}`,
    ]);
    const withoutRules = (objects: readonly KubeObject[]) => objects.map(({ rules: _rules, ...rest }) => rest);
    expect(withoutRules(OBJECTS.filter((object) => before.has(titleOf(object))))).toEqual(withoutRules(BASE));
  });

  it("its namespace holds no Secret, and only its controller has a token", () => {
    const volumes = listAt(podOf(find("Deployment")), "volumes");
    expect(volumes.filter((volume) => at(volume, "secret") !== undefined)).toEqual([]);
    expect(at(podOf(find("Deployment")), "automountServiceAccountToken")).toBe(false);
    const mounts = (name: string) => listAt(container(name), "volumeMounts").map((mount) => textAt(mount, "name"));
    expect(mounts("controller")).toContain("token");
    expect(mounts("haproxy")).not.toContain("token");
  });

  it("what lies in the pod for HAProxy is in memory alone: schools' keys are among it", () => {
    for (const name of ["config", "run"]) {
      const volume = listAt(podOf(find("Deployment")), "volumes").find((each) => textAt(each, "name") === name);
      expect(at(volume, "emptyDir", "medium")).toBe("Memory");
    }
  });

  it("starts programs that the images hold, HAProxy with the files that the controller lays", () => {
    const targets = IMAGE_RECIPES.flatMap((recipe) => recipe.bundles.map((bundle) => bundle.target));
    expect(targets).toContain(listAt(container("controller"), "command")[1]);
    const command = listAt(container("haproxy"), "command");
    expect(command).toContain(PATHS_INSIDE.config);
    expect(command).toContain(`${PATHS_INSIDE.masterSocket},mode,600`);
    const mounts = listAt(container("controller"), "volumeMounts").map((mount) => textAt(mount, "mountPath"));
    expect(mounts).toContain(CONFIG_MOUNT);
    expect(mounts).toContain(path.dirname(path.dirname(PATHS_INSIDE.adminSocket)));
    // Soft end: connections that are open may end in peace.
    expect(IMAGE_RECIPES.find(({ name }) => name === "gateway")?.stopSignal).toBe("SIGUSR1");
  });

  it("the configuration is read, and its class and ports are those of the objects beside it", () => {
    const config = readConfig(gatewayControllerConfig, configFile);
    expect(config.ingressClass).toBe(find("IngressClass", "classmind").metadata.name);
    const ports = Object.fromEntries(
      listAt(container("haproxy"), "ports").map((port) => [textAt(port, "name"), at(port, "containerPort")]),
    );
    expect(ports).toEqual({ http: config.httpPort, https: config.httpsPort, metrics: config.metricsPort });
    const open = added
      .filter(({ kind, metadata }) => kind === "NetworkPolicy" && metadata.name !== "default-deny")
      .flatMap((policy) => listAt(policy, "spec", "ingress"))
      .flatMap((rule) => listAt(rule, "ports"))
      .map((port) => at(port, "port"));
    expect(open.sort()).toEqual([config.httpPort, config.httpsPort, config.metricsPort].sort());
    const readyFile = String(listAt(container("controller"), "startupProbe", "exec", "command")[2]);
    expect(readyFile).toBe(config.readyFile);
  });

  it("a configuration with a field too many or a port that is none is refused by name", () => {
    const directory = mkdtempSync(path.join(tmpdir(), "classmind-gateway-config-"));
    const read = (change: object) => {
      const file = path.join(directory, "gateway.json");
      writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(configFile, "utf8")), ...change }));
      return () => readConfig(gatewayControllerConfig, file);
    };
    expect(read({ httpsPort: 0 })).toThrow(expect.objectContaining({ field: "httpsPort" }));
    expect(read({ httpsport: 443 })).toThrow("httpsport");
    rmSync(directory, { recursive: true });
  });

  // kubectl is not part of what the tests bring along; where it is, it has the last word.
  it("is what kubectl makes of it", (context) => {
    const theirs = kubectlKustomize("k8s/install", [COMPONENT]);
    if (theirs === undefined) return context.skip("no kubectl on this machine");
    const plain = (value: unknown): string =>
      JSON.stringify(sortedKeys(value))
        .replace(/"(platform|api|reconciler|gateway)-[a-z0-9]{10}"/g, '"$1-x"')
        // Which names they get is the site's matter.
        .replace(/"image":"[^"]*\/([a-z-]+):unset"/g, '"image":"$1"');
    expect(theirs.map(plain).sort()).toEqual(OBJECTS.map(plain).sort());
  });
});

describe("the reconciler, where the gateway is ours", () => {
  const namespace = "school-goethe";
  const chart = loadChart("charts/tenant").renderTenant(tenantValues());
  let api: KubeApi;
  let kubeconfig: ReturnType<typeof writeKubeconfig>;
  let engine: Engine;
  beforeAll(async () => {
    api = await startKubeApi(smallPod, { objects: OBJECTS, account: RECONCILER });
    kubeconfig = writeKubeconfig(api.url);
    engine = openEngine(kubeconfig.file, { gatewayGrant: GATEWAY_GRANT });
    await engine.apply(namespace, chart);
  });
  afterAll(async () => {
    await engine.close();
    kubeconfig.remove();
    await api.close();
  });
  const binding = () => api.store.get("RoleBinding", namespace, "classmind-gateway");

  it("lets the gateway read a school's certificate, by a role binding in that school's namespace", () => {
    expect(binding()).toMatchObject({
      roleRef: { kind: "ClusterRole", name: ROLE },
      subjects: [{ kind: "ServiceAccount", ...GATEWAY }],
    });
  });

  it("does so again when somebody took it away, at the next look, and writes nothing otherwise", async () => {
    const found = binding();
    if (found !== undefined) api.store.erase(found);
    await engine.observe(namespace);
    expect(binding()).toBeDefined();
    const writes = api.writes.length;
    await engine.observe(namespace);
    await engine.apply(namespace, chart);
    expect(api.writes.slice(writes)).toEqual([]);
  });

  it("is woken when somebody takes it away from a school in which nothing else happens, and mends it at the look after that", async () => {
    const stop = new AbortController();
    const woken: string[] = [];
    const watching = (async () => {
      for await (const wakeup of engine.watch(stop.signal)) woken.push(wakeup.namespace);
    })();
    const reads = async () => {
      const before = api.requests.filter((request) => !request.endsWith("?watch")).length;
      await engine.observe(namespace);
      return api.requests.filter((request) => !request.endsWith("?watch")).length - before;
    };
    // The short look: it reads what is not watched, and would not see that a binding is gone.
    await expect.poll(reads, { timeout: 5_000 }).toBe(2);
    woken.length = 0;
    for (const name of ["classmind-gateway", "classmind"]) {
      const found = api.store.get("RoleBinding", namespace, name);
      if (found === undefined) throw new Error(`no binding ${name}`);
      api.store.erase(found);
      await expect.poll(() => woken).toContain(namespace);
      await engine.observe(namespace);
      expect(api.store.get("RoleBinding", namespace, name)).toBeDefined();
      await expect.poll(reads, { timeout: 5_000 }).toBe(2);
      woken.length = 0;
    }
    stop.abort();
    await watching;
  });

  it("preflight asks for the right to do so, and nothing that it does is refused", async () => {
    const rights = (await engine.preflight("look")).find(({ check }) => check === "rights");
    expect(rights).toMatchObject({ ok: true });
    const refused = [...(api.authorizer?.refused ?? [])].filter((request) => !request.includes("nodes/proxy"));
    expect(refused).toEqual([]);
  });

  it("preflight says so where the class is the gateway's, but nobody told the reconciler of its account", async () => {
    api.store.put({ ...find("IngressClass", "classmind"), spec: { controller: "classmind.de/gateway" } }, "test");
    const examined = async (gatewayGrant?: typeof GATEWAY_GRANT) => {
      const account = gatewayGrant === undefined ? {} : { gatewayGrant };
      const other = openEngine(kubeconfig.file, { ingressClass: "classmind", ...account });
      const findings = await other.preflight("look");
      await other.close();
      return findings.find(({ check }) => check === "ingress-class");
    };
    expect(await examined(GATEWAY_GRANT)).toMatchObject({ ok: true });
    expect(await examined()).toMatchObject({ ok: false, remedy: expect.stringContaining("clusterGateway") });
  });

  it("without the component, preflight names the right that is missing", async () => {
    const bare = await startKubeApi(smallPod, { objects: BASE, account: RECONCILER });
    const config = writeKubeconfig(bare.url);
    const other = openEngine(config.file, { gatewayGrant: GATEWAY_GRANT });
    const rights = (await other.preflight("look")).find(({ check }) => check === "rights");
    expect(rights).toMatchObject({ ok: false, message: expect.stringContaining(`clusterroles:${ROLE}`) });
    await other.close();
    config.remove();
    await bare.close();
  });
});

describe("the gateway's account", () => {
  let api: KubeApi;
  let kubeconfig: ReturnType<typeof writeKubeconfig>;
  let directory: string;
  const stop = new AbortController();
  const bind = (namespace: string) =>
    api.store.put(
      {
        kind: "RoleBinding",
        metadata: { name: "classmind-gateway", namespace },
        roleRef: { kind: "ClusterRole", name: ROLE },
        subjects: [{ kind: "ServiceAccount", ...GATEWAY }],
      },
      "test",
    );

  beforeAll(async () => {
    api = await startKubeApi({}, { objects: added, account: GATEWAY });
    kubeconfig = writeKubeconfig(api.url);
    directory = mkdtempSync(path.join(tmpdir(), "classmind-gateway-rights-"));
    const authority = await testAuthority();
    const issued = await Promise.all(["goethe", "kant"].map((slug) => authority.issue(slug)));
    putSchool(api.store, { slug: "goethe", certificate: issued[0] });
    putSchool(api.store, { slug: "kant", certificate: issued[1], clusterIssuer: "letsencrypt" });
    bind("school-goethe");
    bind("school-kant");
  });
  afterAll(async () => {
    kubeconfig.remove();
    await api.close();
    rmSync(directory, { recursive: true });
  });

  it("suffices: every school's names and certificate come to lie where HAProxy starts from", async () => {
    const directories = { configDir: path.join(directory, "config"), runDir: path.join(directory, "run") };
    for (const each of Object.values(directories)) mkdirSync(each);
    const transport = openTransport({ config: loadKubeConfig({ kubeconfig: kubeconfig.file }), clock: systemClock });
    const controller = startIngressController({
      client: openClient(transport),
      clock: systemClock,
      log: silentLog,
      gateway: haproxyGateway(directories),
      paths: gatewayPaths(directories),
      ingressClass: INGRESS_CLASS,
      signal: stop.signal,
      times: { ...WATCH_TIMES, pause: 20 },
    });
    await controller.ready;
    const { routes, certificateList } = gatewayPaths(directories);
    for (const slug of ["goethe", "kant"]) {
      expect(readFileSync(routes, "utf8")).toContain(`${hostOf(slug)} open|`);
      expect(readFileSync(certificateList, "utf8")).toContain(`${slug}.pem ${hostOf(slug)}`);
    }
    const used = () => [...(api.authorizer?.used ?? [])].sort();
    await expect.poll(used).toEqual([...(api.authorizer?.granted() ?? [])].sort());
    stop.abort();
    await controller.ended;
    transport.close();
  });

  it("gives nothing that is not used, and nothing else was asked for", () => {
    const used = api.authorizer?.used ?? new Set();
    expect((api.authorizer?.granted() ?? []).filter((right) => !used.has(right))).toEqual([]);
    expect([...(api.authorizer?.refused ?? [])]).toEqual([]);
    expect(api.writes).toEqual([]);
  });

  it.each([
    [
      "another of a school's secrets",
      { verb: "get", resource: "secrets", name: "database-owner", namespace: "school-goethe" },
    ],
    ["the list of a school's secrets", { verb: "list", resource: "secrets", namespace: "school-goethe" }],
    ["a secret of that name elsewhere", { verb: "get", resource: "secrets", name: "tls", namespace: "classmind" }],
    [
      "to change a school's certificate",
      { verb: "patch", resource: "secrets", name: "tls", namespace: "school-goethe" },
    ],
  ])("does not allow it %s", (_what, access) => {
    expect(api.authorizer?.allows({ group: "", ...access })).toBe(false);
  });

  it("has pods of one deployment alone", () => {
    const accounts = added.filter(hasPods).map((object) => textAt(podOf(object), "serviceAccountName"));
    expect(accounts).toEqual(["gateway"]);
  });
});
