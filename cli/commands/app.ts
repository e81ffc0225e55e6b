import type { Command } from "commander";
import type { Client } from "../client.ts";
import { CliError, EXIT } from "../errors.ts";
import { type Column, details, span, table } from "../output.ts";
import { type CommonOptions, connect, print, type Session } from "../session.ts";
import type { Rollout, Tenant } from "../types.ts";
import { describeTenant } from "./tenant.ts";

const LOOK_MS = 1000;
const MOVING: ReadonlySet<string> = new Set(["Running", "Undoing"]);

interface RolloutOptions extends CommonOptions {
  readonly engine?: string;
  readonly reason?: string;
  readonly watch?: boolean;
}

const age = (time: string): string => span(Date.now() - Date.parse(time));
const tagOf = (reference: string): string => reference.slice(reference.lastIndexOf("/") + 1);

/** Both images: another one of either is another version. */
function versionText(version: { readonly app: string; readonly postgres: string } | undefined): string | undefined {
  return version === undefined ? undefined : `${tagOf(version.app)}, ${tagOf(version.postgres)}`;
}

/** What to do next, as commands; undefined when nothing is. */
export function nextStep({ state, engine, previous }: Rollout): string | undefined {
  const steer = (verb: string): string => `classmind app rollout ${verb} --engine ${engine}`;
  if (state === "Halted")
    return previous === undefined
      ? steer("resume")
      : `look at the school; then go back: ${steer("undo")}; or try again: ${steer("resume")}`;
  if (state === "Paused") return steer("resume");
  if (state === "Undone") return `bring up a better version: classmind up; or try this one again: ${steer("resume")}`;
  return undefined;
}

function stateText({ state, proven, provenBy, policy, schools }: Rollout): string {
  if (state !== "Running") return state;
  if (proven) return "Running: the first schools are well, the others get it";
  return schools.onTrial === 0 && provenBy === 0
    ? "Running: waits for a school that is well and not pinned"
    : `Running: ${provenBy} of the first ${policy.first} stayed well for ${policy.healthySeconds} s`;
}

/** One rollout for people. */
export function describeRollout(rollout: Rollout, width: number): string {
  const { schools } = rollout;
  const head = details([
    ["Engine", rollout.engine],
    ["Version", versionText(rollout.version)],
    ["Before", versionText(rollout.previous)],
    ["State", stateText(rollout)],
    ["Why", rollout.reason],
    [
      "Schools",
      `${schools.updated} have it, ${schools.waiting} do not${schools.pinned > 0 ? `, ${schools.pinned} are pinned to another` : ""}`,
    ],
    ["Since", `${age(rollout.changedAt)} (began ${age(rollout.startedAt)} ago)`],
    ["Next", nextStep(rollout)],
  ]);
  if (rollout.trials.length === 0) return head;
  const columns: readonly Column<Rollout["trials"][number]>[] = [
    { title: "SCHOOL", value: ({ slug }) => slug },
    { title: "STATE", value: ({ state }) => state },
    { title: "SINCE", value: ({ since }) => age(since) },
    { title: "MESSAGE", value: ({ message }) => message ?? "", flexible: true },
  ];
  return `${head}\n${table(columns, rollout.trials, width, "")}`;
}

const list = (client: Client): Promise<{ readonly items: readonly Rollout[] }> =>
  client.get<{ items: Rollout[] }>("/v1/rollouts");

/** All rollouts; undefined where the API does not answer. */
export async function readRollouts(client: Client): Promise<readonly Rollout[] | undefined> {
  return (await list(client).catch(() => undefined))?.items;
}

/** One line on a rollout that has not come to its end. */
export function describeUnfinished(rollout: Rollout): string {
  const why = rollout.reason === undefined ? "" : `: ${rollout.reason}`;
  return `${tagOf(rollout.version.app)} on ${rollout.engine} is ${rollout.state}${why} (${rollout.schools.updated} schools have it, ${rollout.schools.waiting} do not)`;
}

/** What to do about those that stand still. */
export function remedyOf(rollouts: readonly Rollout[]): string | undefined {
  const halted = rollouts.find(({ state }) => state === "Halted");
  return halted === undefined ? undefined : nextStep(halted);
}

/** The rollout that is meant: by its engine's name, or the only one. */
async function chosen(client: Client, engine: string | undefined): Promise<Rollout> {
  if (engine !== undefined) return client.get<Rollout>(`/v1/rollouts/${encodeURIComponent(engine)}`);
  const { items } = await list(client);
  const [only, ...others] = items;
  if (only === undefined)
    throw new CliError(EXIT.notFound, "Nothing was rolled out yet.", { remedy: "The platform does it: classmind up" });
  if (others.length === 0) return only;
  throw new CliError(EXIT.usage, "There are several engines.", {
    field: "engine",
    remedy: `Name one: --engine ${items.map((item) => item.engine).join(", --engine ")}`,
  });
}

