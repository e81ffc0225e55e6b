import { createInterface } from "node:readline/promises";
import { contextsFile } from "./context.ts";
import type { Terminal } from "./output.ts";
import { createProgram, runProgram } from "./program.ts";

const NO_WIDTH = 200;

// Whoever reads our output may stop at any line (`| head`): that ends us, and is no fault.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit();
  });
}

const interactive = process.stdin.isTTY === true && process.stderr.isTTY === true;
const terminal: Terminal = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  interactive,
  color: process.stdout.isTTY === true && process.env.NO_COLOR === undefined,
  width: process.stdout.columns ?? NO_WIDTH,
  async ask(question) {
    if (!interactive) return undefined;
    const reader = createInterface({ input: process.stdin, output: process.stderr });
    try {
      return await reader.question(question);
    } finally {
      reader.close();
    }
  },
};
const session = { terminal, environment: process.env, contextsFile: contextsFile(process.env) };
process.exitCode = await runProgram(createProgram(session), session, process.argv.slice(2));
