import { readFileSync } from "node:fs";
import { type Command, Option } from "commander";
import { messageOf } from "../../control-plane/errors.ts";
import { createInstance, DEFAULT_INSTANCE } from "../../control-plane/host/instance.ts";
import { layoutOf } from "../../control-plane/host/layout.ts";
import { createClient } from "../client.ts";
import { type Context, parseContext, readContexts, writeContexts } from "../context.ts";
import { CliError, EXIT } from "../errors.ts";
import { type CommonOptions, print, type Session } from "../session.ts";

interface LoginOptions extends CommonOptions {
  readonly instance: string;
  readonly server?: string;
  readonly ca?: string;
}

function readAuthority(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new CliError(EXIT.usage, `The certificate authority cannot be read: ${messageOf(error)}`, { field: "--ca" });
  }
}

/** A token comes by standard input alone: arguments and the environment can be read by others. */
async function readToken(session: Session): Promise<string> {
  const text = (await session.terminal.ask("Operator's token: ")) ?? readFileSync(0, "utf8");
  if (/^[A-Za-z0-9_-]{1,200}$/.test(text.trim())) return text.trim();
  throw new CliError(EXIT.usage, "That is no token.", {
    remedy: "Give one by standard input; an operator makes it: classmind operator token NAME --label laptop",
  });
}

/** Keeps a token for a control plane, after it was seen to open it; nothing is kept when it does not. */
async function login(session: Session, options: LoginOptions): Promise<void> {
  const name = options.context ?? options.instance;
  const known = readContexts(session.contextsFile);
  const server = options.server ?? `unix://${layoutOf(createInstance(options.instance)).apiSocket}`;
  const authority = options.ca === undefined ? {} : { certificateAuthority: readAuthority(options.ca) };
  // Where it leads is judged before a token is asked for.
  parseContext({ server, token: "", ...authority });
  const context: Context = { server, token: await readToken(session), ...authority };
  await createClient(context).get("/v1/platform");
  writeContexts(session.contextsFile, { current: name, contexts: { ...known.contexts, [name]: context } });
  print(
    session,
    options,
    { context: name, server },
    (value) => `Logged in to ${value.server} as context ${value.context}.\n`,
  );
}

/** `classmind login` */
export function addLoginCommand(program: Command, session: Session): void {
  program
    .command("login")
    .description("keep an operator's token, given by standard input, for this machine's platform or another one")
    .addOption(
      new Option("--instance <name>", "installation on this machine")
        .default(DEFAULT_INSTANCE)
        .env("CLASSMIND_INSTANCE"),
    )
    .option("--server <address>", "unix:///socket or https://host:port; without it this machine's own platform")
    .option("--ca <file>", "PEM of the authority that signed its certificate, if the world does not know it")
    .addHelpText(
      "after",
      "\nExamples:\n  $ classmind login < token.txt\n  $ classmind login --server https://classmind.example.org:8443 --ca ca.pem --context office < token.txt",
    )
    .action(async (_options: unknown, self: Command) => login(session, self.optsWithGlobals<LoginOptions>()));
}
