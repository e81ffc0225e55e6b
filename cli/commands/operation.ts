import type { Command } from "commander";
import { type Column, details, span, table } from "../output.ts";
import { requireReason } from "../reason.ts";
import { type CommonOptions, connect, print, type Session } from "../session.ts";
import { showMoment } from "../time.ts";
import type { Operation } from "../types.ts";
import { PATIENCE, waitForOperation } from "../wait.ts";

const HOUR = 3_600_000;

const stageOf = ({ progress, waitsFor }: Operation): string =>
  waitsFor === undefined ? (progress.step ?? "") : `waits ${waitsFor}`;

const COLUMNS: readonly Column<Operation>[] = [
  { title: "ID", value: ({ id }) => id },
  { title: "KIND", value: ({ kind }) => kind },
  { title: "STATE", value: ({ state }) => state },
  { title: "ASKED", value: ({ createdAt }) => showMoment(createdAt) },
  {
    title: "TOOK",
    value: ({ startedAt, finishedAt }) =>
      startedAt === undefined
        ? "–"
        : span((finishedAt === undefined ? Date.now() : Date.parse(finishedAt)) - Date.parse(startedAt)),
  },
  { title: "BY", value: ({ requestedBy }) => requestedBy },
  { title: "STAGE", value: (operation) => operation.error ?? stageOf(operation), flexible: true },
];

function describe(operation: Operation): string {
  const time = (moment: string | undefined) => (moment === undefined ? undefined : showMoment(moment));
  return details([
    ["Operation", operation.id],
    ["School", operation.slug],
    ["Kind", operation.kind],
    ["State", operation.state],
    ["Stage", stageOf(operation)],
    ["", operation.progress.message],
    ["Asked for", `${showMoment(operation.createdAt)} by ${operation.requestedBy}`],
    ["Begun", time(operation.startedAt)],
    ["Ended", time(operation.finishedAt)],
    ["Given up after", operation.finishedAt === undefined ? time(operation.deadlineAt) : undefined],
    ["Called off", operation.cancelReason],
    ["Error", operation.error],
    [
      "Result",
      operation.result === undefined || operation.result === null ? undefined : JSON.stringify(operation.result),
    ],
  ]);
}

const path = (id: string): string => `/v1/operations/${encodeURIComponent(id)}`;

/** `classmind operation …` */
export function addOperationCommands(program: Command, session: Session): void {
  const operation = program.command("operation").description("long work on schools: look at it, call it off");
  operation
    .command("list <slug>")
    .description("long work on a school, newest first")
    .option("--limit <n>", "at most so many", "20")
    .addHelpText("after", "\nExample:\n  $ classmind operation list goethe")
    .action(async (slug: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & { limit: string }>();
      const page = await connect(session, options).get<{ items: Operation[] }>(
        `/v1/tenants/${encodeURIComponent(slug)}/operations?limit=${encodeURIComponent(options.limit)}`,
      );
      print(session, options, page, ({ items }) =>
        table(COLUMNS, items, session.terminal.width, `Nothing was done at ${slug} yet.`),
      );
    });
  operation
    .command("get <id>")
    .description("one piece of long work, with what it waits for")
    .action(async (id: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>();
      print(session, options, await connect(session, options).get<Operation>(path(id)), describe);
    });
  operation
    .command("cancel <id>")
    .description("ask long work to end before its time; what it had begun is undone")
    .option("--reason <text>", "why; kept in the audit (required)")
    .option("--no-wait", "return at once")
    .addHelpText(
      "after",
      '\nExample:\n  $ classmind operation cancel 0190a5c8-0000-7000-8000-000000000001 --reason "wrong day"',
    )
    .action(async (id: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & { reason?: string; wait: boolean }>();
      requireReason(options.reason, "Calling work off");
      const client = connect(session, options);
      const asked = await client.post<Operation>(`${path(id)}/cancel`, { reason: options.reason });
      const ended = options.wait
        ? await waitForOperation(client, session.terminal, asked, HOUR, PATIENCE, ["Succeeded", "Failed", "Cancelled"])
        : asked;
      print(session, options, ended, describe);
    });
}
