import { type Command, Option } from "commander";
import { DEFAULT_INSTANCE } from "../../control-plane/host/instance.ts";
import type { CommonOptions, Session } from "../session.ts";
import { doctorOfEngine } from "./engine.ts";
import type { HostOptions } from "./host-actions.ts";

type Actions = typeof import("./host-actions.ts");

/** `classmind quickstart|up|down|status` */
export function addHostCommands(program: Command, session: Session): void {
  const instanceOption = new Option("--instance <name>", "installation on this machine")
    .default(DEFAULT_INSTANCE)
    .env("CLASSMIND_INSTANCE");
  const engineOption = new Option("--engine <kind>", "simulated: try the control plane without containers")
    .choices(["containers", "simulated"])
    .hideHelp();
  const poolOption = new Option(
    "--address-pool <cidr>",
    "private addresses for the schools' networks (default: some that no network of this machine uses)",
  );
  const command = (name: string, summary: string): Command =>
    program.command(name).description(summary).addOption(instanceOption);
  // Loaded here alone: what works on this machine is half of the program, and of no use to the other commands.
  const act =
    (work: (actions: Actions, options: HostOptions) => unknown) =>
    async (_options: unknown, self: Command): Promise<void> => {
      await work(await import("./host-actions.ts"), self.optsWithGlobals<HostOptions>());
    };
  command("quickstart", "from a fresh Debian to a first school on this machine")
    .option("--domain <domain>", "domain below which schools get their addresses")
    .addOption(poolOption)
    .option("--dry-run", "only list what would be installed and why")
    .option("-y, --yes", "do not ask")
    .addOption(engineOption)
    .addHelpText("after", "\nExamples:\n  $ sudo ./classmind quickstart\n  $ ./classmind quickstart --dry-run")
    .action(act(({ quickstart }, options) => quickstart(session, options)));
  command("up", "start the platform of this machine, building and installing what is missing")
    .option("--domain <domain>", "domain below which schools get their addresses")
    .addOption(poolOption)
    .addOption(engineOption)
    .action(act(({ bringUp }, options) => bringUp(session, options)));
  command("down", "stop the platform of this machine and all its schools; all data stays, locked").action(
    act(({ takeDown }, options) => takeDown(session, options)),
  );
  command("uninstall", "remove every trace of the platform from this machine: schools, backups, keys, images")
    .option("-y, --yes", "do not ask")
    .action(act(({ removeAll }, options) => removeAll(session, options)));
  const onMachine = act(({ doctor }, options) => doctor(session, options));
  command("doctor", "what is missing on this machine, or an engine, and how to mend it; exit code 7 when anything is")
    .option("--engine <name>", "an engine of the control plane instead of this machine, e.g. kubernetes")
    .addHelpText("after", "\nExamples:\n  $ ./classmind doctor\n  $ ./classmind doctor --engine kubernetes")
    .action(async (options: unknown, self: Command) => {
      const { engine, ...common } = self.optsWithGlobals<CommonOptions & { engine?: string }>();
      await (engine === undefined ? onMachine(options, self) : doctorOfEngine(session, common, engine));
    });
  command("status", "what runs on this machine; exit code 6 when nothing does").action(
    act(({ status }, options) => status(session, options)),
  );
  command("logs", "the platform's own log, newest lines")
    .option("-f, --follow", "go on with what is added, until Ctrl-C")
    .action(act(({ printLog }, options) => printLog(session, options)));
}
