import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type AnsweringApi, answeringApi } from "../../fixtures/answering-api.ts";

/** What an operator is told of a school's journal, and what they are asked before anything changes. */

let api: AnsweringApi;
beforeEach(async () => {
  api = await answeringApi();
});
afterEach(() => api.close());

const journal = (...args: string[]) => api.run("journal", ...args);
const why = ["--reason", "Monatliche Prüfung"];
const mark = (what: string) => ({ mark: "Mathematik 7b, Arbeit 1", person: "Mia Muster", what });

describe("classmind journal verify", () => {
  it("R30 says that all is well, and ends well", async () => {
    api.answer(() => ({ marks: 12, chain: [], findings: [] }));
    await journal("verify", "goethe", ...why);
    expect(api.asked).toEqual([{ url: "/v1/tenants/goethe/journal/verify", body: { reason: "Monatliche Prüfung" } }]);
    expect(api.said()).toMatch(/Marks +12 looked at/);
    expect(api.said()).toMatch(/Chain +holds/);
    expect(api.said()).toMatch(/Findings +none/);
    expect(api.said()).not.toContain("rebuild");
  });

  it("R30 names each mark that was found with the next step, and ends with 7", async () => {
    api.answer(() => ({ marks: 12, chain: [], findings: [mark("changed"), mark("without-entry")] }));
    await expect(journal("verify", "goethe", ...why)).rejects.toMatchObject({ exitCode: 7 });
    expect(api.said()).toMatch(/Findings +2/);
    expect(api.said()).toContain('classmind journal rebuild goethe --reason "…"');
    expect(api.said()).toMatch(/Mathematik 7b, Arbeit 1 +Mia Muster +changed/);
  });

  it("R30 proposes no rebuild for marks that no entry knows: there is nothing to put back", async () => {
    api.answer(() => ({ marks: 12, chain: [], findings: [mark("without-entry")] }));
    await expect(journal("verify", "goethe", ...why)).rejects.toMatchObject({ exitCode: 7 });
    expect(api.said()).not.toContain("rebuild");
  });

  it("R30 says of a chain that was changed that nothing is to be changed now, and ends with 7", async () => {
    api.answer(() => ({ marks: 12, chain: [{ link: 4, what: "altered" }], findings: [] }));
    await expect(journal("verify", "goethe", ...why)).rejects.toMatchObject({ exitCode: 7 });
    expect(api.said()).toContain("altered (4)");
    expect(api.said()).toContain("change nothing, keep the backups");
  });

  it("R48 wants a reason, and asks the school for nothing without one", async () => {
    await expect(journal("verify", "goethe")).rejects.toThrow("needs a reason");
    expect(api.asked).toEqual([]);
  });
});

describe("classmind journal rebuild", () => {
  it("R44 asks back first, and says what was put back and what could not be", async () => {
    api.answer(() => ({ rebuilt: 3, left: [mark("without-entry")] }));
    await expect(journal("rebuild", "goethe", ...why)).rejects.toThrow("Nobody is here to confirm this.");
    expect(api.asked).toEqual([]);
    await journal("rebuild", "goethe", ...why, "--yes");
    expect(api.asked[0]?.url).toBe("/v1/tenants/goethe/journal/rebuild");
    expect(api.said()).toMatch(/Rebuilt +3 marks/);
    expect(api.said()).toMatch(/Left alone +1, .*Mathematik 7b, Arbeit 1/);
  });
});

describe("classmind journal undo", () => {
  const undo = (...more: string[]) =>
    journal("undo", "goethe", "max.mathe", "--since", "2026-11-27T09:00:00+01:00", ...why, ...more);
  const done = (applied: boolean) => () => ({
    applied,
    marks: [mark("changed"), mark("changed")],
    conflicts: [mark("changed")],
    others: { Nachricht: 2 },
  });

  it("only says what that would be, without a question, and how to do it", async () => {
    api.answer(done(false));
    await undo();
    expect(api.asked).toEqual([
      {
        url: "/v1/tenants/goethe/journal/undo",
        body: { username: "max.mathe", since: "2026-11-27T08:00:00.000Z", apply: false, reason: "Monatliche Prüfung" },
      },
    ]);
    expect(api.said()).toMatch(/Would be taken back +2 marks/);
    expect(api.said()).toMatch(/Left alone +1 that others changed since/);
    expect(api.said()).toMatch(/Beside marks +not taken back: Nachricht 2/);
    expect(api.said()).toMatch(/Next +the same with --apply/);
  });

  it("asks back before it does it", async () => {
    api.answer(done(true));
    await expect(undo("--apply")).rejects.toThrow("Nobody is here to confirm this.");
    expect(api.asked).toEqual([]);
    await undo("--apply", "--yes");
    expect(api.asked[0]?.body).toMatchObject({ apply: true });
    expect(api.said()).toMatch(/Taken back +2 marks/);
    expect(api.said()).not.toContain("--apply");
  });

  it("refuses a time that is none, and names the option", async () => {
    await expect(journal("undo", "goethe", "max.mathe", "--since", "gestern", ...why)).rejects.toThrow("--since");
    expect(api.asked).toEqual([]);
  });
});
