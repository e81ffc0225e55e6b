import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../control-plane/clock.ts";
import type { Relays } from "../../../control-plane/engine/containers/relays.ts";
import { createStandingRelays, type StandingRelays } from "../../../control-plane/engine/containers/standing-relays.ts";
import { until } from "../../fixtures/until.ts";

/** Which ways out stand open, with relays that only note what they are asked for (relays.test.ts has the real ones). */

const MAIL = { address: "192.0.2.25", port: 465 };
const GATEWAY = "10.70.0.1";

let open: Set<string>;
let failures: number;
let warnings: unknown[];
let standing: StandingRelays;
beforeEach(() => {
  open = new Set();
  failures = 0;
  warnings = [];
  const relays: Relays = {
    async open(gateway, from, targets) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (failures > 0) {
        failures -= 1;
        throw new Error("the host has lost its address");
      }
      const key = `${gateway} ${from} ${targets.map(({ address, port }) => `${address}:${port}`).join()}`;
      open.add(key);
      return () => open.delete(key);
    },
    close: () => open.clear(),
  };
  standing = createStandingRelays(relays, systemClock, { warn: (fields) => warnings.push(fields) });
});
afterEach(() => standing.close());

const way = (from: string) => `${GATEWAY} ${from} 192.0.2.25:465`;
const are = (ways: readonly string[]) =>
  until(`open: ${ways.join()}`, async () => ([...open].sort().join() === ways.join() ? true : undefined));

describe("ways out that stand open", () => {
  it("are those that were said last; what stays is not opened anew", async () => {
    standing.set("school-a", GATEWAY, [
      { from: "10.70.0.3", targets: [MAIL] },
      { from: "10.70.0.4", targets: [MAIL] },
    ]);
    await are([way("10.70.0.3"), way("10.70.0.4")]);
    standing.set("school-a", GATEWAY, [{ from: "10.70.0.4", targets: [MAIL] }]);
    await are([way("10.70.0.4")]);
    standing.set("school-a", "", []);
    await are([]);
  });

  it("are each school's own", async () => {
    standing.set("school-a", GATEWAY, [{ from: "10.70.0.3", targets: [MAIL] }]);
    standing.set("school-b", GATEWAY, [{ from: "10.70.0.5", targets: [MAIL] }]);
    await are([way("10.70.0.3"), way("10.70.0.5")]);
    standing.set("school-a", GATEWAY, []);
    await are([way("10.70.0.5")]);
  });

  it("that are not wanted any more before they are open are closed once they are", async () => {
    standing.set("school-a", GATEWAY, [{ from: "10.70.0.3", targets: [MAIL] }]);
    standing.set("school-a", GATEWAY, []);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([...open]).toEqual([]);
  });

  it("are tried again until they open, for the host has the bridge's address only once a pod runs", async () => {
    failures = 2;
    standing.set("school-a", GATEWAY, [{ from: "10.70.0.3", targets: [MAIL] }]);
    await are([way("10.70.0.3")]);
    expect(warnings).toEqual([]);
  });
});
