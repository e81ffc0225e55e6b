import type { Clock } from "../../clock.ts";
import type { Instance } from "../../host/instance.ts";
import type { ProcessLimits } from "../../host/process-limits.ts";
import type { Log } from "../../log.ts";
import type { Claims } from "./claims.ts";
import type { ContainerApi } from "./docker.ts";
import type { Firewall } from "./firewall.ts";
import type { Identities } from "./identities.ts";
import type { Networks } from "./network.ts";
import type { ObjectStore } from "./objects.ts";
import type { Prober } from "./probes.ts";
import type { Relays } from "./relays.ts";
import type { Seccomp } from "./seccomp.ts";
import type { SecretFiles } from "./secrets.ts";

/** Everything the parts of the engine work with; built once in containers.ts. */
export interface EngineContext {
  readonly instance: Instance;
  readonly clock: Clock;
  readonly log: Log;
  readonly api: ContainerApi;
  readonly objects: ObjectStore;
  readonly secrets: SecretFiles;
  readonly claims: Claims;
  readonly identities: Identities;
  readonly networks: Networks;
  readonly firewall: Firewall;
  readonly prober: Prober;
  readonly relays: Relays;
  readonly seccomp: Seccomp;
  readonly limits: ProcessLimits;
  readonly emptyFile: string;
  /** Milliseconds an old pod keeps answering after its successor has taken over, so that the gateway can follow. */
  readonly drain: number;
  /** When the walls of a namespace were found changed by someone else, and put right, since somebody examined them last. */
  readonly mended: Map<string, Date>;
  /** Tells watchers that something in the namespace changed. */
  readonly wake: (namespace: string) => void;
}
