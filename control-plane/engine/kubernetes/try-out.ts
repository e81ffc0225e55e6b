import { randomBytes } from "node:crypto";
import { z } from "zod";
import { messageOf } from "../../errors.ts";
import { EngineError, type Finding } from "../engine.ts";
import { applyObjects } from "./apply.ts";
import type { KubernetesContext } from "./context.ts";
import { runJob } from "./jobs.ts";
import { observeNamespace } from "./observe.ts";
import type { PreflightOptions } from "./preflight.ts";
import { awaitReady } from "./ready.ts";
import { removeObjects } from "./remove.ts";
import { LISTENER_PORT, TRIAL, trialJob, trialObjects, WAY_IN, WAY_OUT } from "./try-out-objects.ts";

/**
 * What no look at the API shows, tried with pods: that a node runs our image with a volume that our user may write to, and that the
 * network plugin enforces what NetworkPolicies say, on both sides, and lets through what they allow.
 */

const READY_MS = 120_000;
const JOB_MS = 60_000;
/** How long a client waits for its expectation to come true. */
const PATIENCE_SECONDS = 15;

const seen = z.object({ seen: z.enum(["reached", "blocked"]), firstUser: z.int() });

interface Trial {
  readonly context: KubernetesContext;
  readonly image: string;
  readonly signal: AbortSignal | undefined;
}

const TRIAL_POD = "trial-pod";
const POLICIES = "network-policies";
const USERS = "user-namespaces";
const CHECKS = [TRIAL_POD, POLICIES] as const;

function fails(check: string, message: string, remedy: string): Finding {
  return { check, ok: false, message, remedy, required: true };
}

const REMEDIES: Readonly<Record<string, string>> = {
  ImageMissing:
    "bring the image to the nodes or their registry (classmind image save), or correct it in the configuration",
  VolumePending: "see `kubectl get storageclass`, and the log of its provisioner",
  Unschedulable: "give the cluster a node with room, or free some",
  QuotaExceeded: "raise the quota that the message names",
  ContainerCrashing: "the volume is not writable for user 10001 with its fsGroup: look at the storage's options",
};

async function runListener(trial: Trial, { storageClass, trialPatience }: PreflightOptions): Promise<Finding> {
  const { context, image, signal } = trial;
  const options = signal === undefined ? {} : { signal };
  const objects = trialObjects(image, storageClass, randomBytes(32));
  await applyObjects(context, TRIAL, objects, options);
  await awaitReady(context, TRIAL, { kind: "Deployment", name: "listener" }, trialPatience ?? READY_MS, signal);
  return {
    check: TRIAL_POD,
    ok: true,
    message: `a pod of ${image} ran, and wrote to a volume of ${storageClass}`,
    required: true,
  };
}

/** What a client sees of the listener, given what it should see. */
async function look(
  trial: Trial,
  host: string,
  name: string,
  expect: "reached" | "blocked",
): Promise<z.infer<typeof seen>> {
  const result = await runJob(trial.context, TRIAL, {
    manifest: trialJob(trial.image, name, JOB_MS / 1000),
    input: { host, port: LISTENER_PORT, expect, seconds: PATIENCE_SECONDS },
    deadline: JOB_MS,
    ...(trial.signal === undefined ? {} : { signal: trial.signal }),
  });
  const parsed = seen.safeParse(result.output);
  if (parsed.success) return parsed.data;
  throw new EngineError(
    "StepFailed",
    `a pod that tries connections ended with code ${result.exitCode}: ${result.logTail.slice(-3).join(" | ")}`,
  );
}

/** The API server may have left out what it does not know; then pods run all the same, as users of the node. */
function usersOf(firstUser: number): Finding {
  if (firstUser !== 0)
    return { check: USERS, ok: true, message: "pods run in user namespaces of their own", required: true };
  return fails(
    USERS,
    "a pod that asked for a user namespace of its own got none",
    "use nodes and a runtime that can (Kubernetes 1.33, Linux 6.3, containerd 2), or set userNamespaces to false",
  );
}

