import { randomInt } from "node:crypto";
import { z } from "zod";
import type { Feature } from "../feature.ts";
import { inventSchool, NotEmpty } from "../generator/generate.ts";
import { command, type RegisteredCommand } from "./command.ts";

/** Three classes of each of two years: large enough for lists that have a second page, made within a second. */
const size = { pupils: 156, teachers: 14, messages: 12, administered: true };

/**
 * The operator's `invent-school`: fills a school that has nobody but its first administrator, so that it can be shown. Its people have no
 * password: the administrator gives one-time passwords to those whom a visitor wants to be.
 */
export function inventionOf(features: readonly Feature[]): RegisteredCommand {
  return command({
    name: "invent-school",
    purpose:
      "Fills a school that has nobody but its first administrator with people who do not exist, classes, courses and messages, to show it. Nobody of them can sign in until the administrator gives a one-time password. Where there is anybody else it changes nothing and says `existing`.",
    input: z.strictObject({}),
    output: z.strictObject({ people: z.number().int().min(0), existing: z.literal(true).optional() }),
    run: async (_input, { database, fieldKey, now }) => {
      try {
        const people = await inventSchool(features, { database, fieldKey, now, size, seed: randomInt(2 ** 32) });
        return { people: people.length };
      } catch (error) {
        if (error instanceof NotEmpty) {
          return { people: 0, existing: true as const };
        }
        throw error;
      }
    },
  });
}
