import { messageOf } from "../../errors.ts";
import type { Finding } from "../engine.ts";
import { mayI } from "./access-review.ts";
import type { Client } from "./client.ts";
import type { Grant } from "./context.ts";
import { ApiFailure } from "./failure.ts";
import { collectionPath, kindOf, MANAGED_BY, MARK } from "./kinds.ts";
import { conditionsOf, isRecord, type LiveObject, listAt, textAt } from "./live.ts";

export interface PreflightOptions {
  readonly storageClass: string;
  readonly ingressClass: string;
  /** See Grant. */
  readonly grant?: Grant;
  /** What our own gateway gets in each school; absent where the cluster leads to schools by a controller of its own. */
  readonly gatewayGrant?: Grant;
  /** Schools run on nodes that carry this label with this value alone. */
  readonly country?: { readonly label: string; readonly value: string };
  /** Whether schools' pods run in user namespaces. */
  readonly userNamespaces?: boolean;
  /** ClusterIssuer of cert-manager that makes schools' certificates; absent where we do. */
  readonly clusterIssuer?: string;
  /** Looks a name up as a pod of the control plane does; absent where this runs elsewhere. Schools look nothing up. */
  readonly lookup?: (name: string) => Promise<unknown>;
  /** An image with `node` that schools use; what pods alone can show is tried with it. */
  readonly probeImage?: string;
  /** Milliseconds until a pod of preflight's own has to be ready. */
  readonly trialPatience?: number;
}

type Outcome = { readonly ok: boolean; readonly message: string; readonly remedy: string };
/** Undefined where there is nothing to check. */
type Check = (client: Client, options: PreflightOptions) => Promise<Outcome | undefined>;

/** Controller of the IngressClass in k8s/gateway. */
const OWN_GATEWAY = "classmind.de/gateway";
/** Every cluster has it. */
const A_SERVICE = "kubernetes.default.svc";
const OLDEST_MINOR = 33;
/** Set by an administrator on a StorageClass whose encryption its parameters do not show. */
export const ENCRYPTS = "classmind.de/encrypts";

/** What the engine does in a cluster, verb by verb: the rights it cannot do without. */
export const NEEDED_RIGHTS: ReadonlyArray<readonly [group: string, resource: string, verbs: readonly string[]]> = [
  ["", "namespaces", ["get", "list", "watch", "create", "patch", "delete"]],
  ["", "serviceaccounts", ["get", "list", "watch", "create", "patch", "delete"]],
  ["", "resourcequotas", ["get", "list", "watch", "create", "patch", "delete"]],
  ["", "limitranges", ["get", "list", "watch", "create", "patch", "delete"]],
  ["", "secrets", ["get", "list", "watch", "create", "patch", "delete"]],
  ["", "persistentvolumeclaims", ["get", "list", "watch", "create", "patch", "delete"]],
  ["", "services", ["get", "list", "watch", "create", "patch", "delete"]],
  ["networking.k8s.io", "networkpolicies", ["get", "list", "watch", "create", "patch", "delete"]],
  ["networking.k8s.io", "ingresses", ["get", "list", "watch", "create", "patch", "delete"]],
  ["apps", "deployments", ["get", "list", "watch", "create", "patch", "delete"]],
  ["apps", "statefulsets", ["get", "list", "watch", "create", "patch", "delete"]],
  ["batch", "jobs", ["list", "watch", "create", "patch", "delete"]],
  ["", "pods", ["get", "list", "watch", "delete"]],
  ["", "pods/log", ["get"]],
  ["", "events", ["list"]],
  ["", "persistentvolumes", ["list", "watch"]],
];

/** What comes on top where cert-manager makes the certificates. */
export const CERTIFICATE_RIGHTS: typeof NEEDED_RIGHTS = [
  ["cert-manager.io", "certificates", ["get", "list", "watch", "create", "patch", "delete"]],
  ["cert-manager.io", "certificates/status", ["patch"]],
];

/** Kinds that are not in a namespace. */
const OUTSIDE = ["namespaces", "persistentvolumes", "clusterroles"];

