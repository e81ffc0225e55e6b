import type { Command } from "commander";
import { CliError, EXIT } from "../errors.ts";
import type { Session } from "../session.ts";

/** All command paths with their options, e.g. "tenant create" → ["--name", …]. */
function commandPaths(
  command: Command,
  prefix: readonly string[] = [],
): ReadonlyArray<readonly [string, readonly string[]]> {
  const own = [
    ...command.commands.map((child) => child.name()),
    ...command.options.flatMap((option) => (option.long === undefined ? [] : [option.long])),
    "--help",
  ];
  return [
    [prefix.join(" "), own],
    ...command.commands.flatMap((child) => commandPaths(child, [...prefix, child.name()])),
  ];
}

function bashScript(program: Command): string {
  const cases = commandPaths(program).map(
    ([path, words]) => `    ${JSON.stringify(path)}) words=${JSON.stringify(words.join(" "))} ;;`,
  );
  return `# classmind completion for bash: source <(classmind completion bash)
_classmind() {
  local path="" word words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in -*) ;; *) path="\${path:+$path }$word" ;; esac
  done
  while :; do
    case $path in
${cases.join("\n")}
    esac
    [[ -n $words || -z $path ]] && break
    [[ $path == *" "* ]] && path="\${path% *}" || path=""
  done
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}")
}
complete -F _classmind classmind ./classmind
`;
}

function fishScript(program: Command): string {
  const lines = commandPaths(program).flatMap(([path, words]) =>
    words
      .filter((word) => !word.startsWith("-"))
      .map(
        (word) =>
          `complete -c classmind -f -n ${JSON.stringify(path === "" ? "__fish_use_subcommand" : `__fish_seen_subcommand_from ${path}`)} -a ${word}`,
      ),
  );
  return `# classmind completion for fish: classmind completion fish | source\n${lines.join("\n")}\n`;
}

/** `classmind completion bash|zsh|fish` */
export function addCompletionCommand(program: Command, session: Session): void {
  program
    .command("completion <shell>")
    .description("print shell completion for bash, zsh or fish")
    .addHelpText("after", "\nExample:\n  $ source <(classmind completion bash)")
    .action((shell: string) => {
      if (shell === "bash") return session.terminal.out(bashScript(program));
      if (shell === "zsh")
        return session.terminal.out(`autoload -U +X bashcompinit && bashcompinit\n${bashScript(program)}`);
      if (shell === "fish") return session.terminal.out(fishScript(program));
      throw new CliError(EXIT.usage, `There is no completion for ${shell}.`, { remedy: "Choose bash, zsh or fish." });
    });
}
