import { chmodSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import { messageOf } from "../control-plane/errors.ts";
import { parseJson } from "../control-plane/written/json.ts";
import { decodeWritten, WrittenFault } from "../control-plane/written/text.ts";
import { CliError, EXIT } from "./errors.ts";

/** Where a control plane is and who we are there. Kept in a file that only its owner can read. */
const context = z.strictObject({
  /** `unix:///path` of a socket on this machine, an https:// address, or a port of this machine itself (a forwarded one, say). */
  server: z.string().regex(/^(unix:\/\/\/|https:\/\/|http:\/\/(localhost|127\.0\.0\.1|\[::1\]):\d+\/?$)/),
  token: z.string(),
  /** PEM of the certificate authority for an https address with an own one. */
  certificateAuthority: z.string().optional(),
});
export type Context = z.infer<typeof context>;

/** @throws CliError usage when an address is none that a token may be sent to */
export function parseContext(value: unknown): Context {
  const parsed = context.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new CliError(EXIT.usage, "A token is sent to no such address.", {
    field: "--server",
    remedy: "Give unix:///path of a socket, an https:// address, or http://127.0.0.1:PORT of this machine itself.",
  });
}

const contexts = z.strictObject({ current: z.string(), contexts: z.record(z.string(), context) });
export type Contexts = z.infer<typeof contexts>;

const NONE: Contexts = { current: "", contexts: {} };

/**
 * Path of the contexts' file: CLASSMIND_CONTEXTS, or beside the user's other settings. Who calls through sudo has one of their own
 * beside root's: what they do is recorded as theirs.
 */
export function contextsFile(environment: NodeJS.ProcessEnv): string {
  if (environment.CLASSMIND_CONTEXTS !== undefined) return environment.CLASSMIND_CONTEXTS;
  const home = environment.XDG_CONFIG_HOME ?? path.join(environment.HOME ?? "/root", ".config");
  const person = environment.SUDO_USER?.replace(/[^A-Za-z0-9_-]/g, "-");
  const own = person === undefined || person === "" || person === "root" ? "" : `-${person}`;
  return path.join(home, "classmind", `contexts${own}.json`);
}

/** Nothing of the file is ever quoted: it holds tokens. */
function parseContexts(file: string, bytes: Uint8Array): unknown {
  try {
    const text = decodeWritten(bytes);
    return text.trim() === "" ? undefined : parseJson(text);
  } catch (error) {
    if (error instanceof WrittenFault) throw malformed(file, `line ${error.line}: ${error.message}`);
    throw error;
  }
}

function malformed(file: string, why: string): CliError {
  return new CliError(EXIT.usage, `The contexts' file ${file} is malformed: ${why}`, {
    remedy: "Correct or remove it; `classmind up` writes the local one anew.",
  });
}

const ELSEWHERE = "Name another one in the environment: CLASSMIND_CONTEXTS=/path/to/contexts.json";

function readIfThere(file: string): Uint8Array | undefined {
  try {
    return readFileSync(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new CliError(EXIT.refused, `The contexts' file ${file} cannot be read: ${messageOf(error)}`, {
      remedy: ELSEWHERE,
    });
  }
}

/**
 * The known contexts; none when the file is absent or empty.
 * @throws CliError when it cannot be read or is malformed, or when others can read the tokens in it
 */
export function readContexts(file: string): Contexts {
  const bytes = readIfThere(file);
  if (bytes === undefined) return NONE;
  const found = parseContexts(file, bytes);
  if (found === undefined) return NONE;
  const { mode } = statSync(file);
  if ((mode & 0o077) !== 0)
    throw new CliError(EXIT.refused, `The contexts' file ${file} holds tokens, and others can read it.`, {
      remedy: `chmod 600 ${file} — and if others may have read it, make a new token: classmind operator token`,
    });
  const parsed = contexts.safeParse(found);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw malformed(file, `${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}`);
}

/** @throws CliError refused when it cannot be written; what was there before stays */
export function writeContexts(file: string, value: Contexts): void {
  try {
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(`${file}.new`, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
    chmodSync(`${file}.new`, 0o600);
    renameSync(`${file}.new`, file);
  } catch (error) {
    throw new CliError(EXIT.refused, `The contexts' file ${file} cannot be written: ${messageOf(error)}`, {
      remedy: ELSEWHERE,
    });
  }
}

/** The context to use: the one asked for, or the current one. */
export function chooseContext(file: string, name: string | undefined): Context {
  const known = readContexts(file);
  const wanted = name ?? known.current;
  const found = known.contexts[wanted];
  if (found !== undefined) return found;
  const names = Object.keys(known.contexts);
  throw new CliError(
    EXIT.unavailable,
    wanted === "" ? "No control plane is known on this machine." : `There is no context ${wanted}.`,
    {
      remedy:
        names.length > 0
          ? `Known: ${names.join(", ")}`
          : `Start one here with: sudo ./classmind quickstart — or, with an operator's token: classmind login`,
    },
  );
}
