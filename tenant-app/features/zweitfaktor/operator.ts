import { z } from "zod";
import { AdminError, command } from "../../ground/operator/command.ts";
import { vermerke, zugriff } from "../betreiber/public.ts";
import { Konto, kontoZurAnmeldung } from "../konten/public.ts";
import { beendeSitzungenAlsBetreiber } from "../zugang/public.ts";

export const removeSecondFactor = command({
  name: "remove-second-factor",
  purpose:
    "Removes an account's second factor and ends its sessions: for somebody who has lost device and codes in a school where nobody else can do it. `removed` is false if there was none. The school is shown who asked, and why.",
  input: z.strictObject({ ...zugriff, username: z.string().min(1).max(100) }),
  output: z.strictObject({ username: z.string(), removed: z.boolean() }),
  run: (input, tools) =>
    tools.database.as({}, async (tx) => {
      const { username } = input;
      const konto = await kontoZurAnmeldung(tx, username);
      if (!konto) {
        throw new AdminError("unknown-account", `There is no account "${username}" in this school`, "username");
      }
      const { id } = konto;
      const removed = (await tx.run("DELETE FROM zweitfaktor WHERE konto_id = $1", [id])) > 0;
      if (removed) {
        // What is open was opened with it, or waits for it.
        await beendeSitzungenAlsBetreiber(tx, id);
        await tools.record(tx, { resource: Konto, deed: "zweitfaktor", object: id, person: id });
      }
      const was = removed ? "entfernt" : "gesucht und keinen gefunden";
      await vermerke(tx, tools.now, `Zweiten Faktor von ${username} ${was}`, input);
      return { username, removed };
    }),
});
