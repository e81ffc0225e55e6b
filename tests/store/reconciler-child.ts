import { readFileSync } from "node:fs";
import type { DatabaseConfig } from "../../control-plane/config.ts";
import { fileWorld } from "../../control-plane/engine/simulated/world.ts";
import type { AuthorityMaterial } from "../../control-plane/issuer/internal.ts";
import { startLoop } from "../../control-plane/reconcile/loop.ts";
import { simulatedPlatform } from "../fixtures/platform.ts";

/**
 * A reconciler in a process of its own, which kills itself (SIGKILL) at the n-th moment before or after a step. Prints the
 * moments it passes. Started by kill.test.ts.
 */
interface ChildInput {
  readonly database: DatabaseConfig;
  readonly keyring: DatabaseConfig;
  readonly worldFile: string;
  readonly kek: string;
  readonly authority: AuthorityMaterial;
  /** 0: never. */
  readonly killAt: number;
}

const input = JSON.parse(readFileSync(0, "utf8")) as ChildInput;
let moment = 0;
const deps = await simulatedPlatform({
  database: input.database,
  keyring: input.keyring,
  world: fileWorld(input.worldFile),
  authority: input.authority,
  kek: Buffer.from(input.kek, "base64"),
  onStep: (when, step) => {
    moment += 1;
    process.stdout.write(`${moment} ${when} ${step}\n`);
    if (moment === input.killAt) process.kill(process.pid, "SIGKILL");
  },
});
const loop = startLoop(deps, { workers: 2, database: input.database });
process.on("SIGTERM", () => {
  void loop
    .stop()
    .then(() => deps.close())
    .then(() => process.exit(0));
});
