import { z } from "zod";
import type { Operation } from "../../store/operations.ts";
import { type Attempt, runJob } from "../steps.ts";

const result = z.looseObject({ username: z.string(), sealedPassword: z.string() });

/** A new one-time password for an account of the school, sealed to whoever asked. */
export function resetPassword(attempt: Attempt, operation: Operation): Promise<unknown> {
  return runJob(attempt, "admin", { command: "reset-password", input: operation.params, schema: result });
}