/** With a grant the rights inside a school come with its namespace; here it is seen that they can be taken. */
function rightsFor({ grant, gatewayGrant, clusterIssuer }: PreflightOptions): typeof NEEDED_RIGHTS {
  const rbac = "rbac.authorization.k8s.io";
  const given = [grant, gatewayGrant].flatMap((each) => each ?? []);
  const bindings: typeof NEEDED_RIGHTS =
    given.length === 0
      ? []
      : [
          [rbac, "rolebindings", ["get", "create", "patch"]],
          ...given.map(({ role }) => [rbac, `clusterroles:${role}`, ["bind"]] as const),
        ];
  if (grant !== undefined) return [...NEEDED_RIGHTS.filter(([, resource]) => OUTSIDE.includes(resource)), ...bindings];
  return [...NEEDED_RIGHTS, ...(clusterIssuer === undefined ? [] : CERTIFICATE_RIGHTS), ...bindings];
}

function isAllowed(client: Client, group: string, resource: string, verb: string): Promise<boolean> {
  const [path = "", object] = resource.split(":");
  const [name = "", subresource] = path.split("/");
  const clusterWide = OUTSIDE.includes(name);
  return mayI(client, {
    namespace: clusterWide ? "" : "school-preflight",
    ...(object === undefined ? {} : { name: object }),
    group,
    resource: name,
    verb,
    ...(subresource === undefined ? {} : { subresource }),
  });
}

/** What stands at a path, if anything does: one object, or what an API group serves. */
async function readClass(client: Client, path: string): Promise<LiveObject | undefined> {
  try {
    return (await client.transport.request({ path })) as LiveObject;
  } catch (error) {
    if (error instanceof ApiFailure && error.status === 404) return undefined;
    throw error;
  }
}

/** How a StorageClass says that it encrypts; undefined if it does not. Pure. */
export function encryptionOf(storageClass: LiveObject): string | undefined {
  const { parameters } = storageClass;
  const encrypted = isRecord(parameters)
    ? Object.entries(parameters).find(([key]) => key.toLowerCase() === "encrypted")
    : undefined;
  if (String(encrypted?.[1]).toLowerCase() === "true") return `by its parameter ${encrypted?.[0]}`;
  if (storageClass.metadata.annotations?.[ENCRYPTS] === "true") return "as an administrator has declared";
  return undefined;
}

const CERT_MANAGER = "/apis/cert-manager.io/v1";

/** Whether cert-manager's kinds are served, and the issuer that schools' certificates name can issue. */
async function examineIssuer(client: Client, name: string): Promise<Outcome> {
  const group = await readClass(client, CERT_MANAGER);
  if (!listAt(group, "resources").some((resource) => textAt(resource, "name") === "certificates"))
    return {
      ok: false,
      message: "the cluster knows no Certificate: cert-manager.io/v1 is not served",
      remedy: "install cert-manager with its CustomResourceDefinitions, or leave `issuer` out of the configuration",
    };
  let found: LiveObject | undefined;
  try {
    found = await readClass(client, `${CERT_MANAGER}/clusterissuers/${name}`);
  } catch (error) {
    if (!(error instanceof ApiFailure) || error.status !== 403) throw error;
    const remedy =
      "grant what cert-manager needs beyond the usual: the kustomize component k8s/components/cert-manager";
    return { ok: false, message: error.message, remedy };
  }
  const ready = conditionsOf(found).find(({ type }) => type === "Ready");
  const state = ready === undefined ? "cert-manager has not looked at it yet" : ready.message;
  if (found === undefined || ready?.status !== "True")
    return {
      ok: false,
      message:
        found === undefined ? `there is no ClusterIssuer ${name}` : `the ClusterIssuer ${name} is not ready: ${state}`,
      remedy:
        found === undefined
          ? "make it, or name another one in the configuration (issuer)"
          : `see what it lacks: kubectl describe clusterissuer ${name}`,
    };
  return { ok: true, message: `the ClusterIssuer ${name} is ready: ${state}`, remedy: "" };
}

