import { describe, expect, it } from "vitest";
import { createReport, inWords, Over, withoutPasswords } from "../../machine/report.ts";

const silent = async () => "";

describe("the log of a run on a machine of its own", () => {
  it("has every stage with its outcome, goes on after a failure, and counts", async () => {
    let text = "";
    const report = createReport(
      (more) => {
        text += more;
      },
      async () => "the machine's words\n",
    );
    expect(await report.stage("one", async () => report.say("seen"))).toBe(true);
    expect(await report.stage("two", () => Promise.reject(new Error("the page is gone")))).toBe(false);
    expect(await report.stage("three", async () => report.show("true", "done\n"))).toBe(true);
    expect([report.passed, report.failed]).toEqual([2, 1]);
    expect(text).toMatch(/== one\nseen\n.*== ok: one/);
    expect(text).toMatch(/the page is gone\nthe machine's words\n.*== FAILED: two/);
    expect(text).toContain("$ true\ndone\n");
  });

  it("ends where what follows would make no sense", async () => {
    const report = createReport(() => undefined, silent);
    await expect(report.stage("boot", () => Promise.reject(new Error("no")), "needed")).rejects.toThrow(Over);
    expect(report.failed).toBe(1);
  });

  it("shows no password", async () => {
    let text = "";
    const report = createReport((more) => {
      text += more;
    }, silent);
    report.show(
      "./classmind quickstart",
      "User name          schul.administration\nOne-time password  Kb7x-9PqL-wwEr\n",
    );
    await report.stage("printed", () => Promise.reject(new Error("One-time password  Kb7x-9PqL-wwEr")));
    expect(text).toContain("One-time password  ****-****-****");
    expect(text).not.toContain("9PqL");
    expect(withoutPasswords("Password rules")).toBe("Password rules");
  });

  it("says times as people do", () => {
    expect(inWords(7_400)).toBe("7 s");
    expect(inWords(125_000)).toBe("2 min 5 s");
  });
});
