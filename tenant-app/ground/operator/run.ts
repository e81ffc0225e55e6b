import { readFile } from "node:fs/promises";
import { ZodError, z } from "zod";
import { adminConfig, ConfigError } from "../config.ts";
import { openDatabase } from "../database/database.ts";
import { untilMigrated } from "../database/migrate.ts";
import type { Register } from "../feature.ts";
import { databasePassword, fieldKey } from "../secrets.ts";
import { AdminError, adminTools, type RegisteredCommand } from "./command.ts";
import { inventionOf } from "./invent.ts";
import { fingerprintOf, usageOf } from "./inventory.ts";

/** Every admin command: those of the features, and those about all of them. */
export function adminCommands({ commands, features }: Register): readonly RegisteredCommand[] {
  return [...commands, usageOf(features), fingerprintOf(features), inventionOf(features)];
}

/** Whoever starts a command gives it two minutes. */
const migrationPatienceMs = 100_000;

type Environment = Readonly<Record<string, string | undefined>>;

/** Runs one command; writes one JSON document to standard output and returns the exit code. */
export async function runAdmin(register: Register, args: readonly string[], env: Environment): Promise<0 | 1> {
  try {
    process.stdout.write(`${JSON.stringify(await answer(register, args[0] ?? "help", env))}\n`);
    return 0;
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ error: describe(error) })}\n`);
    return 1;
  }
}

/** Every command with the JSON Schema of its input and output. */
export function describeCommands(commands: readonly RegisteredCommand[]): object {
  return {
    commands: commands.map((registered) => ({
      name: registered.name,
      purpose: registered.purpose,
      input: z.toJSONSchema(registered.input, { io: "input", unrepresentable: "any" }),
      output: z.toJSONSchema(registered.output, { unrepresentable: "any" }),
    })),
  };
}

async function answer(register: Register, name: string, env: Environment): Promise<unknown> {
  const commands = adminCommands(register);
  if (name === "help") {
    return describeCommands(commands);
  }
  const registered = commands.find((candidate) => candidate.name === name);
  if (!registered) {
    throw new AdminError("unknown-command", `There is no admin command "${name}"; "admin help" lists them`);
  }
  const config = adminConfig(env);
  const input = await readInput(config.jobInput);
  const password = await databasePassword(config.secretsDir, "owner");
  await untilMigrated({ ...config, password, patienceMs: migrationPatienceMs });
  const database = openDatabase({
    ...config,
    user: "school_owner",
    password,
    max: 1,
    connectMs: 10_000,
    statementMs: 0,
  });
  try {
    const { filesDir, secretsDir } = config;
    const tools = adminTools({
      database,
      filesDir,
      fieldKey: await fieldKey(secretsDir),
      now: new Date(),
      disclosure: register.disclosure,
    });
    return await registered.run(input, tools);
  } finally {
    await database.close();
  }
}

async function readInput(path: string): Promise<unknown> {
  let content: string;
  try {
    content = await readFile(path, "utf8");
  } catch {
    throw new AdminError("no-input", `${path} cannot be read: put the command's input there, {} if it takes none`);
  }
  try {
    return JSON.parse(content);
  } catch {
    throw new AdminError("invalid-input", `${path} is not JSON`);
  }
}

function describe(error: unknown): { code: string; message: string; field?: string } {
  if (error instanceof AdminError) {
    return { code: error.code, message: error.message, ...(error.field === undefined ? {} : { field: error.field }) };
  }
  if (error instanceof ZodError) {
    const [issue] = error.issues;
    return { code: "invalid-input", message: issue?.message ?? "invalid", field: issue?.path.join(".") ?? "" };
  }
  if (error instanceof ConfigError) {
    return { code: "configuration", message: error.message };
  }
  process.stderr.write(`${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}\n`);
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : "";
  if (cause !== "") {
    process.stderr.write(`${cause}\n`);
  }
  const unavailable = error instanceof Error && error.name === "DatabaseUnavailable";
  return unavailable
    ? { code: "database-unavailable", message: "The school's database did not answer; try again" }
    : { code: "internal", message: "The command failed; the job's standard error says where" };
}
