import { readFileSync } from "node:fs";
import { systemClock } from "../../../control-plane/clock.ts";
import type { DatabaseConfig } from "../../../control-plane/config.ts";
import { createContainersEngine } from "../../../control-plane/engine/containers/containers.ts";
import { GATEWAY_UID } from "../../../control-plane/gateway/container.ts";
import { haproxyGateway } from "../../../control-plane/gateway/haproxy.ts";
import { engineSocket } from "../../../control-plane/host/instance.ts";
import type { AuthorityMaterial } from "../../../control-plane/issuer/internal.ts";
import { silentLog } from "../../../control-plane/log.ts";
import { startLoop } from "../../../control-plane/reconcile/loop.ts";
import { platformOn } from "../../fixtures/platform.ts";
import { testInstance } from "../test-host.ts";

/**
 * A reconciler on real containers in a process of its own, which kills itself (SIGKILL) in the middle of one of the given kinds of
 * step, whichever comes first. Prints "at" and how far its start has come, "ended", each step's kind and its milliseconds, and at last
 * "struck" and the kind in which it dies; on SIGUSR2 what it waits for. Started by kill-containers.test.ts.
 */
export interface ChildInput {
  readonly database: DatabaseConfig;
  readonly keyring: DatabaseConfig;
  readonly kek: string;
  readonly authority: AuthorityMaterial;
  readonly images: { readonly app: string; readonly postgres: string };
  readonly gateway: { readonly configDir: string; readonly runDir: string };
  /** Dies in the first step of one of these kinds. */
  readonly kill: readonly Strike[];
}

/** Kind of step in which to die, and how many milliseconds after it began. */
export interface Strike {
  readonly kind: string;
  readonly after: number;
}

/** "apply 24 objects" and "apply Secret/tls" are of one kind; a workload is awaited by name. */
function kindOf(label: string): string {
  return label.startsWith("await ") ? label : (label.split(" ")[0] ?? label);
}

const input = JSON.parse(readFileSync(0, "utf8")) as ChildInput;
const at = (place: string) => void process.stdout.write(`at\t${place}\n`);
// What it waits for, for the message of a test that failed.
process.on("SIGUSR2", () => {
  const report = process.report.getReport() as { readonly libuv: readonly { readonly is_active: boolean }[] };
  const active = report.libuv.filter(({ is_active }) => is_active);
  process.stdout.write(`waits\t${JSON.stringify(active)}\n`);
});

const instance = testInstance();
at("opening the engine");
const engine = await createContainersEngine({
  instance,
  dockerSocket: engineSocket(instance),
  clock: systemClock,
  log: silentLog,
  hostAccessUids: [0, GATEWAY_UID],
});
const gateway = haproxyGateway(input.gateway);
at("reconciling the gateway");
await gateway.reconcileAll();
at("opening the stores");
const begun = new Map<string, number>();
/** Written before it dies: a pipe takes a line at once. */
function strike(kind: string): void {
  process.stdout.write(`struck\t${kind}\n`);
  process.kill(process.pid, "SIGKILL");
}
const deps = await platformOn(engine, {
  database: input.database,
  keyring: input.keyring,
  authority: input.authority,
  kek: Buffer.from(input.kek, "base64"),
  gateway,
  platform: {
    instance: instance.name,
    images: input.images,
    gatewayPeers: [{ ipBlock: { cidr: instance.addressPool } }],
  },
  onStep: (when, label) => {
    const kind = kindOf(label);
    const condemned = input.kill.find((target) => target.kind === kind);
    if (when === "after") {
      // A step that was quicker than it had been is struck as it ends, before anything follows from it.
      if (condemned !== undefined) strike(kind);
      process.stdout.write(`ended\t${kind}\t${Math.round(performance.now() - (begun.get(label) ?? 0))}\n`);
      return;
    }
    begun.set(label, performance.now());
    if (condemned !== undefined) setTimeout(strike, condemned.after, kind);
  },
});
at("the loop");
const loop = startLoop(deps, { workers: 2, database: input.database });
process.on("SIGTERM", () => {
  void loop
    .stop()
    .then(() => engine.close())
    .then(() => deps.close())
    .then(() => process.exit(0));
});
