import type { Command } from "commander";
import { z } from "zod";
import { CliError, EXIT } from "../errors.ts";
import { bytes, type Column, details, span, table } from "../output.ts";
import { requireReason } from "../reason.ts";
import { type CommonOptions, confirmSlug, connect, print, type Session } from "../session.ts";
import { parseMoment, showMoment } from "../time.ts";
import type { Backup, Operation, Tenant } from "../types.ts";
import { waitForOperation } from "../wait.ts";

const HOURS = 3_600_000;
const TIMEOUT = 4 * HOURS;

interface WorkOptions extends CommonOptions {
  readonly reason?: string;
}

interface RestoreOptions extends WorkOptions {
  readonly run?: string;
  readonly at?: string;
  readonly volume?: string;
  readonly into?: string;
  readonly name?: string;
  readonly contract?: string;
  readonly demo?: boolean;
  readonly yes?: boolean;
}

const COLUMNS: readonly Column<Backup>[] = [
  { title: "RUN", value: (backup) => backup.runId },
  { title: "STARTED", value: (backup) => showMoment(backup.startedAt) },
  { title: "STATE", value: (backup) => backup.state },
  { title: "BY", value: (backup) => backup.trigger },
  {
    title: "TOOK",
    value: (backup) =>
      backup.finishedAt === undefined ? "–" : span(Date.parse(backup.finishedAt) - Date.parse(backup.startedAt)),
  },
  { title: "ADDED", value: (backup) => (backup.bytesAdded === undefined ? "–" : bytes(backup.bytesAdded)) },
  {
    title: "READ BACK",
    value: (backup) => backup.verifyError ?? (backup.verifiedAt === undefined ? "no" : showMoment(backup.verifiedAt)),
    flexible: true,
  },
];

const path = (slug: string, rest: string): string => `/v1/tenants/${encodeURIComponent(slug)}/${rest}`;
const reasonOf = (options: WorkOptions): { reason?: string } =>
  options.reason === undefined ? {} : { reason: options.reason };

function describeBackup(backup: Backup): string {
  return details([
    ["Run", backup.runId],
    ["School", backup.slug],
    ["State", backup.state],
    ["Made by", backup.trigger],
    ["Started", showMoment(backup.startedAt)],
    ["Finished", backup.finishedAt === undefined ? undefined : showMoment(backup.finishedAt)],
    [
      "Holds",
      backup.size === undefined
        ? undefined
        : `${backup.size.rows} rows (${bytes(backup.size.databaseBytes)}), ${backup.size.files} files (${bytes(backup.size.filesBytes)})`,
    ],
    ["Added", backup.bytesAdded === undefined ? undefined : bytes(backup.bytesAdded)],
    ["Database snapshot", backup.databaseSnapshot],
    ["Files snapshot", backup.filesSnapshot],
    [
      "Read back",
      backup.verifiedAt === undefined
        ? undefined
        : `${showMoment(backup.verifiedAt)} (${backup.verifiedExtent ?? "whole"})`,
    ],
    ["Shrunk", backup.shrunk],
    ["Kept until", backup.keepUntil === undefined ? undefined : showMoment(backup.keepUntil)],
    ["Repository", backup.repository === 1 ? undefined : String(backup.repository)],
    ["Fault", backup.verifyError ?? backup.error],
  ]);
}

function restoreBody(slug: string, options: RestoreOptions): unknown {
  requireReason(options.reason, "A restore");
  const choice = {
    ...(options.run === undefined ? {} : { runId: options.run }),
    ...(options.at === undefined ? {} : { at: parseMoment(options.at, "--at") }),
    ...(options.volume === undefined ? {} : { volume: options.volume }),
  };
  if (options.into === undefined) return { ...choice, confirm: slug, reason: options.reason };
  if ((options.contract === undefined) === (options.demo !== true)) {
    throw new CliError(EXIT.usage, "The new school is either under contract or a demo.", {
      field: "terms",
      remedy: "Give --contract REF or --demo.",
    });
  }
  const terms = options.contract === undefined ? { kind: "demo" } : { kind: "contract", reference: options.contract };
  return {
    ...choice,
    confirm: slug,
    reason: options.reason,
    into: { slug: options.into, displayName: options.name ?? options.into, terms },
  };
}

const restored = z.looseObject({ message: z.string().optional(), volume: z.string().optional() });

/** What a restore came to, and what can be done next. */
function describeRestored({ slug, result }: Operation): string {
  const { message, volume } = restored.parse(result ?? {});
  return details([
    ["School", `${slug} is restored and open`],
    ["Compared", message],
    ["Volume", volume],
    ["Next", volume === undefined ? undefined : `look at it; if it is right:  classmind backup confirm ${slug}`],
    [
      "",
      volume === undefined
        ? undefined
        : `if it is not, go back:  classmind backup restore ${slug} --volume NAME --reason "…"  (names: classmind tenant get ${slug})`,
    ],
  ]);
}

