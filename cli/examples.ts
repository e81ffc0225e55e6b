import type { Command } from "commander";

/** Examples of the commands that give none themselves: what follows the command's name. */
const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  up: ["", "--domain schulen.example.org"],
  down: [""],
  uninstall: [""],
  status: ["", "-o json"],
  logs: ["", "--follow"],
  "image build": [""],
  "tenant get": ["goethe", "goethe -o json"],
  "tenant open": ["goethe"],
  "tenant manifests": ["goethe"],
  "tenant reset-password": ['goethe anna.schmidt --reason "Passwort vergessen"'],
  "tenant remove-second-factor": ['goethe anna.schmidt --reason "Telefon verloren, Rückruf über das Sekretariat"'],
  "backup create": ["goethe"],
  "backup list": ["goethe"],
  "backup show": ["goethe 6504eb6f-43d9-4e56-afe3-564b5bde4912 -o json"],
  "backup verify": ["goethe"],
  "operation get": ["6504eb6f-43d9-4e56-afe3-564b5bde4912"],
  "cert list": [""],
  "cert show": ["goethe"],
  "cert renew": ["goethe"],
  "audit list": ["--school goethe --limit 20"],
  "audit verify": [""],
  "operator list": [""],
  "operator token": ["anna.schmidt --label laptop --days 30"],
  "operator disable": ["anna.schmidt"],
  "verify isolation": ["goethe"],
  whoami: [""],
  "engine list": [""],
  "engine get": ["berlin"],
  "engine cordon": ["berlin"],
  "engine uncordon": ["berlin"],
  "engine revoke": ["berlin encryption"],
  "clock show": [""],
  dashboard: [""],
};

/** The words by which a command is called: "tenant create". */
export function pathOf(command: Command): string {
  const { parent } = command;
  return parent?.parent ? `${pathOf(parent)} ${command.name()}` : command.name();
}

/** The commands that do something, whatever group they are in. */
export function leavesOf(command: Command): readonly Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leavesOf);
}

/** Puts the examples behind each command's help. */
export function addExamples(program: Command): void {
  for (const command of leavesOf(program)) {
    const path = pathOf(command);
    const lines = EXAMPLES[path];
    if (lines === undefined) continue;
    const shown = lines.map((words) => `  $ classmind ${path} ${words}`.trimEnd());
    command.addHelpText("after", `\nExample${lines.length === 1 ? "" : "s"}:\n${shown.join("\n")}`);
  }
}
