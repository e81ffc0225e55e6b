import type { Command } from "commander";
import { CliError, EXIT } from "../errors.ts";
import { details } from "../output.ts";
import { type CommonOptions, confirmSlug, connect, print, type Session } from "../session.ts";
import type { Operation, Tenant } from "../types.ts";
import { waitForOperation } from "../wait.ts";

const HOURS = 3_600_000;

interface MoveOptions extends CommonOptions {
  readonly to?: string;
  readonly confirm?: boolean;
  readonly abandon?: boolean;
  readonly reason?: string;
  readonly yes?: boolean;
}

interface Moved {
  readonly from?: string;
  readonly to?: string;
  readonly message?: string;
  /** Why the old copy is not stopped, if it is not. */
  readonly left?: string;
}

function describeMoved(tenant: Tenant, moved: Moved): string {
  const { slug } = tenant;
  return details([
    ["School", `${slug} lives on ${tenant.engine} now`],
    ["Compared", moved.message],
    ["Address", tenant.url],
    ["Names", `let ${new URL(tenant.url).hostname} lead to ${tenant.engine}, if it does not yet (DNS)`],
    ["Not stopped", moved.left],
    ["Next", `look at it; then either  classmind tenant move ${slug} --confirm  (removes the copy on ${moved.from})`],
    ["", `or go back, with what was entered since:  classmind tenant move ${slug} --to ${moved.from}`],
  ]);
}

/** Moves a school and waits until it lives on the other engine. */
async function moveTo(session: Session, slug: string, to: string, options: MoveOptions): Promise<void> {
  const consequence = `${slug} is closed while its newest entries are brought over: a backup, a restore and a start. The old copy is kept until you confirm the move.`;
  await confirmSlug(session, slug, options.yes, consequence);
  const client = connect(session, options);
  const path = `/v1/tenants/${encodeURIComponent(slug)}`;
  const reason = options.reason === undefined ? {} : { reason: options.reason };
  const started = await client.post<Operation>(`${path}/move`, { to, confirm: slug, ...reason });
  const ended = await waitForOperation(client, session.terminal, started, 24 * HOURS);
  const moved = (ended.result ?? {}) as Moved;
  const tenant = await client.get<Tenant>(path);
  print(session, options, { ...moved, slug, url: tenant.url, phase: tenant.phase }, () => describeMoved(tenant, moved));
}

interface Confirmed {
  readonly removed: boolean;
  readonly abandoned?: boolean;
  readonly from: string;
}

function describeConfirmed(slug: string, { removed, abandoned, from }: Confirmed): string {
  if (removed) return `Nothing of ${slug} is on ${from} any more.\n`;
  if (abandoned === true) return `The copy of ${slug} on ${from} is forgotten. Destroy what is left of that engine.\n`;
  return `Nothing was done: ${slug} has moved since.\n`;
}

async function confirmMove(session: Session, slug: string, options: MoveOptions): Promise<void> {
  const client = connect(session, options);
  const path = `/v1/tenants/${encodeURIComponent(slug)}`;
  const { leftEngine } = await client.get<Tenant>(path);
  const where = leftEngine ?? "the engine it came from";
  const consequence = options.abandon
    ? `The copy of ${slug} on ${where} is forgotten, not destroyed: whatever is left of that engine has to be destroyed by hand.`
    : `The copy of ${slug} on ${where} is destroyed: data, and backups that were kept there alone.`;
  await confirmSlug(session, slug, options.yes, consequence);
  const reason = options.reason === undefined ? {} : { reason: options.reason };
  const abandon = options.abandon === true ? { abandon: true } : {};
  const started = await client.post<Operation>(`${path}/move/confirm`, { confirm: slug, ...reason, ...abandon });
  const ended = await waitForOperation(client, session.terminal, started, HOURS);
  const answer: unknown = ended.result;
  print(session, options, answer as Confirmed, (confirmed) => describeConfirmed(slug, confirmed));
}

/** `classmind tenant move …` */
export function addMoveCommand(tenant: Command, session: Session): void {
  tenant
    .command("move <slug>")
    .description("move a school to another engine, with data, keys, certificate, host names and backups")
    .option("--to <engine>", "name of the engine; see: classmind engine list")
    .option("--confirm", "the move was right: remove the copy that was left behind")
    .option("--abandon", "with --confirm: that engine is gone for good; forget the copy (wants --reason)")
    .option("--reason <text>", "why; kept in the audit")
    .option("-y, --yes", "do not ask")
    .addHelpText(
      "after",
      "\nExamples:\n  $ classmind tenant move schiller --to fsn1\n  $ classmind tenant move schiller --confirm",
    )
    .action(async (slug: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<MoveOptions>();
      const { to, confirm } = options;
      if ((to === undefined) === (confirm !== true))
        throw new CliError(EXIT.usage, "Either where to, or that the move was right.", {
          remedy: "Give --to ENGINE or --confirm.",
          field: "to",
        });
      await (to === undefined ? confirmMove(session, slug, options) : moveTo(session, slug, to, options));
    });
}
