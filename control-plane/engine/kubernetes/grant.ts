import { EngineError } from "../engine.ts";
import { mayI } from "./access-review.ts";
import type { Client } from "./client.ts";
import type { Grant, KubernetesContext } from "./context.ts";
import { isStatus } from "./failure.ts";
import { collectionPath, FIELD_MANAGER, MANAGED_BY, MARK } from "./kinds.ts";
import { at, listAt, textAt } from "./live.ts";

export const BINDINGS = { apiVersion: "rbac.authorization.k8s.io/v1", plural: "rolebindings" } as const;
/** Names of the bindings; confinement.yaml knows both. */
const ENGINE = "classmind";
const GATEWAY = "classmind-gateway";
const PAUSE = 50;
const PATIENCE = 10_000;

async function isHeld(client: Client, path: string, grant: Grant, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    const binding = await client.transport.request({ path, signal });
    return (
      textAt(binding, "roleRef", "name") === grant.role &&
      listAt(binding, "subjects").some(
        (subject) => at(subject, "name") === grant.account && at(subject, "namespace") === grant.namespace,
      )
    );
  } catch (error) {
    if (isStatus(error, 404)) return false;
    throw error;
  }
}

/** Makes a binding unless it is there. @returns whether it had to be made */
async function bind(
  client: Client,
  namespace: string,
  name: string,
  grant: Grant,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const path = `${collectionPath(BINDINGS, namespace)}/${name}`;
  if (await isHeld(client, path, grant, signal)) return false;
  await client.transport.request({
    method: "PATCH",
    path,
    query: { fieldManager: FIELD_MANAGER, force: true },
    contentType: "application/apply-patch+yaml",
    body: {
      apiVersion: BINDINGS.apiVersion,
      kind: "RoleBinding",
      metadata: { name, namespace, labels: { [MARK.managedBy]: MANAGED_BY } },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: grant.role },
      subjects: [{ kind: "ServiceAccount", name: grant.account, namespace: grant.namespace }],
    },
    signal,
  });
  return true;
}

/** Whether what the binding grants has reached the API's authorizer, which learns of it a moment later. */
function isEffective(client: Client, namespace: string): Promise<boolean> {
  return mayI(client, { namespace, resource: "secrets", verb: "patch" });
}

/** Makes sure that the engine's account holds its rights in a namespace of ours. Writes nothing where it does. */
export async function ensureGrant(
  context: KubernetesContext,
  namespace: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { client, clock, grant } = context;
  if (grant === undefined || !(await bind(client, namespace, ENGINE, grant, signal))) return;
  const end = clock.now().getTime() + PATIENCE;
  while (!(await isEffective(client, namespace))) {
    if (clock.now().getTime() > end)
      throw new EngineError(
        "EngineForbidden",
        `the role ${grant.role} does not give the rights this needs in ${namespace}`,
      );
    await clock.sleep(PAUSE, signal);
  }
}

/**
 * Makes sure that our own gateway's account may read the school's certificate and key, where the cluster has that gateway. It waits for
 * nothing: the gateway tries again until it may.
 */
export async function ensureGatewayGrant(
  { client, gatewayGrant }: Pick<KubernetesContext, "client" | "gatewayGrant">,
  namespace: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (gatewayGrant !== undefined) await bind(client, namespace, GATEWAY, gatewayGrant, signal);
}
