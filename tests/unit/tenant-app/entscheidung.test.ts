import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { assertPolicy } from "../../../tenant-app/gate/policy.ts";
import { aktionenJeRessource, type Bezug, decide, type Regel, umfaenge } from "../../../tenant-app/gate/rechte.ts";

const ressource = fc.constantFrom(...Object.keys(aktionenJeRessource));
const aktion = fc.constantFrom("lesen", "anlegen", "bearbeiten", "sperren", "loeschen");
const regel = fc.record({
  rolle: fc.constantFrom("lehrer", "schueler", "schulleitung", "eigene"),
  ressource,
  aktion,
  umfang: fc.constantFrom(...umfaenge),
});
const bezug: fc.Arbitrary<Bezug> = fc.dictionary(fc.constantFrom(...umfaenge), fc.boolean());
/** Rules as the database holds them: at most one for a role, resource and action. */
const regeln = fc.uniqueArray(regel, {
  selector: (one) => `${one.rolle}/${one.ressource}/${one.aktion}`,
  maxLength: 30,
});

const matching = (all: readonly Regel[], wanted: string, action: string) =>
  all.filter((one) => one.ressource === wanted && one.aktion === action);

describe("decision", () => {
  test("R39 no rule: refused", () => {
    fc.assert(
      fc.property(regeln, ressource, aktion, fc.option(bezug, { nil: undefined }), (all, wanted, action, facts) => {
        const others = all.filter((one) => one.ressource !== wanted || one.aktion !== action);
        expect(decide(others, wanted, action, facts)).toEqual({ allowed: false, reason: "no-rule" });
      }),
    );
  });

  test("R39 two rules of one role for the same thing: refused, whatever else is allowed", () => {
    fc.assert(
      fc.property(regeln, regel, fc.constantFrom(...umfaenge), bezug, (all, one, second, facts) => {
        const double = [...all, one, { ...one, umfang: second }];
        expect(decide(double, one.ressource, one.aktion, facts).allowed).toBe(false);
        expect(decide(double, one.ressource, one.aktion).allowed).toBe(false);
      }),
    );
  });

  test("R39 an exception while judging: refused", () => {
    const broken: Bezug = {
      get eigen(): boolean {
        throw new Error("lost");
      },
    };
    const rule = { rolle: "lehrer", ressource: "Konto", aktion: "lesen", umfang: "eigen" };
    expect(decide([rule], "Konto", "lesen", broken)).toEqual({ allowed: false, reason: "error" });
  });

  test("R39 a scope that nobody knows: refused, even beside a rule that would allow", () => {
    const good = { rolle: "lehrer", ressource: "Konto", aktion: "lesen", umfang: "schule" };
    const strange = { ...good, rolle: "schueler", umfang: "alles" };
    expect(decide([good, strange], "Konto", "lesen", { schule: true })).toEqual({
      allowed: false,
      reason: "unknown-scope",
    });
  });

  test("R38 allowed exactly when the scope of one matching rule is true", () => {
    fc.assert(
      fc.property(regeln, ressource, aktion, bezug, (all, wanted, action, facts) => {
        const expected = matching(all, wanted, action).some((one) =>
          Object.entries(facts).some(([scope, holds]) => scope === one.umfang && holds),
        );
        expect(decide(all, wanted, action, facts).allowed).toBe(expected);
      }),
    );
  });

  test("R5 rules for other things never change a decision", () => {
    fc.assert(
      fc.property(regeln, regel, ressource, aktion, bezug, (all, extra, wanted, action, facts) => {
        fc.pre(extra.ressource !== wanted || extra.aktion !== action);
        expect(decide([...all, extra], wanted, action, facts)).toEqual(decide(all, wanted, action, facts));
      }),
    );
  });

  test("only what is strictly true counts, and nothing inherited", () => {
    const rule = { rolle: "lehrer", ressource: "Konto", aktion: "lesen", umfang: "eigen" };
    for (const value of [1, "true", {}, [], "eigen"]) {
      const facts: Bezug = JSON.parse(JSON.stringify({ eigen: value }));
      expect(decide([rule], "Konto", "lesen", facts).allowed).toBe(false);
    }
    expect(decide([rule], "Konto", "lesen", Object.create({ eigen: true })).allowed).toBe(false);
    expect(decide([rule], "Konto", "lesen", JSON.parse('{"__proto__":{"eigen":true}}')).allowed).toBe(false);
  });
});

describe("policy", () => {
  test("R38 a route without a policy, with half of one, or with a right that does not exist is refused", () => {
    for (const policy of [
      undefined,
      null,
      {},
      { public: "" },
      { public: "short" },
      { resource: "Konto" },
      { resource: "Konto", action: "stehlen" },
      { resource: "Rolle", action: "loeschen" },
      { resource: "__proto__", action: "lesen" },
      { public: "a reason that is long enough", resource: "Konto" },
    ]) {
      expect(() => assertPolicy(policy, "GET /x")).toThrow("GET /x");
    }
    expect(() => assertPolicy({ resource: "Konto", action: "lesen" }, "GET /x")).not.toThrow();
  });
});
