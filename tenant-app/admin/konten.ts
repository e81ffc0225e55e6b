import { randomUUID } from "node:crypto";
import { z } from "zod";
import { hashPassword, oneTimePassword } from "../crypto/passwort.ts";
import type { Transaction } from "../database/database.ts";
import { journalisiere } from "../journal/schreiben.ts";
import { einmalGueltigMs, personenangaben, speichereKonto } from "../konto/anlegen.ts";
import { AdminError, type AdminTools, command } from "./command.ts";
import { type Recipient, recipientSchema, sealFor } from "./versiegeln.ts";

const username = z.strictObject({ username: z.string().min(1).max(100) });

export const createAdministrator = command({
  name: "create-administrator",
  purpose:
    "Creates the school's first administrator. Repeated before the first login it sets a new one-time password; afterwards it changes nothing.",
  input: z.strictObject({
    firstName: personenangaben.shape.vorname,
    lastName: personenangaben.shape.nachname,
    email: personenangaben.shape.email,
    recipient: recipientSchema.optional(),
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
  purpose: "Sets a new one-time password and ends the account's sessions.",
  input: username.extend({ recipient: recipientSchema }),
  output: z.strictObject({ username: z.string(), sealedPassword: z.string() }),
  run: async (input, tools) =>
    tools.database.as({}, async (tx) => {
      const id = await accountId(tx, input.username);
      await tx.run("DELETE FROM sitzung WHERE konto_id = $1", [id]);
      const { sealedPassword = "" } = await setOneTimePassword(tx, tools, id, input.recipient);
      return { username: input.username, sealedPassword };
    }),
});

export const lockAccount = command({
  name: "lock-account",
  purpose: "Locks an account and ends its sessions.",
  input: username,
  output: z.strictObject({ username: z.string(), locked: z.literal(true) }),
  run: async (input, tools) =>
    tools.database.as({}, async (tx) => {
      const id = await accountId(tx, input.username);
      await tx.run("UPDATE konto SET gesperrt_am = coalesce(gesperrt_am, $2) WHERE id = $1", [id, tools.now]);
      await tx.run("DELETE FROM sitzung WHERE konto_id = $1", [id]);
      await journalisiere(tx, tools.now, { kontoId: undefined, ressource: "Konto", aktion: "sperren", objekt: id });
      return { username: input.username, locked: true as const };
    }),
});

export const unlockAccount = command({
  name: "unlock-account",
  purpose: "Unlocks an account.",
  input: username,
  output: z.strictObject({ username: z.string(), locked: z.literal(false) }),
  run: async (input, tools) =>
    tools.database.as({}, async (tx) => {
      const id = await accountId(tx, input.username);
      await tx.run("UPDATE konto SET gesperrt_am = NULL WHERE id = $1", [id]);
      await journalisiere(tx, tools.now, { kontoId: undefined, ressource: "Konto", aktion: "entsperren", objekt: id });
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
  await tx.run("INSERT INTO konto_rolle (konto_id, rolle_id) VALUES ($1, 'administrator')", [id]);
  await journalisiere(tx, tools.now, {
    kontoId: undefined,
    ressource: "Konto",
    aktion: "anlegen",
    objekt: id,
    werte: { neu: { benutzername, rollen: ["administrator"] } },
  });
  return benutzername;
}

/** Without a reader nobody ever learns the password: `reset-password` sets one later. */
async function setOneTimePassword(
  tx: Transaction,
  tools: AdminTools,
  id: string,
  recipient: Recipient | undefined,
): Promise<{ sealedPassword?: string }> {
  const password = oneTimePassword();
  await tx.run(
    `INSERT INTO zugang (konto_id, passwort, einmalig_bis, geaendert_am) VALUES ($1, $2, $3, $4)
     ON CONFLICT (konto_id) DO UPDATE SET passwort = excluded.passwort, einmalig_bis = excluded.einmalig_bis,
       geaendert_am = excluded.geaendert_am`,
    [id, await hashPassword(password), new Date(tools.now.getTime() + einmalGueltigMs), tools.now],
  );
  await journalisiere(tx, tools.now, { kontoId: undefined, ressource: "Konto", aktion: "einmalpasswort", objekt: id });
  return recipient ? { sealedPassword: await sealFor(recipient, password) } : {};
}

async function accountId(tx: Transaction, benutzername: string): Promise<string> {
  const row = await tx.one<{ id: string }>("SELECT id FROM konto WHERE benutzername = $1 AND geloescht_am IS NULL", [
    benutzername,
  ]);
  if (!row) {
    throw new AdminError("unknown-account", `There is no account "${benutzername}" in this school`, "username");
  }
  return row.id;
}
