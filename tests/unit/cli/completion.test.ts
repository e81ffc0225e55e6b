import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { createProgram } from "../../../cli/program.ts";

async function scriptFor(shell: string): Promise<string> {
  let script = "";
  const out = (text: string) => {
    script += text;
  };
  const program = createProgram({
    terminal: { out, err: () => undefined, interactive: false, color: false, width: 80, ask: async () => undefined },
    environment: {},
    contextsFile: "/nowhere",
  });
  await program.parseAsync(["completion", shell], { from: "user" });
  return script;
}

const DRIVER = `
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_classmind
printf '%s\\n' "\${COMPREPLY[@]}"`;

/** What bash offers for the last of the words. */
function offered(script: string, ...words: readonly string[]): readonly string[] {
  const text = execFileSync("bash", ["-u", "-c", script + DRIVER, "bash", "classmind", ...words], { encoding: "utf8" });
  return text.split("\n").filter((line) => line !== "");
}

describe("the completion, in a shell,", () => {
  it("offers commands, their commands and their options, and only those that begin as typed", async () => {
    const script = await scriptFor("bash");
    expect(offered(script, "")).toEqual(expect.arrayContaining(["tenant", "backup", "doctor"]));
    expect(offered(script, "te")).toEqual(["tenant"]);
    expect(offered(script, "tenant", "und")).toEqual(["undelete"]);
    expect(offered(script, "tenant", "create", "--con")).toEqual(["--contract"]);
  });

  it("knows the command also after its arguments and options", async () => {
    const script = await scriptFor("bash");
    expect(offered(script, "tenant", "create", "lessing", "--name", "Lessing Schule", "--dem")).toEqual(["--demo"]);
  });

  it("offers nothing for what is no command, and does not run what was typed", async () => {
    const script = await scriptFor("bash");
    expect(offered(script, "tenant", "$(echo un)")).toEqual([]);
    expect(offered(script, "tenant", "*", "und")).toEqual(["undelete"]);
  });
});
