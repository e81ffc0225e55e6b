import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ClassmindError } from "../../../control-plane/errors.ts";
import { type Candidate, place } from "../../../control-plane/placement.ts";

const candidate = (name: string, overrides: Partial<Candidate> = {}): Candidate => ({
  name,
  country: "DE",
  labels: {},
  capacity: undefined,
  schools: 0,
  cordoned: false,
  unmet: [],
  ...overrides,
});

function refusal(work: () => unknown): ClassmindError {
  try {
    work();
  } catch (error) {
    if (error instanceof ClassmindError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

describe("a new school", () => {
  it("is placed where the smallest share of the room is taken", () => {
    const engines = [
      candidate("big", { capacity: 1000, schools: 300 }),
      candidate("small", { capacity: 100, schools: 40 }),
      candidate("half", { capacity: 100, schools: 10 }),
    ];
    expect(place({ country: "DE" }, engines)).toBe("half");
  });

  it("R62 is placed in its country or nowhere", () => {
    const engines = [candidate("fsn1"), candidate("vie1", { country: "AT" })];
    expect(place({ country: "AT" }, engines)).toBe("vie1");
    expect(refusal(() => place({ country: "CH" }, engines))).toMatchObject({
      code: "PreconditionFailed",
      field: "country",
      message: expect.stringContaining("fsn1 is in DE, vie1 is in AT"),
    });
    expect(refusal(() => place({ country: "AT", engine: "fsn1" }, engines)).field).toBe("country");
  });

  it.each([
    ["an engine that does not exist", { engine: "nbg1" }, {}, "engine", "there are: fsn1"],
    ["labels that nobody carries", { labels: { tier: "gold" } }, {}, "labels", "tier=gold"],
    ["an engine closed for new schools", {}, { cordoned: true }, "engine", "Closed for new schools: fsn1"],
    ["an engine that is full", {}, { capacity: 3, schools: 3 }, "engine", "fsn1 has its 3 schools"],
    ["an engine that is not fit", {}, { unmet: ["network-policies"] }, "engine", "fsn1 (network-policies)"],
  ])("is refused %s, with what to do", (_what, wish, overrides, field, words) => {
    const error = refusal(() => place({ country: "DE", ...wish }, [candidate("fsn1", overrides)]));
    expect(error).toMatchObject({ code: "PreconditionFailed", field, message: expect.stringContaining(words) });
    expect(error.remedy).toMatch(/classmind|capacity/);
  });

  it("waits for a reconciler where no engine is registered", () => {
    expect(refusal(() => place({ country: "DE" }, [])).code).toBe("Unavailable");
  });

  it("never lands on an engine that breaks a rule, whatever the engines are", () => {
    const label = fc.constantFrom("gold", "silver");
    const engines = fc.uniqueArray(
      fc.record({
        name: fc.constantFrom("a", "b", "c", "d", "e"),
        country: fc.constantFrom("DE", "AT"),
        labels: fc.record({ tier: label }),
        capacity: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
        schools: fc.integer({ min: 0, max: 6 }),
        cordoned: fc.boolean(),
        unmet: fc.constantFrom([], ["storage-encryption"]),
      }),
      { selector: ({ name }) => name, minLength: 1 },
    );
    fc.assert(
      fc.property(engines, fc.constantFrom("DE", "AT"), label, (candidates, country, tier) => {
        const fits = candidates.filter(
          (each) =>
            each.country === country &&
            each.labels.tier === tier &&
            !each.cordoned &&
            each.unmet.length === 0 &&
            (each.capacity === undefined || each.schools < each.capacity),
        );
        const wish = { country, labels: { tier } };
        if (fits.length === 0) refusal(() => place(wish, candidates));
        else expect(fits.map(({ name }) => name)).toContain(place(wish, candidates));
      }),
    );
  });
});