/** Shows how far it is until it stands still. */
async function watch(session: Session, client: Client, first: Rollout): Promise<Rollout> {
  let rollout = first;
  let shown = "";
  while (MOVING.has(rollout.state)) {
    const line = `${stateText(rollout)}; ${rollout.schools.updated} schools have it, ${rollout.schools.waiting} do not\n`;
    if (line !== shown) session.terminal.err(line);
    shown = line;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    rollout = await client.get<Rollout>(`/v1/rollouts/${encodeURIComponent(first.engine)}`);
  }
  return rollout;
}

async function status(session: Session, options: RolloutOptions): Promise<void> {
  const client = connect(session, options);
  const found = options.engine === undefined ? (await list(client)).items : [await chosen(client, options.engine)];
  const items: Rollout[] = [];
  for (const rollout of found) items.push(options.watch === true ? await watch(session, client, rollout) : rollout);
  print(session, options, { items }, (value) =>
    value.items.length === 0
      ? "Nothing was rolled out yet.\n"
      : value.items.map((item) => describeRollout(item, session.terminal.width)).join("\n"),
  );
  const halted = items.find(({ state }) => state === "Halted");
  if (halted === undefined) return;
  throw new CliError(EXIT.failed, `The rollout on ${halted.engine} halted: ${halted.reason ?? "no reason is known"}`, {
    remedy: nextStep(halted),
  });
}

interface Verb {
  readonly verb: "pause" | "resume" | "undo" | "promote";
  readonly summary: string;
  readonly needsReason?: boolean;
  readonly example: string;
}

const VERBS: readonly Verb[] = [
  {
    verb: "pause",
    summary: "give the version to no more schools; those that have it keep it",
    example: "classmind app rollout pause",
  },
  {
    verb: "resume",
    summary: "go on after a pause, a halt or an undo: what failed is tried again",
    example: "classmind app rollout resume",
  },
  {
    verb: "undo",
    summary: "take the version back: schools that have it get the one before",
    example: 'classmind app rollout undo --reason "Anmeldung geht nicht"',
  },
  {
    verb: "promote",
    summary: "take it upon yourself that the version is good: the others get it without further proof",
    needsReason: true,
    example: 'classmind app rollout promote --reason "an zwei Schulen von Hand geprüft"',
  },
];

function addVerb(rollout: Command, session: Session, { verb, summary, needsReason, example }: Verb): void {
  const command = rollout
    .command(verb)
    .description(summary)
    .option("--engine <name>", "the engine whose schools are meant; needed where there are several")
    .addHelpText("after", `\nExample:\n  $ ${example}`);
  if (needsReason === true) command.requiredOption("--reason <text>", "why; kept in the audit");
  else command.option("--reason <text>", "why; kept in the audit");
  command.action(async (_options: unknown, self: Command) => {
    const options = self.optsWithGlobals<RolloutOptions>();
    const client = connect(session, options);
    const { engine } = await chosen(client, options.engine);
    const body = options.reason === undefined ? {} : { reason: options.reason };
    const after = await client.post<Rollout>(`/v1/rollouts/${encodeURIComponent(engine)}/${verb}`, body);
    print(session, options, after, (value) => describeRollout(value, session.terminal.width));
  });
}

function addPin(app: Command, session: Session, verb: "pin" | "unpin", summary: string, example: string): void {
  app
    .command(`${verb} <slug>`)
    .description(summary)
    .option("--reason <text>", "why; kept in the audit and shown with the school")
    .addHelpText("after", `\nExample:\n  $ ${example}`)
    .action(async (slug: string, _options: unknown, self: Command) => {
      const options = self.optsWithGlobals<RolloutOptions>();
      const body = options.reason === undefined ? {} : { reason: options.reason };
      const path = `/v1/tenants/${encodeURIComponent(slug)}/${verb}`;
      print(session, options, await connect(session, options).post<Tenant>(path, body), describeTenant);
    });
}

/** `classmind app …` */
export function addAppCommands(program: Command, session: Session): void {
  const app = program.command("app").description("which version of the school platform the schools have");
  const rollout = app
    .command("rollout")
    .description("a new version on its way to the schools: a few first, the others when these stayed well")
    .addHelpText(
      "after",
      "\nA version comes by `classmind up` (on a cluster: by the configuration of the reconciler). A school that was well before and is not with it\nhalts the rollout; the others keep what they have until you resume or undo.",
    );
  rollout
    .command("status")
    .description("how far the version is; exit code 7 when its rollout has halted")
    .option("--engine <name>", "only this engine's")
    .option("-w, --watch", "wait until it stands still")
    .addHelpText("after", "\nExamples:\n  $ classmind app rollout status\n  $ classmind app rollout status --watch")
    .action(async (_options: unknown, self: Command) => {
      await status(session, self.optsWithGlobals<RolloutOptions>());
    });
  for (const verb of VERBS) addVerb(rollout, session, verb);
  addPin(
    app,
    session,
    "pin",
    "keep a school on the version that it has, whatever comes",
    'classmind app pin goethe --reason "Abiturprüfungen"',
  );
  addPin(app, session, "unpin", "let a school have the version that the others have", "classmind app unpin goethe");
}
