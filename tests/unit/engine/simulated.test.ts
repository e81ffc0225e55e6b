import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { systemClock } from "../../../control-plane/clock.ts";
import { createSimulatedEngine } from "../../../control-plane/engine/simulated/simulated.ts";
import { fileWorld, memoryWorld } from "../../../control-plane/engine/simulated/world.ts";
import { engineContract } from "../../real/engine/contract.ts";

const IMAGE = "localhost/classmind/app:0123456789abcdef";
const directory = mkdtempSync(join(tmpdir(), "classmind-world-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const memory = memoryWorld();
engineContract("simulated (in memory)", () => ({
  open: async () => createSimulatedEngine({ world: memory, clock: systemClock, startupMs: 150 }),
  image: IMAGE,
  patience: 1_000,
}));

const file = fileWorld(join(directory, "world.json"));
engineContract("simulated (in a file)", () => ({
  open: async () => createSimulatedEngine({ world: file, clock: systemClock, startupMs: 150 }),
  image: IMAGE,
  patience: 1_000,
}));
