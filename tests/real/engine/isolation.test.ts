import { testInstance } from "../test-host.ts";
import { openTestEngine } from "./open.ts";
import { engineWalls } from "./walls.ts";

engineWalls("containers", () => ({ open: () => openTestEngine(), instance: testInstance() }));
