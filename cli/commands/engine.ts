import type { Command } from "commander";
import type { Client } from "../client.ts";
import { CliError, EXIT } from "../errors.ts";
import { describeFinding } from "../findings.ts";
import { type Column, details, printable, span, table } from "../output.ts";
import { type CommonOptions, connect, print, type Session } from "../session.ts";
import type { Engine } from "../types.ts";

/** Trying an engine out starts pods and waits for them. */
const CHECK_TIMEOUT = 180_000;
const LOOK_MS = 500;

interface ReasonOptions extends CommonOptions {
  readonly reason?: string;
}

function stateOf(engine: Engine): string {
  if (engine.retired) return "not configured";
  if (!engine.fit) return "NOT FIT";
  if (engine.triedAt === undefined) return "not tried out yet";
  const state = engine.overrides.length > 0 ? "fit by override" : "fit";
  return engine.cordoned ? `${state}, cordoned` : state;
}

function labelsOf(engine: Engine): string {
  return Object.entries(engine.labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(", ");
}

const age = (time: string | undefined): string =>
  time === undefined ? "never" : `${span(Date.now() - Date.parse(time))} ago`;

const COLUMNS: readonly Column<Engine>[] = [
  { title: "ENGINE", value: ({ name }) => name },
  { title: "KIND", value: ({ kind }) => kind },
  { title: "COUNTRY", value: ({ country }) => country },
  { title: "LABELS", value: labelsOf, flexible: true },
  {
    title: "SCHOOLS",
    value: ({ schools, capacity }) => (capacity === undefined ? String(schools) : `${schools} of ${capacity}`),
  },
  { title: "STATE", value: stateOf },
  { title: "TRIED", value: ({ triedAt }) => age(triedAt) },
];

function describeEngine(session: Session, engine: Engine): string {
  const head = details([
    ["Engine", `${engine.name} (${engine.kind})`],
    ["Country", engine.country],
    ["Labels", labelsOf(engine) || undefined],
    ["Schools", engine.capacity === undefined ? String(engine.schools) : `${engine.schools} of ${engine.capacity}`],
    ["State", stateOf(engine)],
    ["Tried out", age(engine.triedAt)],
  ]);
  const findings = engine.findings.map((finding) => describeFinding(session.terminal, finding)).join("");
  const overrides = engine.overrides.map(
    ({ check, operator, reason, createdAt }) =>
      `  OVERRIDDEN ${check} by ${operator} on ${createdAt.slice(0, 10)}: ${printable(reason)}\n`,
  );
  return `${head}${findings === "" ? "" : "\n"}${findings}${overrides.join("")}`;
}

const pathOf = (name: string): string => `/v1/engines/${encodeURIComponent(name)}`;

/** Lets the control plane examine an engine and waits for what it finds. */
async function examine(client: Client, name: string): Promise<Engine> {
  const asked = await client.post<Engine>(`${pathOf(name)}/check`, {});
  for (const end = Date.now() + CHECK_TIMEOUT; Date.now() < end; ) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    const engine = await client.get<Engine>(pathOf(name));
    if (engine.triedAt !== asked.triedAt) return engine;
  }
  throw new CliError(EXIT.failed, `${name} has not been examined after ${span(CHECK_TIMEOUT)}.`, {
    remedy: "The reconciler does it: see whether it runs, and its log.",
  });
}

/** `classmind doctor --engine NAME`: exit code 7 when anything is missing. */
export async function doctorOfEngine(session: Session, options: CommonOptions, name: string): Promise<void> {
  session.terminal.err(`Examining ${name}; pods of its own are started and removed again.\n`);
  const engine = await examine(connect(session, options), name);
  print(session, options, engine, (value) => describeEngine(session, value));
  if (engine.findings.every(({ ok }) => ok)) return;
  const required = engine.findings.find((finding) => !finding.ok && finding.required === true);
  const held = `No school is made on ${name}. To take that upon yourself: classmind engine override ${name} ${required?.check} --reason "…"`;
  throw new CliError(EXIT.failed, `${name} lacks something.`, {
    remedy: engine.fit ? "Mend it; schools are made there meanwhile." : `Mend it, and run this again. ${held}`,
  });
}

/** `classmind engine …` */
export function addEngineCommands(program: Command, session: Session): void {
  const engine = program.command("engine").description("where schools live: this machine, clusters");
  engine
    .command("list")
    .description("engines with their schools and whether they are fit for more")
    .action(async (_options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>();
      print(session, options, await connect(session, options).get<{ items: Engine[] }>("/v1/engines"), (value) =>
        table(COLUMNS, value.items, session.terminal.width, "No engine is registered: the reconciler has not started."),
      );
    });
  engine
    .command("get <name>")
    .description("one engine: what its last examination found, and who took what upon themselves")
    .action(async (name: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>();
      const found = await connect(session, options).get<Engine>(pathOf(name));
      print(session, options, found, (value) => describeEngine(session, value));
    });
  const change = (verb: "cordon" | "uncordon", summary: string, done: string): void => {
    engine
      .command(`${verb} <name>`)
      .description(summary)
      .option("--reason <text>", "why; kept in the audit")
      .action(async (name: string, _options: unknown, command: Command) => {
        const options = command.optsWithGlobals<ReasonOptions>();
        const body = options.reason === undefined ? {} : { reason: options.reason };
        const changed = await connect(session, options).post<Engine>(`${pathOf(name)}/${verb}`, body);
        print(session, options, changed, (value) => `${value.name} ${done}\n`);
      });
  };
  change("cordon", "close an engine for new schools", "takes no new schools; those that are there go on.");
  change("uncordon", "open an engine for new schools again", "takes new schools again.");
  engine
    .command("override <name> <check>")
    .description("take a failed check upon yourself: schools are made there all the same, and each shows it")
    .requiredOption("--reason <text>", "why; kept in the audit and shown with every school there")
    .addHelpText(
      "after",
      '\nExample:\n  $ classmind engine override fsn1 storage-encryption --reason "LUKS unter dem Pool, Protokoll 2026-11"',
    )
    .action(async (name: string, check: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & { reason: string }>();
      const changed = await connect(session, options).post<Engine>(`${pathOf(name)}/overrides`, {
        check,
        reason: options.reason,
      });
      print(session, options, changed, (value) => describeEngine(session, value));
    });
  engine
    .command("revoke <name> <check>")
    .description("take an override back: while the check fails, no more schools are made there")
    .action(async (name: string, check: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>();
      const changed = await connect(session, options).delete<Engine>(
        `${pathOf(name)}/overrides/${encodeURIComponent(check)}`,
      );
      print(session, options, changed, (value) => describeEngine(session, value));
    });
}
