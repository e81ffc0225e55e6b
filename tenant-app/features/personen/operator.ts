import { z } from "zod";
import { destroyPersonalKeys } from "../../ground/crypto/personal.ts";
import { AdminError, command } from "../../ground/operator/command.ts";
import { Person } from "./public.ts";

export const destroyPersonKey = command({
  name: "destroy-person-key",
  purpose:
    "Destroys the key of a person, for good: what is sealed with it is unreadable from now on, and in every backup as soon as the keys of before are forgotten, 30 days later.",
  input: z.strictObject({ person: z.uuid() }),
  output: z.strictObject({ person: z.uuid(), keys: z.number().int().min(0) }),
  run: async ({ person }, tools) =>
    tools.database.as({}, async (tx) => {
      const keys = await destroyPersonalKeys(tx, person, tools.now);
      // Who is gone from the school may have left a key.
      const known = keys > 0 || (await tx.one("SELECT 1 AS da FROM person p WHERE p.id = $1", [person])) !== undefined;
      if (!known) {
        throw new AdminError("unknown-person", "There is nobody with this id in this school", "person");
      }
      await tools.record(tx, { resource: Person, deed: "schluessel-vernichten", object: person, person });
      return { person, keys };
    }),
});
