import { inject } from "vitest";
import { engineContract } from "./contract.ts";
import { openTestEngine } from "./open.ts";

engineContract("containers", () => ({ open: () => openTestEngine(), image: inject("images").app, patience: 30_000 }));
