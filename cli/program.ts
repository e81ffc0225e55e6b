import { Command, CommanderError, Option } from "commander";
import { ClassmindError } from "../control-plane/errors.ts";
import { addAppCommands } from "./commands/app.ts";
import { addBackupCommands } from "./commands/backup.ts";
import { addClockCommands } from "./commands/clock.ts";
import { addCompletionCommand } from "./commands/completion.ts";
import { addDashboardCommand } from "./commands/dashboard.ts";
import { addEngineCommands } from "./commands/engine.ts";
import { addHostCommands } from "./commands/host.ts";
import { addImageCommands } from "./commands/image.ts";
import { addJournalCommands } from "./commands/journal.ts";
import { addLoginCommand } from "./commands/login.ts";
import { addOperationCommands } from "./commands/operation.ts";
import { addPlatformCommands } from "./commands/platform.ts";
import { addRequestCommands } from "./commands/requests.ts";
import { addTenantCommands } from "./commands/tenant.ts";
import { CliError, Ended, EXIT, type ExitCode, exitCodeOf } from "./errors.ts";
import { addExamples } from "./examples.ts";
import { tint } from "./output.ts";
import type { Session } from "./session.ts";

/** The whole command line; commands parse, functions act. */
export function createProgram(session: Session): Command {
  const program = new Command("classmind");
  program
    .description("An instance of its own for every school: create, watch, back up, restore and remove them.")
    .addOption(
      new Option("-o, --output <format>", "how results are printed").choices(["table", "json"]).default("table"),
    )
    .option("--context <name>", "control plane to talk to; without it the current one")
    .showHelpAfterError("(--help explains)")
    .exitOverride()
    .configureOutput({ writeOut: session.terminal.out, writeErr: session.terminal.err })
    .addHelpText(
      "after",
      "\nFirst steps:\n  $ ./classmind quickstart\n  $ ./classmind tenant list\n\nExit codes: 0 done, 1 fault of ours, 2 wrong command line, 3 refused, 4 not found, 5 conflict, 6 unavailable, 7 failed.",
    );
  addHostCommands(program, session);
  addImageCommands(program, session);
  addTenantCommands(program, session);
  addAppCommands(program, session);
  addBackupCommands(program, session);
  addOperationCommands(program, session);
  addJournalCommands(program, session);
  addRequestCommands(program, session);
  addPlatformCommands(program, session);
  addLoginCommand(program, session);
  addEngineCommands(program, session);
  addClockCommands(program, session);
  addDashboardCommand(program, session);
  addCompletionCommand(program, session);
  addExamples(program);
  return program;
}

/** Errors of work on this machine in the command line's own form. */
function inOwnForm(error: unknown): unknown {
  if (!(error instanceof ClassmindError)) return error;
  return new CliError(exitCodeOf(error.code), error.message, { field: error.field, remedy: error.remedy });
}

/** Runs a command line and says how it ended. Errors are written with the next step; a bug with its trace. */
export async function runProgram(program: Command, session: Session, argv: readonly string[]): Promise<ExitCode> {
  const { terminal } = session;
  try {
    await program.parseAsync(argv, { from: "user" });
    return EXIT.ok;
  } catch (thrown) {
    const error = inOwnForm(thrown);
    if (error instanceof Ended) return error.exitCode;
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    if (error instanceof CliError) {
      const field = error.field === undefined || error.field === "" ? "" : ` (${error.field})`;
      terminal.err(`${tint(terminal, "red", "Error")}${field}: ${error.message}\n`);
      if (error.remedy !== undefined) terminal.err(`${tint(terminal, "dim", "Next")}: ${error.remedy}\n`);
      return error.exitCode;
    }
    terminal.err(
      `This is a fault of classmind, please report it:\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    return EXIT.fault;
  }
}