/** A namespace that is only tried: nothing is made of it. */
async function tryNamespace(client: Client, level: string): Promise<unknown> {
  const name = "school-preflight";
  return client.transport.request({
    method: "POST",
    path: collectionPath(kindOf("Namespace")),
    query: { dryRun: "All" },
    body: {
      apiVersion: "v1",
      kind: "Namespace",
      // As ours: a policy that confines this account to schools may look at names and labels too.
      metadata: {
        generateName: `${name}-`,
        labels: { [MARK.managedBy]: MANAGED_BY, "pod-security.kubernetes.io/enforce": level },
      },
    },
  });
}

const CHECKS: Readonly<Record<string, Check>> = {
  "api-server": async (client) => {
    const version = await client.transport.request({ path: "/version" });
    const name = textAt(version, "gitVersion") ?? "unknown";
    const minor = Number.parseInt(textAt(version, "minor") ?? "", 10);
    return {
      ok: textAt(version, "major") === "1" && minor >= OLDEST_MINOR,
      message: `Kubernetes ${name}`,
      remedy: `use Kubernetes 1.${OLDEST_MINOR} or newer`,
    };
  },
  rights: async (client, options) => {
    const asked = rightsFor(options).flatMap(([group, resource, verbs]) =>
      verbs.map((verb) => ({ group, resource, verb })),
    );
    const answers = await Promise.all(
      asked.map(async (right) => ({ ...right, ok: await isAllowed(client, right.group, right.resource, right.verb) })),
    );
    const missing = answers
      .filter((right) => !right.ok)
      .map(({ group, resource, verb }) => `${verb} ${resource}${group === "" ? "" : `.${group}`}`);
    return {
      ok: missing.length === 0,
      message: missing.length === 0 ? `${answers.length} rights are granted` : `not granted: ${missing.join(", ")}`,
      remedy: "grant these rights to the account of the kubeconfig, in school namespaces at least",
    };
  },
  "pod-security": async (client) => {
    await tryNamespace(client, "restricted");
    // A cluster that takes a level which does not exist does not read these labels at all.
    const refused = await tryNamespace(client, "no-such-level").then(
      () => false,
      (error: unknown) => {
        if (!(error instanceof ApiFailure)) throw error;
        if ([400, 422].includes(error.status)) return true;
        // Pod Security is asked before admission policies: one of those refused what it had let pass.
        if (error.status === 403 && error.message.includes("ValidatingAdmissionPolicy")) return false;
        throw error;
      },
    );
    return {
      ok: refused,
      message: refused
        ? "Pod Security levels are enforced"
        : "Pod Security levels are not read: any pod would be admitted",
      remedy: "enable the admission plugin PodSecurity of the API server",
    };
  },
  nodes: async (client) => {
    const { items } = await client.list("/api/v1/nodes");
    const ready = items.filter((node) =>
      conditionsOf(node).some((condition) => condition.type === "Ready" && condition.status === "True"),
    );
    return {
      ok: ready.length > 0,
      message: `${ready.length} of ${items.length} nodes are ready`,
      remedy: "add a node, or see `kubectl describe nodes` for why none is ready",
    };
  },
  "nodes-in-country": async (client, { country }) => {
    const remedy = "";
    if (country === undefined)
      return {
        ok: true,
        message: "all nodes count as being in the engine's country: no label tells them apart",
        remedy,
      };
    const { label, value } = country;
    const { items } = await client.list("/api/v1/nodes", { labelSelector: `${label}=${value}`, metadataOnly: true });
    return {
      ok: items.length > 0,
      message: `${items.length} nodes carry ${label}=${value}`,
      remedy: `label the nodes that stand there: kubectl label node NAME ${label}=${value}`,
    };
  },
  "storage-class": async (client, { storageClass }) => {
    const found = await readClass(client, `/apis/storage.k8s.io/v1/storageclasses/${storageClass}`);
    return {
      ok: found !== undefined,
      message:
        found === undefined
          ? `there is no StorageClass ${storageClass}`
          : `${storageClass} of ${String(found.provisioner)}`,
      remedy: "make it, or name another one in the configuration (storageClass)",
    };
  },
  "storage-encryption": async (client, { storageClass }) => {
    const found = await readClass(client, `/apis/storage.k8s.io/v1/storageclasses/${storageClass}`);
    const how = found === undefined ? undefined : encryptionOf(found);
    return {
      ok: how !== undefined,
      message: how === undefined ? `nothing says that ${storageClass} encrypts` : `${storageClass} encrypts ${how}`,
      remedy: `use a class that encrypts; if yours does, declare it: kubectl annotate storageclass ${storageClass} ${ENCRYPTS}=true`,
    };
  },
  "storage-expansion": async (client, { storageClass }) => {
    const found = await readClass(client, `/apis/storage.k8s.io/v1/storageclasses/${storageClass}`);
    const ok = found?.allowVolumeExpansion === true;
    return {
      ok,
      message: ok ? `volumes of ${storageClass} can grow` : `volumes of ${storageClass} cannot grow`,
      remedy: "set allowVolumeExpansion: true on the StorageClass, if its storage can do it",
    };
  },
  "ingress-class": async (client, { ingressClass, gatewayGrant }) => {
    const found = await readClass(client, `/apis/networking.k8s.io/v1/ingressclasses/${ingressClass}`);
    const { items } =
      found === undefined ? await client.list("/apis/networking.k8s.io/v1/ingressclasses") : { items: [] };
    const others = items.map((item) => item.metadata.name).join(", ");
    if (textAt(found, "spec", "controller") === OWN_GATEWAY && gatewayGrant === undefined)
      return {
        ok: false,
        message: `${ingressClass} is our own gateway, but nothing lets it read schools' certificates`,
        remedy: "name its account in the configuration (clusterGateway), as docs/kubernetes.md has it",
      };
    return {
      ok: found !== undefined,
      message:
        found === undefined
          ? `there is no IngressClass ${ingressClass}${others === "" ? "" : `, only ${others}`}`
          : `${ingressClass} by ${textAt(found, "spec", "controller") ?? "an unnamed controller"}`,
      remedy: "install an ingress controller, or name its class in the configuration (ingressClass)",
    };
  },
  "cert-manager": async (client, { clusterIssuer }) =>
    clusterIssuer === undefined ? undefined : examineIssuer(client, clusterIssuer),
  "cluster-dns": async (_client, { lookup }) => {
    if (lookup === undefined) return undefined;
    const failure = await lookup(A_SERVICE).then(
      () => undefined,
      (error: unknown) => messageOf(error),
    );
    return {
      ok: failure === undefined,
      message: failure === undefined ? `${A_SERVICE} is found` : `${A_SERVICE} is not found: ${failure}`,
      remedy:
        "see whether the cluster's DNS runs (pods k8s-app=kube-dns in kube-system), and whether NetworkPolicy classmind/names lets the control plane ask it",
    };
  },
  "pod-webhooks": async (client) => {
    const { items } = await client.list("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations");
    const names = items.filter((item) => listAt(item, "webhooks").length > 0).map((item) => item.metadata.name);
    return {
      ok: true,
      message:
        names.length === 0 ? "no webhook rewrites objects" : `these webhooks may rewrite objects: ${names.join(", ")}`,
      remedy: "",
    };
  },
};

/** What is good to know and keeps nobody out. */
const ADVICE: readonly string[] = ["storage-expansion", "pod-webhooks", "cluster-dns"];

/** See Engine.preflight. Changes nothing. */
export async function preflight(client: Client, options: PreflightOptions): Promise<readonly Finding[]> {
  const findings = await Promise.all(
    Object.entries(CHECKS).map(async ([check, run]): Promise<readonly Finding[]> => {
      const outcome = await run(client, options).catch((error: unknown) => ({
        ok: false,
        message: messageOf(error),
        remedy: "make the API server reachable with this kubeconfig, and grant what it refuses",
      }));
      if (outcome === undefined) return [];
      const { ok, message, remedy } = outcome;
      const required = !ADVICE.includes(check);
      return [ok ? { check, ok, message, required } : { check, ok, message, remedy, required }];
    }),
  );
  return findings.flat();
}