/** `classmind backup …` */
export function addBackupCommands(program: Command, session: Session): void {
  const backup = program.command("backup").description("back schools up, look at backups, read them back, restore");
  backup
    .command("create <slug>")
    .description("back a school up now")
    .option("--reason <text>", "why; kept in the audit")
    .action(async (slug: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<WorkOptions>();
      const client = connect(session, options);
      const started = await client.post<Operation>(path(slug, "backups"), reasonOf(options));
      await waitForOperation(client, session.terminal, started, TIMEOUT);
      print(session, options, await client.get<Backup>(path(slug, `backups/${started.id}`)), describeBackup);
    });
  backup
    .command("list <slug>")
    .description("backups of a school, newest first")
    .action(async (slug: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>();
      const page = await connect(session, options).get<{ items: Backup[] }>(path(slug, "backups"));
      print(session, options, page, (value) =>
        table(COLUMNS, value.items, session.terminal.width, `${slug} has no backup yet.`),
      );
    });
  backup
    .command("show <slug> <run>")
    .description("one backup, with the row counts and hashes taken with it (-o json)")
    .action(async (slug: string, run: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>();
      print(
        session,
        options,
        await connect(session, options).get<Backup>(path(slug, `backups/${encodeURIComponent(run)}`)),
        describeBackup,
      );
    });
  backup
    .command("verify <slug> [run]")
    .description("read every byte of a backup back (the newest, if none is named)")
    .option("--reason <text>", "why; kept in the audit")
    .action(async (slug: string, run: string | undefined, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<WorkOptions>();
      const client = connect(session, options);
      const newest =
        run ??
        (await client.get<{ items: Backup[] }>(path(slug, "backups"))).items.find(
          (candidate) => candidate.state === "Complete",
        )?.runId;
      if (newest === undefined)
        throw new CliError(EXIT.notFound, `${slug} has no complete backup yet.`, {
          remedy: `Make one: classmind backup create ${slug}`,
        });
      const started = await client.post<Operation>(
        path(slug, `backups/${encodeURIComponent(newest)}/verify`),
        reasonOf(options),
      );
      await waitForOperation(client, session.terminal, started, TIMEOUT);
      print(
        session,
        options,
        await client.get<Backup>(path(slug, `backups/${encodeURIComponent(newest)}`)),
        describeBackup,
      );
    });
  backup
    .command("accept <slug>")
    .description("say that a school is as small as its newest backup says (condition BackupShrunk)")
    .option("--reason <text>", "why; kept in the audit (required)")
    .addHelpText("after", '\nExample:\n  $ classmind backup accept goethe --reason "Jahrgänge 2016 bis 2020 gelöscht"')
    .action(async (slug: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<WorkOptions>();
      requireReason(options.reason, "Accepting a backup");
      const client = connect(session, options);
      const started = await client.post<Operation>(path(slug, "backups/accept"), reasonOf(options));
      const ended = await waitForOperation(client, session.terminal, started, TIMEOUT);
      print(session, options, ended, () => `Old backups of ${slug} are forgotten again as their time comes.\n`);
    });
  backup
    .command("restore <slug>")
    .description("restore a backup into place, or into a new school")
    .option("--run <id>", "this backup; without it the newest")
    .option("--at <time>", "the newest backup from before this moment: ISO 8601 with a zone, e.g. 2026-11-20T08:00:00Z")
    .option("--volume <name>", "go back to a volume that a restore has replaced (see: classmind tenant get)")
    .option("--into <slug>", "into a new school instead of into place")
    .option("--name <text>", "name of the new school")
    .option("--contract <ref>", "contract of the new school")
    .option("--demo", "the new school is a demo")
    .option("--reason <text>", "why; kept in the audit (required)")
    .option("-y, --yes", "do not ask")
    .addHelpText(
      "after",
      '\nExamples:\n  $ classmind backup restore goethe --reason "Versehentlich gelöscht"\n  $ classmind backup restore goethe --at 2026-11-20T08:00:00Z --into goethe-alt --demo --reason "Prüfung"',
    )
    .action(async (slug: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<RestoreOptions>();
      const body = restoreBody(slug, options);
      if (options.into === undefined) {
        await confirmSlug(
          session,
          slug,
          options.yes,
          "The backup is restored beside the school, which stays open until that is done; then it closes for some seconds, and what was entered since the backup is not in it any more. The volume that it has now is kept aside until you confirm.",
        );
      }
      const client = connect(session, options);
      const started = await client.post<Operation>(path(slug, "restore"), body);
      const finished = await waitForOperation(client, session.terminal, started, TIMEOUT);
      print(session, options, finished, describeRestored);
    });
  backup
    .command("confirm <slug>")
    .description("the restore was right: remove the volumes that it has replaced")
    .option("--reason <text>", "why; kept in the audit")
    .option("-y, --yes", "do not ask")
    .addHelpText("after", "\nExample:\n  $ classmind backup confirm goethe")
    .action(async (slug: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<RestoreOptions>();
      const client = connect(session, options);
      const { volumes } = await client.get<Tenant>(`/v1/tenants/${encodeURIComponent(slug)}`);
      if (volumes.aside.length === 0)
        throw new CliError(EXIT.failed, `${slug} has no volume kept aside.`, {
          remedy: "There is nothing to confirm.",
        });
      const names = volumes.aside.map(({ claim }) => claim);
      const listed = volumes.aside.map(({ claim, since, why }) => `${claim} (${why}, ${showMoment(since)})`).join(", ");
      await confirmSlug(
        session,
        slug,
        options.yes,
        `This destroys ${listed}. What was entered there and is in no backup is gone; the school itself is not touched.`,
      );
      const started = await client.post<Operation>(path(slug, "restore/confirm"), {
        confirm: slug,
        volumes: names,
        ...reasonOf(options),
      });
      const finished = await waitForOperation(client, session.terminal, started, TIMEOUT);
      print(session, options, finished, () => `${names.join(", ")} of ${slug} is removed.\n`);
    });
}
