import { describe, expect, it } from "vitest";
import { leavesOf, pathOf } from "../../../cli/examples.ts";
import { createProgram } from "../../../cli/program.ts";

const terminal = { out: () => undefined, err: () => undefined, interactive: false, color: false, width: 80 };
const program = createProgram({
  terminal: { ...terminal, ask: async () => undefined },
  environment: {},
  contextsFile: "/nowhere",
});

describe("the help of", () => {
  it.each(leavesOf(program).map((command) => [pathOf(command), command] as const))(
    "%s says what it does and shows an example that calls it",
    (path, command) => {
      let text = "";
      command.configureOutput({
        writeOut: (words) => {
          text += words;
        },
      });
      command.outputHelp();
      expect(command.description()).not.toBe("");
      expect(text).toMatch(new RegExp(`^  \\$ (sudo )?(source <\\()?(\\./)?classmind ${path}( |\\)|$)`, "m"));
    },
  );
});
