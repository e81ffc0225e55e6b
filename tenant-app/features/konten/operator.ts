import { randomUUID } from "node:crypto";
import { z } from "zod";
import { isRefusedBy, type Transaction } from "../../ground/database/database.ts";
import { AdminError, type AdminTools, command } from "../../ground/operator/command.ts";
import { type Recipient, recipientSchema, sealFor } from "../../ground/operator/seal.ts";
import { namensangaben } from "../personen/public.ts";
import { gibRollen } from "../rollen/public.ts";
import { beendeSitzungenAlsBetreiber, neuesEinmalpasswort, setzeEinmalpasswortAlsBetreiber } from "../zugang/public.ts";
import { email, speichereKonto } from "./anlegen.ts";
import { Konto } from "./public.ts";

const username = z.strictObject({ username: z.string().min(1).max(100) });

export const createAdministrator = command({
  name: "create-administrator",
  purpose:
    "Creates the school's first administrator. Repeated before the first login it sets a new one-time password; afterwards it changes nothing.",
  input: z
    .strictObject({
      firstName: namensangaben.shape.vorname,
      lastName: namensangaben.shape.nachname,
      email,
      recipient: recipientSchema.optional(),
    })
    .refine(({ firstName, lastName }) => firstName !== "" || lastName !== "", {
      path: ["lastName"],
      message: "Give a name: one of the two is enough",
    }),
  output: z.strictObject({
    username: z.string(),
    sealedPassword: z.string().optional(),
    existing: z.literal(true).optional(),
  }),
  run: async (input, tools) =>
    tools.database.as({}, async (tx) => {
      // One at a time: two jobs at once must end with one administrator.
      await tx.run("LOCK TABLE konto IN SHARE ROW EXCLUSIVE MODE");
      const existing = await tx.one<{ id: string; benutzername: string; benutzt: boolean }>(
        "SELECT id, benutzername, erste_anmeldung_am IS NOT NULL AS benutzt FROM konto WHERE erster_administrator",
      );
      if (existing?.benutzt) {
        return { username: existing.benutzername, existing: true as const };
      }
      const id = existing?.id ?? randomUUID();
      const benutzername = existing?.benutzername ?? (await newAdministrator(tx, tools, id, input));
      const sealed = await setOneTimePassword(tx, tools, id, input.recipient);
      return { username: benutzername, ...sealed };
    }),
});

export const resetPassword = command({
  name: "reset-password",
  purpose:
    "Sets a new one-time password and ends the account's sessions; with `unlock` it also unlocks the account. `locked` says whether the account is locked afterwards: then nobody signs in with it.",
  input: username.extend({ recipient: recipientSchema, unlock: z.boolean().optional() }),
  output: z.strictObject({ username: z.string(), sealedPassword: z.string(), locked: z.boolean() }),
  run: async (input, tools) =>
    tools.database.as({}, async (tx) => {
      const { id, gesperrt } = await account(tx, input.username);
      await beendeSitzungenAlsBetreiber(tx, id);
      const unlocked = gesperrt && input.unlock === true;
      if (unlocked) {
        await entsperre(tx, tools, id);
      }
      const { sealedPassword = "" } = await setOneTimePassword(tx, tools, id, input.recipient);
      return { username: input.username, sealedPassword, locked: gesperrt && !unlocked };
    }),
});

export const lockAccount = command({
  name: "lock-account",
  purpose: "Locks an account and ends its sessions. Refuses the last one that can manage accounts and roles.",
  input: username,
  output: z.strictObject({ username: z.string(), locked: z.literal(true) }),
  run: async (input, tools) => {
    try {
      return await tools.database.as({}, async (tx) => {
        const { id } = await account(tx, input.username);
        await tx.run("UPDATE konto SET gesperrt_am = coalesce(gesperrt_am, $2) WHERE id = $1", [id, tools.now]);
        await beendeSitzungenAlsBetreiber(tx, id);
        await tools.record(tx, { resource: Konto, deed: "sperren", object: id, person: id });
        return { username: input.username, locked: true as const };
      });
    } catch (error) {
      if (isRefusedBy(error, "CM001")) {
        throw new AdminError(
          "last-administrator",
          `Nobody would be left who can manage the school's accounts and roles: let "${input.username}" give another account these rights first`,
          "username",
        );
      }
      throw error;
    }
  },
});

export const unlockAccount = command({
  name: "unlock-account",
  purpose: "Unlocks an account.",
  input: username,
  output: z.strictObject({ username: z.string(), locked: z.literal(false) }),
  run: async (input, tools) =>
    tools.database.as({}, async (tx) => {
      const { id } = await account(tx, input.username);
      await entsperre(tx, tools, id);
      return { username: input.username, locked: false as const };
    }),
});

async function newAdministrator(
  tx: Transaction,
  tools: AdminTools,
  id: string,
  input: { readonly firstName: string; readonly lastName: string; readonly email: string },
): Promise<string> {
  const benutzername = await speichereKonto(tx, tools.now, {
    id,
    vorname: input.firstName,
    nachname: input.lastName,
    email: input.email,
    ersterAdministrator: true,
  });
  await gibRollen(tx, id, ["administrator"]);
  const values = { neu: { benutzername, rollen: ["administrator"] } };
  await tools.record(tx, { resource: Konto, deed: "anlegen", object: id, person: id, values });
  return benutzername;
}

/** Without a reader nobody ever learns the password: `reset-password` sets one later. */
async function setOneTimePassword(
  tx: Transaction,
  tools: AdminTools,
  id: string,
  recipient: Recipient | undefined,
): Promise<{ sealedPassword?: string }> {
  const { einmalpasswort, pruefwert } = neuesEinmalpasswort();
  await setzeEinmalpasswortAlsBetreiber(tx, tools.now, id, pruefwert);
  await tools.record(tx, { resource: Konto, deed: "einmalpasswort", object: id, person: id });
  return recipient ? { sealedPassword: await sealFor(recipient, einmalpasswort) } : {};
}

async function entsperre(tx: Transaction, tools: AdminTools, id: string): Promise<void> {
  await tx.run("UPDATE konto SET gesperrt_am = NULL WHERE id = $1", [id]);
  await tools.record(tx, { resource: Konto, deed: "entsperren", object: id, person: id });
}

/** The account with this user name. Throws AdminError when there is none. */
async function account(
  tx: Transaction,
  benutzername: string,
): Promise<{ readonly id: string; readonly gesperrt: boolean }> {
  const row = await tx.one<{ id: string; gesperrt: boolean }>(
    "SELECT id, gesperrt_am IS NOT NULL AS gesperrt FROM konto WHERE benutzername = $1 AND geloescht_am IS NULL",
    [benutzername],
  );
  if (!row) {
    throw new AdminError("unknown-account", `There is no account "${benutzername}" in this school`, "username");
  }
  return row;
}
