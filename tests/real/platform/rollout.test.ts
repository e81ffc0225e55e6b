import { appendFile, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import Dockerode from "dockerode";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RolloutView, TenantView } from "../../../control-plane/api/schemas.ts";
import { engineSocket } from "../../../control-plane/host/instance.ts";
import { layoutOf } from "../../../control-plane/host/layout.ts";
import { openPlatform, type RealPlatform } from "../../fixtures/real-platform.ts";
import { secondCheckout, upFrom } from "../../fixtures/second-checkout.ts";

/** A version whose app ends as soon as it starts reaches a platform of real containers through `classmind up`. */

const SCHOOLS = ["arndt", "brecht", "celan"] as const;
let platform: RealPlatform;
let clone: string;
let settings: string;
const settingsFile = () => layoutOf(platform.instance).settingsFile;

beforeAll(async () => {
  platform = await openPlatform();
  settings = await readFile(settingsFile(), "utf8");
  const rollout = { first: 1, atOnce: 2, healthySeconds: 3, deadlineSeconds: 20 };
  await writeFile(settingsFile(), JSON.stringify({ ...JSON.parse(settings), rollout }));
  await up();
  clone = `/var/tmp/classmind-test/${platform.instance.name}-bad`;
  await secondCheckout(clone);
  for (const slug of SCHOOLS) await platform.json("tenant", "create", slug, "--name", slug, "--demo");
}, 900_000);
afterAll(async () => {
  for (const slug of SCHOOLS) await platform.purge(slug);
  await writeFile(settingsFile(), settings);
  await up();
  await rm(clone, { recursive: true, force: true });
}, 300_000);

async function up(): Promise<void> {
  const { code, stderr } = await platform.classmind("up");
  expect(code, stderr).toBe(0);
}
const school = (slug: string) => platform.json<TenantView>("tenant", "get", slug);
const rollout = async (): Promise<RolloutView> => {
  // Code 7 while it is halted.
  const { stdout } = await platform.classmind("app", "rollout", "status", "-o", "json");
  const [only] = (JSON.parse(stdout) as { items: RolloutView[] }).items;
  if (only === undefined) throw new Error("nothing was rolled out");
  return only;
};
const becomes = (state: RolloutView["state"]) =>
  expect.poll(async () => (await rollout()).state, { timeout: 120_000, interval: 1_000 }).toBe(state);
const pages = async () =>
  Promise.all(SCHOOLS.map(async (slug) => (await platform.besucher(slug).get("/anmelden")).status));

describe("a version whose app does not start", () => {
  it("halts at the first school, which goes on with the old app; what the schools have is kept, and they get it back", async () => {
    const old = (await school("arndt")).version?.app ?? "";
    await appendFile(path.join(clone, "tenant-app/main.ts"), '\nthrow new Error("a bad version");\n');
    // Kept on what it has, whatever comes.
    await platform.json("app", "pin", "celan", "--reason", "Abitur");
    await upFrom(clone, platform);
    await becomes("Halted");
    const halted = await rollout();
    expect(halted).toMatchObject({
      proven: false,
      schools: { updated: 1, waiting: 1, pinned: 1 },
      previous: { app: old },
    });
    expect(halted.reason).toMatch(/^(arndt|brecht): It did not become well within 20 s: /);
    expect(await platform.classmind("app", "rollout", "status")).toMatchObject({
      code: 7,
      stderr: expect.stringContaining("classmind app rollout undo --engine containers"),
    });
    expect((await platform.classmind("status")).stdout).toContain("is Halted");
    // The old app serves until the new one is ready.
    expect(await pages()).toEqual([200, 200, 200]);
    const docker = new Dockerode({ socketPath: engineSocket(platform.instance) });
    await docker.getImage(old).inspect();
    const celan = await school("celan");
    expect(celan).toMatchObject({ phase: "Ready", version: { app: old }, pin: { reason: "Abitur" } });
    expect(celan.conditions).toContainEqual(
      expect.objectContaining({ type: "VersionCurrent", reason: "VersionPinned" }),
    );

    // A suspended school has no container that would keep its image.
    await platform.json("tenant", "suspend", "celan", "--yes");
    await upFrom(clone, platform);
    await docker.getImage(old).inspect();
    await platform.json("tenant", "resume", "celan");

    await platform.json("app", "rollout", "undo", "--reason", "Probe");
    await becomes("Undone");
    await expect
      .poll(async () => (await Promise.all(SCHOOLS.map(school))).map(({ phase, version }) => [phase, version?.app]), {
        timeout: 60_000,
        interval: 1_000,
      })
      .toEqual(SCHOOLS.map(() => ["Ready", old]));
    expect(await pages()).toEqual([200, 200, 200]);
    await platform.json("app", "unpin", "celan");
    const audit = await platform.json<{ items: { action: string }[] }>("audit", "list", "--limit", "30");
    const actions = audit.items.map(({ action }) => action);
    for (const action of ["app.pin", "rollout.begin", "rollout.halt", "rollout.undo", "rollout.undone", "app.unpin"])
      expect(actions).toContain(action);
    // The checkout that it came from brings back what the schools have, and nobody notices.
    await up();
    await becomes("Complete");
    expect(await pages()).toEqual([200, 200, 200]);
  });
});
