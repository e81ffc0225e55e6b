import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { register } from "../../../tenant-app/features.ts";
import { assertPolicy } from "../../../tenant-app/ground/gate/policy.ts";
import { decide, type Relation, type Right, type Rule, scopes } from "../../../tenant-app/ground/gate/rights.ts";

const { resources } = register.catalogue;
const resource = fc.constantFrom(...resources.keys());
const action = fc.constantFrom("lesen", "anlegen", "bearbeiten", "sperren", "loeschen");
const rule = fc.record({
  role: fc.constantFrom("lehrer", "schueler", "schulleitung", "eigene"),
  resource,
  action,
  scope: fc.constantFrom(...scopes),
});
const relation: fc.Arbitrary<Relation> = fc.dictionary(fc.constantFrom(...scopes), fc.boolean());
/** Rules as the database holds them: at most one for a role, resource and action. */
const rules = fc.uniqueArray(rule, {
  selector: (one) => `${one.role}/${one.resource}/${one.action}`,
  maxLength: 30,
});

const right: fc.Arbitrary<Right> = fc.record({ resource, action });
const speaksOf = (one: Right, wanted: Right) => one.resource === wanted.resource && one.action === wanted.action;
const lesen: Right = { resource: "Konto", action: "lesen" };
const matching = (all: readonly Rule[], wanted: Right) => all.filter((one) => speaksOf(one, wanted));

describe("decision", () => {
  test("R39 no rule: refused", () => {
    fc.assert(
      fc.property(rules, right, fc.option(relation, { nil: undefined }), (all, wanted, facts) => {
        const others = all.filter((one) => !speaksOf(one, wanted));
        expect(decide(others, wanted, facts)).toEqual({ allowed: false, reason: "no-rule" });
      }),
    );
  });

  test("R39 two rules of one role for the same thing: refused, whatever else is allowed", () => {
    fc.assert(
      fc.property(rules, rule, fc.constantFrom(...scopes), relation, (all, one, second, facts) => {
        const double = [...all, one, { ...one, scope: second }];
        expect(decide(double, one, facts).allowed).toBe(false);
        expect(decide(double, one).allowed).toBe(false);
      }),
    );
  });

  test("R39 an exception while judging: refused", () => {
    const broken: Relation = {
      get eigen(): boolean {
        throw new Error("lost");
      },
    };
    const rule = { role: "lehrer", resource: "Konto", action: "lesen", scope: "eigen" };
    expect(decide([rule], lesen, broken)).toEqual({ allowed: false, reason: "error" });
  });

  test("R39 a scope that nobody knows: refused, even beside a rule that would allow", () => {
    const good = { role: "lehrer", resource: "Konto", action: "lesen", scope: "schule" };
    const strange = { ...good, role: "schueler", scope: "alles" };
    expect(decide([good, strange], lesen, { schule: true })).toEqual({
      allowed: false,
      reason: "unknown-scope",
    });
  });

  test("R38 allowed exactly when the scope of one matching rule is true", () => {
    fc.assert(
      fc.property(rules, right, relation, (all, wanted, facts) => {
        const expected = matching(all, wanted).some((one) =>
          Object.entries(facts).some(([scope, holds]) => scope === one.scope && holds),
        );
        expect(decide(all, wanted, facts).allowed).toBe(expected);
      }),
    );
  });

  test("R5 rules for other things never change a decision", () => {
    fc.assert(
      fc.property(rules, rule, right, relation, (all, extra, wanted, facts) => {
        fc.pre(!speaksOf(extra, wanted));
        expect(decide([...all, extra], wanted, facts)).toEqual(decide(all, wanted, facts));
      }),
    );
  });

  test("only what is strictly true counts, and nothing inherited", () => {
    const rule = { role: "lehrer", resource: "Konto", action: "lesen", scope: "eigen" };
    for (const value of [1, "true", {}, [], "eigen"]) {
      const facts: Relation = JSON.parse(JSON.stringify({ eigen: value }));
      expect(decide([rule], lesen, facts).allowed).toBe(false);
    }
    expect(decide([rule], lesen, Object.create({ eigen: true })).allowed).toBe(false);
    expect(decide([rule], lesen, JSON.parse('{"__proto__":{"eigen":true}}')).allowed).toBe(false);
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
      { right: { resource: "Konto" } },
      { right: { resource: "Konto", action: "stehlen" } },
      { right: { resource: "Rolle", action: "loeschen" } },
      { right: { resource: "__proto__", action: "lesen" } },
      { right: { resource: "Konto", action: "__proto__" } },
      { public: "a reason that is long enough", right: lesen },
    ]) {
      expect(() => assertPolicy(policy, "GET /x", resources)).toThrow("GET /x");
    }
    expect(() => assertPolicy({ right: lesen }, "GET /x", resources)).not.toThrow();
  });
});
