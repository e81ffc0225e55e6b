import type { Command } from "commander";
import { CliError, EXIT } from "../errors.ts";
import { bytes, type Column, details, json, span, table } from "../output.ts";
import { type CommonOptions, confirmSlug, connect, print, type Session } from "../session.ts";
import type { Backup, Operation } from "../types.ts";
import { waitForOperation } from "../wait.ts";

const HOURS = 3_600_000;
const TIMEOUT = 4 * HOURS;

interface WorkOptions extends CommonOptions {
  readonly reason?: string;
}

interface RestoreOptions extends WorkOptions {
  readonly run?: string;
  readonly at?: string;
  readonly into?: string;
  readonly name?: string;
  readonly contract?: string;
  readonly demo?: boolean;
  readonly yes?: boolean;
}

const COLUMNS: readonly Column<Backup>[] = [
  { title: "RUN", value: (backup) => backup.runId },
  { title: "STARTED", value: (backup) => backup.startedAt.slice(0, 19) },
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
    value: (backup) => backup.verifyError ?? backup.verifiedAt?.slice(0, 19) ?? "no",
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
    ["Started", backup.startedAt],
    ["Finished", backup.finishedAt],
    ["Added", backup.bytesAdded === undefined ? undefined : bytes(backup.bytesAdded)],
    ["Database snapshot", backup.databaseSnapshot],
    ["Files snapshot", backup.filesSnapshot],
    ["Read back", backup.verifiedAt],
    ["Fault", backup.verifyError ?? backup.error],
  ]);
}

function restoreBody(slug: string, options: RestoreOptions): unknown {
  if (options.reason === undefined)
    throw new CliError(EXIT.usage, "A restore needs a reason.", {
      field: "reason",
      remedy: 'Add --reason "…"; the audit keeps it.',
    });
  const choice = {
    ...(options.run === undefined ? {} : { runId: options.run }),
    ...(options.at === undefined ? {} : { at: new Date(options.at).toISOString() }),
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
    .command("restore <slug>")
    .description("restore a backup into place, or into a new school")
    .option("--run <id>", "this backup; without it the newest")
    .option("--at <time>", "the newest backup from before this time, e.g. 2026-11-20T08:00:00Z")
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
          "The school closes, and all that was entered since the backup is replaced. If the restore fails, everything is put back.",
        );
      }
      const client = connect(session, options);
      const started = await client.post<Operation>(path(slug, "restore"), body);
      const finished = await waitForOperation(client, session.terminal, started, TIMEOUT);
      print(session, options, finished, (value) => `${value.slug} is restored. ${json(value.result)}`);
    });
}
