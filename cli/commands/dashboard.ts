import type { Command } from "commander";
import { CliError, EXIT } from "../errors.ts";
import { type CommonOptions, connect, type Session } from "../session.ts";

/** Lines of the screen that are not schools: title, an error, header, footer and the cursor's own line. */
const FRAME_LINES = 5;
const LEAST_COLUMNS = 60;

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
      const [{ Dashboard }, { openFleet }, { render }, { createElement }] = await Promise.all([
        import("../dashboard/app.tsx"),
        import("../dashboard/fleet.ts"),
        import("ink"),
        import("react"),
      ]);
      const columns = Math.max(LEAST_COLUMNS, process.stdout.columns ?? 80);
      const fleet = openFleet(client, Math.max(5, (process.stdout.rows ?? 24) - FRAME_LINES));
      const screen = render(
        createElement(Dashboard, { fleet, title: `Classmind ${domain}`, columns, color: session.terminal.color }),
        { exitOnCtrlC: true },
      );
      await screen.waitUntilExit();
      fleet.stop();
      // The line of events may still be open; nothing else is to be done.
      process.exit(EXIT.ok);
    });
}
