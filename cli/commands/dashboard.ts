import type { Command } from "commander";
import { CliError, EXIT } from "../errors.ts";
import { type CommonOptions, connect, type Session } from "../session.ts";

/** `classmind dashboard` */
export function addDashboardCommand(program: Command, session: Session): void {
  program
    .command("dashboard")
    .description("watch the fleet: phase, reason, newest backup, certificate, disk; live")
    .action(async (_options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>();
      if (!session.terminal.interactive)
        throw new CliError(EXIT.usage, "The dashboard needs a terminal.", {
          remedy: "Use: classmind tenant list -o json",
        });
      const client = connect(session, options);
      const { domain } = await client.get<{ domain: string }>("/v1/platform");
      // Loaded here alone: Ink and React are of no use to the other commands.
      await import("../tsx-hook.ts");
      const { showDashboard } = await import("../dashboard/screen.ts");
      await showDashboard(client, `Classmind ${domain}`, {
        stdin: process.stdin,
        stdout: process.stdout,
        color: session.terminal.color,
      });
      // The line of events may still be open; nothing else is to be done.
      process.exit(EXIT.ok);
    });
}