/** Each wall alone, then the way through both: a plugin that blocks everything would pass the first two. */
async function tryWalls(trial: Trial, { userNamespaces }: PreflightOptions): Promise<readonly Finding[]> {
  const { context, signal } = trial;
  const options = signal === undefined ? {} : { signal };
  const observed = await observeNamespace(context, TRIAL);
  const endpoint = observed.endpoints.find(({ service }) => service === "listener");
  if (endpoint === undefined)
    return [fails(POLICIES, "the pod that listens has no address", "see `kubectl get events -A`; run this again")];
  const remedy =
    "use a network plugin that enforces NetworkPolicies, in and out (Calico, Cilium, k3s' own), and run this again";

  await applyObjects(context, TRIAL, [WAY_IN], options);
  const out = await look(trial, endpoint.address, "preflight-out", "blocked");
  const users = userNamespaces === true ? [usersOf(out.firstUser)] : [];
  if (out.seen !== "blocked")
    return [fails(POLICIES, "a policy that lets nothing out of a pod is not enforced", remedy), ...users];
  await applyObjects(context, TRIAL, [WAY_OUT], options);
  await removeObjects(context, TRIAL, [{ kind: "NetworkPolicy", name: WAY_IN.metadata.name }], options);
  if ((await look(trial, endpoint.address, "preflight-in", "blocked")).seen !== "blocked")
    return [fails(POLICIES, "a policy that lets nothing into a pod is not enforced", remedy), ...users];
  await applyObjects(context, TRIAL, [WAY_IN], options);
  const through: Finding =
    (await look(trial, endpoint.address, "preflight-through", "reached")).seen === "reached"
      ? {
          check: POLICIES,
          ok: true,
          message: "NetworkPolicies are enforced in both directions, and open what they allow",
          required: true,
        }
      : fails(
          POLICIES,
          "a connection between two pods that policies allow did not come about",
          "see the log of the network plugin; pods of different namespaces and nodes must be able to talk",
        );
  return [through, ...users];
}

async function removeTrial(context: KubernetesContext, signal?: AbortSignal): Promise<void> {
  await removeObjects(context, TRIAL, [{ kind: "Namespace", name: TRIAL }], signal === undefined ? {} : { signal });
}

function failed(check: string, error: unknown): Finding {
  const reason = error instanceof EngineError ? error.reason : "";
  return fails(check, messageOf(error), REMEDIES[reason] ?? "see the message; what the cluster said is in it");
}

/**
 * Tries a cluster out and removes everything again, also what an earlier try left behind.
 * @returns one finding for each of `trial-pod` and `network-policies`, and for `user-namespaces` where schools are to have them
 */
export async function tryOut(
  context: KubernetesContext,
  options: PreflightOptions,
  signal: AbortSignal | undefined,
): Promise<readonly Finding[]> {
  const { probeImage: image } = options;
  if (image === undefined)
    return CHECKS.map((check) => fails(check, "no image to try with is configured", "configure the schools' images"));
  const trial: Trial = { context, image, signal };
  const findings: Finding[] = [];
  try {
    await removeTrial(context, signal);
    findings.push(await runListener(trial, options));
    findings.push(...(await tryWalls(trial, options)));
  } catch (error) {
    signal?.throwIfAborted();
    const check = CHECKS[findings.length] ?? POLICIES;
    findings.push(failed(check, error));
    for (const unseen of CHECKS.slice(findings.length))
      findings.push(fails(unseen, `not tried: ${check} failed`, `mend ${check} first`));
  }
  // What cannot be removed now is removed by the next try.
  await removeTrial(context).catch((error: unknown) =>
    context.log.warn({ namespace: TRIAL, error: messageOf(error) }, "what preflight made is not gone yet"),
  );
  return findings;
}
