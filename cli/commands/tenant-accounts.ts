import type { Command } from "commander";
import { details } from "../output.ts";
import { requireReason, SHOWN_TO_THE_SCHOOL } from "../reason.ts";
import { createRecipient } from "../sealed.ts";
import { type CommonOptions, confirmSlug, connect, print, type Session } from "../session.ts";
import type { Operation } from "../types.ts";
import { waitForOperation } from "../wait.ts";

/** How long an open school takes for one of these, in milliseconds, and more. */
const LONGEST_MS = 600_000;

interface AccountOptions extends CommonOptions {
  readonly reason?: string;
  readonly yes?: boolean;
}

function lockedWords(slug: string, username: string): string {
  return `yes: nobody signs in with it until it is unlocked, by the school or by  classmind tenant reset-password ${slug} ${username} --unlock`;
}

/** `classmind tenant …`: what an operator does for an account of a school. */
export function addAccountCommands(tenant: Command, session: Session): void {
  tenant
    .command("reset-password <slug> <username>")
    .description("set a new one-time password for an account of a school")
    .option("--unlock", "unlock the account as well")
    .option("--reason <text>", "why; kept in the audit")
    .action(async (slug: string, username: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<AccountOptions & { readonly unlock?: boolean }>();
      const client = connect(session, options);
      const recipient = await createRecipient();
      const body = {
        username,
        recipient: recipient.publicKey,
        ...(options.unlock ? { unlock: true } : {}),
        ...(options.reason === undefined ? {} : { reason: options.reason }),
      };
      const started = await client.post<Operation>(`/v1/tenants/${encodeURIComponent(slug)}/reset-password`, body);
      const { result } = await waitForOperation(client, session.terminal, started, LONGEST_MS);
      const { sealedPassword, locked = false } = result as { sealedPassword: string; locked?: boolean };
      const password = await recipient.open(sealedPassword);
      print(session, options, { slug, username, password, locked }, (value) =>
        details([
          ["User name", value.username],
          ["One-time password", value.password],
          ...(value.locked ? [["Locked", lockedWords(slug, username)] as const] : []),
        ]),
      );
    });
  tenant
    .command("remove-second-factor <slug> <username>")
    .description("remove somebody's second factor, whose device and codes are gone, and end their sessions")
    .option("--reason <text>", "why, and how you know who asked; kept in the audit, and shown to the school (required)")
    .option("-y, --yes", "do not ask")
    .action(async (slug: string, username: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<AccountOptions>();
      const { reason, yes } = options;
      requireReason(reason, "Removing a second factor", SHOWN_TO_THE_SCHOOL);
      await confirmSlug(
        session,
        slug,
        yes,
        `With the password alone, ${username} gets at all that the second factor guards.`,
      );
      const client = connect(session, options);
      const path = `/v1/tenants/${encodeURIComponent(slug)}/remove-second-factor`;
      const started = await client.post<Operation>(path, { username, reason });
      const { result } = await waitForOperation(client, session.terminal, started, LONGEST_MS);
      const { removed } = result as { removed: boolean };
      print(session, options, { slug, username, removed }, () =>
        details([
          ["User name", username],
          ["Second factor", removed ? "removed; signed out everywhere" : "there was none"],
        ]),
      );
    });
}
