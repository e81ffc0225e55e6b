import { inject } from "vitest";
import { systemClock } from "../../../control-plane/clock.ts";
import {
  type ContainersEngineOptions,
  createContainersEngine,
} from "../../../control-plane/engine/containers/containers.ts";
import type { Engine } from "../../../control-plane/engine/engine.ts";
import { silentLog } from "../../../control-plane/log.ts";
import { testInstance } from "../test-host.ts";

/** A user of the host that stands for the gateway's. */
export const GATEWAY_UID = 10777;

/** The containers engine on the test instance. */
export function openTestEngine(overrides: Partial<ContainersEngineOptions> = {}): Promise<Engine> {
  return createContainersEngine({
    instance: testInstance(),
    dockerSocket: inject("engineSocket"),
    clock: systemClock,
    log: silentLog,
    hostAccessUids: [GATEWAY_UID],
    images: [inject("images").app, inject("images").postgres],
    drain: 200,
    ...overrides,
  });
}
