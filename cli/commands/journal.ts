import type { Command } from "commander";
import { Ended, EXIT } from "../errors.ts";
import { details, table } from "../output.ts";
import { REASON_OF_REACHING_IN, requireReason, SHOWN_TO_THE_SCHOOL } from "../reason.ts";
import { type CommonOptions, confirmSlug, connect, print, type Session } from "../session.ts";
import { parseMoment } from "../time.ts";
import type { Operation } from "../types.ts";
import { LONG_WORK_MS, waitForOperation } from "../wait.ts";

interface JournalOptions extends CommonOptions {
  readonly reason?: string;
  readonly yes?: boolean;
}
interface Mark {
  readonly mark: string;
  readonly person: string;
  readonly what?: string;
}
interface Verified {
  readonly marks: number;
  readonly chain: ReadonlyArray<{ readonly link: number | null; readonly what: string }>;
  readonly findings: readonly Mark[];
}
interface Undone {
  readonly applied: boolean;
  readonly marks: readonly Mark[];
  readonly conflicts: readonly Mark[];
  readonly others: Readonly<Record<string, number>>;
}

const MARKS = [
  { title: "MARK", value: ({ mark }: Mark) => mark },
  { title: "PERSON", value: ({ person }: Mark) => person },
  { title: "WHAT", value: ({ what }: Mark) => what ?? "" },
];

function reasonOf({ reason }: JournalOptions): string {
  requireReason(reason, "This reaches into a school by hand and", SHOWN_TO_THE_SCHOOL);
  return reason;
}

async function ask<T>(session: Session, options: JournalOptions, slug: string, what: string, body: object): Promise<T> {
  const client = connect(session, options);
  const path = `/v1/tenants/${encodeURIComponent(slug)}/journal/${what}`;
  const started = await client.post<Operation>(path, { ...body, reason: reasonOf(options) });
  const { result } = await waitForOperation(client, session.terminal, started, LONG_WORK_MS);
  return result as T;
}

async function verify(session: Session, slug: string, options: JournalOptions): Promise<void> {
  const found = await ask<Verified>(session, options, slug, "verify", {});
  print(session, options, found, ({ marks, chain, findings }) =>
    [
      details([
        ["Marks", `${marks} looked at`],
        [
          "Chain",
          chain.length === 0 ? "holds" : chain.map(({ link, what }) => `${what} (${link ?? "no link"})`).join(", "),
        ],
        ["Findings", findings.length === 0 ? "none" : String(findings.length)],
        [
          "Next",
          findings.some(({ what }) => what !== "without-entry")
            ? `classmind journal rebuild ${slug} --reason "…"`
            : undefined,
        ],
        [
          "The chain",
          chain.length === 0
            ? undefined
            : "the journal itself was changed past the app: change nothing, keep the backups, and compare it with one of before (docs/runbooks.md)",
        ],
      ]),
      ...(findings.length === 0 ? [] : ["\n", table(MARKS, findings, session.terminal.width, "")]),
    ].join(""),
  );
  if (found.chain.length + found.findings.length > 0) throw new Ended(EXIT.failed);
}

async function rebuild(session: Session, slug: string, options: JournalOptions): Promise<void> {
  reasonOf(options);
  const consequence = `Marks of ${slug} that are missing or differ are put back as the journal has them last.`;
  await confirmSlug(session, slug, options.yes, consequence);
  const done = await ask<{ rebuilt: number; left: readonly Mark[] }>(session, options, slug, "rebuild", {});
  print(session, options, done, ({ rebuilt, left }) =>
    details([
      ["Rebuilt", `${rebuilt} marks`],
      [
        "Left alone",
        left.length === 0
          ? undefined
          : `${left.length}, for which nothing can be put there (no entry, the test is gone, or the person was erased): ${left.map(({ mark }) => mark).join(", ")}`,
      ],
    ]),
  );
}

interface UndoOptions extends JournalOptions {
  readonly since: string;
  readonly apply?: boolean;
}

async function undo(session: Session, slug: string, username: string, options: UndoOptions): Promise<void> {
  reasonOf(options);
  const since = parseMoment(options.since, "--since");
  const apply = options.apply === true;
  if (apply) {
    const consequence = `What ${username} did to marks of ${slug} since ${since} is taken back. What others changed since stays.`;
    await confirmSlug(session, slug, options.yes, consequence);
  }
  const done = await ask<Undone>(session, options, slug, "undo", { username, since, apply });
  const others = Object.entries(done.others).map(([what, count]) => `${what} ${count}`);
  print(session, options, done, ({ applied, marks, conflicts }) =>
    details([
      [applied ? "Taken back" : "Would be taken back", `${marks.length} marks`],
      [
        "Left alone",
        conflicts.length === 0 ? undefined : `${conflicts.length} that others changed since, or whose test is gone`,
      ],
      ["Beside marks", others.length === 0 ? undefined : `not taken back: ${others.join(", ")}`],
      ["Next", applied || marks.length === 0 ? undefined : "the same with --apply"],
    ]),
  );
}

/** `classmind journal …` */
export function addJournalCommands(program: Command, session: Session): void {
  const journal = program
    .command("journal")
    .description("put a school's journal to use: find what was done behind the app's back, put it right, take back");
  journal
    .command("verify <slug>")
    .description(
      "check the journal's chain, and every mark against its last entry; ends with 7 when something is found",
    )
    .option("--reason <text>", REASON_OF_REACHING_IN)
    .addHelpText("after", '\nExample:\n  $ classmind journal verify goethe --reason "Monatliche Prüfung"')
    .action((slug: string, _options: unknown, command: Command) =>
      verify(session, slug, command.optsWithGlobals<JournalOptions>()),
    );
  journal
    .command("rebuild <slug>")
    .description("put marks back as the journal has them last")
    .option("--reason <text>", REASON_OF_REACHING_IN)
    .option("-y, --yes", "do not ask")
    .addHelpText("after", '\nExample:\n  $ classmind journal rebuild goethe --reason "Befunde der Prüfung vom 27.11."')
    .action((slug: string, _options: unknown, command: Command) =>
      rebuild(session, slug, command.optsWithGlobals<JournalOptions>()),
    );
  journal
    .command("undo <slug> <username>")
    .description("take back what an account did to marks since a time; without --apply, only say what that would be")
    .requiredOption("--since <time>", "from when on (ISO 8601 with a zone)")
    .option("--apply", "do it")
    .option("--reason <text>", REASON_OF_REACHING_IN)
    .option("-y, --yes", "do not ask")
    .addHelpText(
      "after",
      '\nExample:\n  $ classmind journal undo goethe max.mathe --since 2026-11-27T08:00:00Z --reason "Passwort gestohlen"\n  $ classmind journal undo goethe max.mathe --since 2026-11-27T08:00:00Z --reason "Passwort gestohlen" --apply',
    )
    .action((slug: string, username: string, _options: unknown, command: Command) =>
      undo(session, slug, username, command.optsWithGlobals<UndoOptions>()),
    );
}
