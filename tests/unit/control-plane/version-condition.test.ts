import { describe, expect, it } from "vitest";
import { versionCondition } from "../../../control-plane/api/version-condition.ts";
import type { RolloutState } from "../../../control-plane/store/rollout-rows.ts";
import type { StoredTenant } from "../../../control-plane/store/tenants.ts";
import { NEW_REPOSITORIES, NEW_VOLUMES } from "../../../control-plane/tenant.ts";
import { tenantSpec } from "../../fixtures/platform.ts";

const OLD = { app: "localhost/classmind/app:old", postgres: "localhost/classmind/postgres:1" };
const NEW = { app: "localhost/classmind/app:new", postgres: "localhost/classmind/postgres:1" };

const school = (state: RolloutState, version = OLD, overrides: Partial<StoredTenant> = {}): StoredTenant => ({
  uid: "0190a5c8-0000-7000-8000-000000000001",
  slug: "goethe",
  engine: "containers",
  engineSettings: {},
  generation: 1,
  spec: tenantSpec(),
  status: { observedGeneration: 1, phase: "Ready", conditions: [], steps: [] },
  volumes: NEW_VOLUMES,
  repositories: NEW_REPOSITORIES,
  progress: [],
  attempts: 0,
  createdAt: "2026-11-26T08:00:00Z",
  version: { engine: "containers", ...version },
  rollout: { state, version: NEW, reason: "schiller: does not answer", changedAt: "2026-11-26T09:00:00+00:00" },
  ...overrides,
});

describe("what is said of a school's version", () => {
  it.each([
    ["Complete", NEW, "True", "AsDesired"],
    ["Running", NEW, "True", "AsDesired"],
    ["Running", OLD, "False", "RolloutRunning"],
    ["Halted", OLD, "False", "RolloutHalted"],
    ["Halted", NEW, "False", "RolloutHalted"],
    ["Paused", OLD, "False", "RolloutPaused"],
    ["Undoing", NEW, "False", "RolloutUndone"],
    ["Undone", OLD, "True", "RolloutUndone"],
  ] as const)("while the rollout is %s and it has %j: %s, %s", (state, version, status, reason) => {
    expect(versionCondition(school(state, version))).toMatchObject({ type: "VersionCurrent", status, reason });
  });

  it("names what halted the rollout, and both ways out as commands", () => {
    const message = versionCondition(school("Halted"))?.message ?? "";
    expect(message).toContain("schiller: does not answer");
    expect(message).toContain("classmind app rollout resume --engine containers");
    expect(message).toContain("classmind app rollout undo --engine containers");
  });

  it("names who keeps it on its version, why, and how to let it go", () => {
    const pin = { operator: "anna", at: "2026-11-26T08:30:00Z", reason: "Abitur" };
    expect(versionCondition(school("Complete", OLD, { pin }))).toMatchObject({
      status: "False",
      reason: "VersionPinned",
      message:
        "anna keeps it on app:old (Abitur); the others get app:new. To let it go with them: classmind app unpin goethe",
    });
  });

  it("is nothing before its first attempt", () => {
    const { version: _version, ...young } = school("Complete");
    expect(versionCondition(young)).toBeUndefined();
  });
});
