import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AuditEntry, chainFault, GENESIS, hashEntry } from "../../../control-plane/audit/chain.ts";

function chain(actions: readonly string[]): readonly AuditEntry[] {
  const entries: AuditEntry[] = [];
  for (const [index, action] of actions.entries()) {
    const unsigned = {
      sequence: index + 1,
      at: new Date(index * 1000).toISOString(),
      operator: "anna",
      token: undefined,
      source: "unix",
      action,
      slug: "goethe",
      tenantUid: undefined,
      reason: undefined,
      detail: { b: 1, a: [1, { d: 2, c: 3 }] },
      previousHash: entries.at(-1)?.hash ?? GENESIS,
    };
    entries.push({ ...unsigned, hash: hashEntry(unsigned) });
  }
  return entries;
}

const start = { sequence: 0, hash: GENESIS };

describe("the audit's chain", () => {
  it("holds for what was appended in order", () => {
    expect(chainFault(chain(["a", "b", "c"]), start)).toBeUndefined();
  });

  it("shows any entry that was altered, removed or moved", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string(), { minLength: 3, maxLength: 8 }),
        fc.nat(),
        fc.constantFrom("operator", "action", "at", "reason", "slug"),
        (actions, seed, field) => {
          const entries = chain(actions);
          const index = seed % entries.length;
          const altered = entries.map((entry, position) =>
            position === index ? { ...entry, [field]: `${String(entry[field])}!` } : entry,
          );
          expect(chainFault(altered, start)).toBe(`Entry ${index + 1} was altered.`);
          if (index < entries.length - 1)
            expect(chainFault(entries.toSpliced(index, 1), start)).toContain(`Entry ${index + 1} is missing`);
        },
      ),
    );
  });

  it("does not depend on the order of keys in the detail, as the database does not keep it", () => {
    const [entry] = chain(["a"]);
    if (entry === undefined) throw new Error("no entry");
    expect(hashEntry({ ...entry, detail: { a: [1, { c: 3, d: 2 }], b: 1 } })).toBe(entry.hash);
  });
});
