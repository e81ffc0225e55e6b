import { systemClock } from "./clock.ts";
import type { ReconcilerConfig } from "./config.ts";
import type { Engine, Finding } from "./engine/engine.ts";
import type { Log } from "./log.ts";

/** Opens the engine that a reconciler's configuration names. Only that one is loaded. */
export async function openEngine(config: ReconcilerConfig, log: Log): Promise<Engine> {
  const wanted = config.engine;
  if (wanted.kind === "simulated") {
    const [{ createSimulatedEngine }, { schoolJob }, { fileWorld }] = await Promise.all([
      import("./engine/simulated/simulated.ts"),
      import("./engine/simulated/school-jobs.ts"),
      import("./engine/simulated/world.ts"),
    ]);
    return createSimulatedEngine({ world: fileWorld(wanted.stateFile), clock: systemClock, runJob: schoolJob });
  }
  if (wanted.kind === "kubernetes") {
    const { createKubernetesEngine } = await import("./engine/kubernetes/kubernetes.ts");
    const { storageClass, ingressClass } = config.platform;
    const { kubeconfig, context, grant } = wanted;
    return createKubernetesEngine({
      ...(kubeconfig === undefined ? {} : { kubeconfig }),
      ...(context === undefined ? {} : { context }),
      ...(grant === undefined ? {} : { grant }),
      storageClass,
      ingressClass,
      clock: systemClock,
      log,
    });
  }
  const { createContainersEngine } = await import("./engine/containers/containers.ts");
  return createContainersEngine({
    instance: wanted.instance,
    dockerSocket: wanted.socket,
    clock: systemClock,
    log,
    hostAccessUids: wanted.hostAccessUids,
  });
}

/** A finding of preflight in words, for a terminal without colours. Pure. */
export function describeFinding({ check, ok, message, remedy }: Finding): string {
  const next = remedy === undefined ? "" : `     Next: ${remedy}\n`;
  return `${ok ? "ok  " : "FAIL"} ${check.padEnd(20)} ${message}\n${next}`;
}
