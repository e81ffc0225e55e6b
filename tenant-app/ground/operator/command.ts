import type { KeyObject } from "node:crypto";
import type { z } from "zod";
import type { Database, Transaction } from "../database/database.ts";
import { type Entry, writeJournal } from "../journal/write.ts";
import type { Disclosure } from "./disclosure.ts";

/** What an admin command may use: the database as its owner, the directory of files, the time. */
export interface AdminTools {
  readonly database: Database;
  readonly filesDir: string;
  readonly fieldKey: KeyObject;
  readonly now: Date;
  /** What of which columns somebody is told who asks for what is stored about them. */
  readonly disclosure: Disclosure;
  /** Writes in the journal what the operator does, in the transaction that does it. */
  record<Deed extends string>(tx: Transaction, entry: Entry<Deed>): Promise<void>;
}

/** Builds them. */
export function adminTools(given: Omit<AdminTools, "record">): AdminTools {
  const { fieldKey, now } = given;
  return { ...given, record: (tx, entry) => writeJournal(tx, { fieldKey, now, by: undefined }, entry) };
}

/** What a feature keeps outside the database. */
export interface Contents {
  /** How many, how large in bytes, and a SHA-256 (hexadecimal) that is equal for equal contents, whatever their order. */
  fingerprint(tools: AdminTools): Promise<{ readonly count: number; readonly bytes: number; readonly hash: string }>;
}

/** An admin command. Input and output are JSON documents with these schemas. */
export interface AdminCommand<In extends z.ZodType = z.ZodType, Out extends z.ZodType = z.ZodType> {
  readonly name: string;
  /** One sentence for `admin help`. */
  readonly purpose: string;
  readonly input: In;
  readonly output: Out;
  run(input: z.infer<In>, tools: AdminTools): Promise<z.infer<Out>>;
}

/** A command with its types erased, as the registry keeps it. */
export interface RegisteredCommand {
  readonly name: string;
  readonly purpose: string;
  readonly input: z.ZodType;
  readonly output: z.ZodType;
  run(input: unknown, tools: AdminTools): Promise<unknown>;
}

/** Keeps input, output and function of a command together; the result checks both by their schemas. */
export function command<In extends z.ZodType, Out extends z.ZodType>(
  definition: AdminCommand<In, Out>,
): RegisteredCommand {
  return {
    ...definition,
    run: async (input, tools) => definition.output.parse(await definition.run(definition.input.parse(input), tools)),
  };
}

/** A command was refused: a stable code, a message with the remedy, the field if there is one. */
export class AdminError extends Error {
  override readonly name = "AdminError";
  readonly code: string;
  readonly field: string | undefined;
  constructor(code: string, message: string, field?: string) {
    super(message);
    this.code = code;
    this.field = field;
  }
}
