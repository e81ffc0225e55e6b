import { describe, expect, it } from "vitest";
import { openFault, partOf, type Read, readBackAt } from "../../../control-plane/backup/verification.ts";

const at = (day: number, hour = 0): string => new Date(Date.UTC(2026, 10, day, hour)).toISOString();

function read(runId: string, day: number, overrides: Partial<Read> = {}): Read {
  return {
    runId,
    startedAt: at(day),
    finishedAt: at(day),
    verifiedAt: at(day, 1),
    verifiedExtent: partOf(new Date(at(day))),
    repository: 1,
    ...overrides,
  };
}

describe("a fault that reading a backup back has found", () => {
  const damaged = read("a", 1, { verifyError: "pack 4f is damaged", verifyCode: "RepositoryDamaged" });

  it("stands although later backups were made, and although other parts were read well", () => {
    expect(openFault([damaged])).toBe(damaged);
    expect(openFault([read("b", 2, { verifiedAt: undefined }), damaged])).toBe(damaged);
    expect(openFault([read("b", 2), damaged])).toBe(damaged);
  });

  it("is disproved by the same part, by the whole, or by a fresh repository that was read, and by nothing earlier", () => {
    expect(openFault([read("b", 8), damaged])).toBeUndefined();
    expect(openFault([read("b", 2, { verifiedExtent: "whole" }), damaged])).toBeUndefined();
    expect(openFault([read("b", 2, { repository: 2 }), damaged])).toBeUndefined();
    const before = read("b", 1, { verifiedAt: at(1, 0), verifiedExtent: "whole" });
    expect(openFault([before, damaged])).toBe(damaged);
  });

  it("of one backup's archive is disproved by a later backup, of which the archive was read whole", () => {
    const broken = read("a", 1, { verifyError: "the archive is broken", verifyCode: "ArchiveBroken" });
    expect(openFault([read("b", 2), broken])).toBeUndefined();
    expect(openFault([read("z", 0, { verifiedAt: at(2) }), broken])).toBe(broken);
  });

  it("is the newest of those that stand", () => {
    const later = read("b", 3, { verifyError: "another", verifyCode: "RepositoryDamaged" });
    expect(openFault([damaged, later])).toBe(later);
  });
});

describe("the repository's data", () => {
  it("are read whole within a week, a part each day", () => {
    const parts = Array.from({ length: 7 }, (_, day) => partOf(new Date(at(day + 1))));
    expect(new Set(parts).size).toBe(7);
    expect(parts).toContain("7/7");
  });

  it("are read soon after a backup was made, once", () => {
    const made = { ...read("a", 1), verifiedAt: undefined };
    expect(readBackAt(made)?.getTime()).toBeGreaterThan(Date.parse(at(1)));
    expect(readBackAt(made)?.getTime()).toBeLessThan(Date.parse(at(1, 1)));
    expect(readBackAt(read("a", 1))).toBeUndefined();
    expect(readBackAt(undefined)).toBeUndefined();
  });
});
