import { describe, expect, it } from "vitest";
import { changeReader } from "../../../control-plane/engine/containers/firewall-watch.ts";

const OURS = 41;

/** What is told after these lines; a change without an author is told when `waited`. */
function told(lines: readonly string[], waited = false): number {
  let count = 0;
  let due: (() => void) | undefined;
  const read = changeReader("classmind_x", { isOurs: (pid) => pid === OURS, changed: () => (count += 1) }, (then) => {
    due = then;
    return () => {
      due = undefined;
    };
  });
  for (const line of lines) read(line);
  if (waited) due?.();
  return count;
}

const change = "delete rule inet classmind_x input handle 4";
const by = (pid: number) => `# new generation 6389 by process ${pid} (nft)`;

describe("the watch over the firewall's table", () => {
  it("tells once of a transaction of someone else, however many changes it holds", () => {
    expect(told([change, change, change, by(7)])).toBe(1);
    expect(told([change, by(7), "delete table bridge classmind_x", by(7)])).toBe(2);
  });

  it("keeps silent about our own changes and about other tables", () => {
    expect(told([change, change, by(OURS)])).toBe(0);
    expect(told(["add rule ip nat NETAVARK", by(7)], true)).toBe(0);
    expect(told(["add rule inet classmind_xy input", by(7)], true)).toBe(0);
  });

  it("takes a change whose author is not named for someone else's", () => {
    expect(told([change], true)).toBe(1);
    // The author of another table's change says nothing of it.
    expect(told([change, by(OURS), change], true)).toBe(1);
  });
});
