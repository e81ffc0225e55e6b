import { type Client, createClient } from "./client.ts";
import { chooseContext } from "./context.ts";
import { CliError, EXIT } from "./errors.ts";
import { json, type OutputFormat, type Terminal } from "./output.ts";

/** What every command works with. */
export interface Session {
  readonly terminal: Terminal;
  readonly environment: NodeJS.ProcessEnv;
  readonly contextsFile: string;
}

export interface CommonOptions {
  readonly output: OutputFormat;
  readonly context?: string;
}

export function connect(session: Session, options: CommonOptions): Client {
  return createClient(chooseContext(session.contextsFile, options.context));
}

/** Prints a result: JSON as it is, or what `render` makes of it for people. */
export function print<T>(session: Session, options: CommonOptions, value: T, render: (value: T) => string): void {
  session.terminal.out(options.output === "json" ? json(value) : render(value));
}

/**
 * Asks for the school's name to be typed before something that cannot be undone (or hurts).
 * @throws CliError when it is not repeated, or nobody can be asked and --yes is missing
 */
export async function confirmSlug(
  session: Session,
  slug: string,
  yes: boolean | undefined,
  consequence: string,
): Promise<void> {
  if (yes === true) return;
  const answer = await session.terminal.ask(`${consequence}\nType the school's name (${slug}) to go on: `);
  if (answer === undefined)
    throw new CliError(EXIT.usage, "Nobody is here to confirm this.", { remedy: "Add --yes if it is meant." });
  if (answer.trim() !== slug) throw new CliError(EXIT.refused, "The name was not repeated. Nothing was changed.");
}
