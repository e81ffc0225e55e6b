import { readFileSync } from "node:fs";
import { systemClock } from "../../../control-plane/clock.ts";
import { createContainersEngine } from "../../../control-plane/engine/containers/containers.ts";
import { engineSocket } from "../../../control-plane/host/instance.ts";
import { silentLog } from "../../../control-plane/log.ts";
import { smallJob } from "../../fixtures/engine-school.ts";
import { testInstance } from "../test-host.ts";

/** Runs a job that never ends, until it is killed. Started by recovery.test.ts. */
const input = JSON.parse(readFileSync(0, "utf8")) as { namespace: string; image: string; name: string };
const instance = testInstance();
const dockerSocket = engineSocket(instance);
const engine = await createContainersEngine({
  instance,
  dockerSocket,
  clock: systemClock,
  log: silentLog,
  keep: false,
});
const manifest = smallJob(input.namespace, input.image, input.name);
await engine.run(input.namespace, { manifest, input: { action: "hang" }, deadline: 60_000 });
