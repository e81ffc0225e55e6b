import { spawn } from "node:child_process";
import { userInfo } from "node:os";
import { examineHost } from "../../control-plane/host/doctor.ts";
import type { HostFinding } from "../../control-plane/host/finding.ts";
import { createInstance, type Instance } from "../../control-plane/host/instance.ts";
import { layoutOf } from "../../control-plane/host/layout.ts";
import { createLocalOperator } from "../../control-plane/host/operator.ts";
import { HOST_PACKAGES, missingPackages } from "../../control-plane/host/packages.ts";
import { down, uninstall } from "../../control-plane/host/remove.ts";
import { isRoot } from "../../control-plane/host/require-root.ts";
import { readSettings } from "../../control-plane/host/settings.ts";
import { supervisorPid } from "../../control-plane/host/supervisor-pid.ts";
import { hasUnit, hostSystemd, logPlace, unitName } from "../../control-plane/host/systemd.ts";
import { up } from "../../control-plane/host/up.ts";
import type { Client } from "../client.ts";
import { readContexts, writeContexts } from "../context.ts";
import { CliError, Ended, EXIT } from "../errors.ts";
import { describeFinding } from "../findings.ts";
import { details, printable, tint } from "../output.ts";
import { type CommonOptions, confirmSlug, connect, print, type Session } from "../session.ts";
import type { Clock, Tenant } from "../types.ts";
import { describeUnfinished, readRollouts, remedyOf } from "./app.ts";
import { CLOCK_REMEDY, describeClockState, readClock } from "./clock.ts";
import { follow, lastLines } from "./log-follow.ts";
import { createTenant } from "./tenant.ts";

export interface HostOptions extends CommonOptions {
  readonly instance: string;
  readonly domain?: string;
  readonly addressPool?: string;
  readonly engine?: "containers" | "simulated";
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly follow?: boolean;
}

/** Shows each step with its time as it ends. */
function reporter(session: Session): (step: string, work: () => Promise<string | undefined>) => Promise<void> {
  return async (step, work) => {
    const started = performance.now();
    if (session.terminal.interactive) session.terminal.err(`  ...  ${step}\r`);
    const note = await work();
    const time = `${((performance.now() - started) / 1000).toFixed(1)} s`.padStart(8);
    session.terminal.err(
      `  ${tint(session.terminal, "green", "ok")}   ${step.padEnd(58)} ${time}${note === undefined ? "" : `  ${note}`}\n`,
    );
  };
}

/** The person at the keyboard: who called sudo, else the account. Every action has a named operator. */
function operatorName(environment: NodeJS.ProcessEnv): string {
  const name = (environment.SUDO_USER ?? userInfo().username).toLowerCase().replace(/[^a-z0-9._-]/g, "-");
  return /^[a-z]/.test(name) ? name.slice(0, 40) : `operator-${name}`.slice(0, 40);
}

/** Makes sure that this user has a context (with a token of their own) for the platform of this machine. */
async function ensureContext(session: Session, instance: Instance): Promise<void> {
  const known = readContexts(session.contextsFile);
  const server = `unix://${layoutOf(instance).apiSocket}`;
  const present = known.contexts[instance.name];
  if (present?.server === server) {
    const works = await connect(session, { output: "json", context: instance.name })
      .get("/v1/platform")
      .then(
        () => true,
        (error: unknown) => !(error instanceof CliError && error.exitCode === EXIT.refused),
      );
    if (works) return;
  }
  const token = await createLocalOperator(instance, operatorName(session.environment));
  writeContexts(session.contextsFile, {
    current: instance.name,
    contexts: { ...known.contexts, [instance.name]: { server, token } },
  });
}

function forgetContext(session: Session, instance: Instance): void {
  const known = readContexts(session.contextsFile);
  const { [instance.name]: _gone, ...contexts } = known.contexts;
  writeContexts(session.contextsFile, { current: known.current === instance.name ? "" : known.current, contexts });
}

/** Brings the platform up and makes sure that this user can talk to it. */
export async function bringUp(session: Session, options: HostOptions): Promise<Instance> {
  const instance = createInstance(options.instance);
  const { domain, engine, addressPool } = options;
  await up(
    instance,
    {
      ...(domain === undefined ? {} : { domain }),
      ...(engine === undefined ? {} : { engine }),
      ...(addressPool === undefined ? {} : { addressPool }),
    },
    reporter(session),
  );
  await ensureContext(session, instance);
  return instance;
}

async function dryRun(session: Session): Promise<void> {
  const missing = new Set((await missingPackages()).map((each) => each.name));
  const lines = HOST_PACKAGES.map(
    (each) => `  ${missing.has(each.name) ? "install" : "present"}  ${each.name.padEnd(12)} ${each.why}\n`,
  );
  session.terminal.out(
    `Debian packages:\n${lines.join("")}Then: builds four container images from Debian packages, starts the platform, creates a demo school.\nNothing was changed.\n`,
  );
}

async function confirmInstall(session: Session, options: HostOptions): Promise<void> {
  const missing = await missingPackages();
  if (missing.length === 0 || options.yes === true || !session.terminal.interactive) return;
  session.terminal.err(
    `These Debian packages are missing and will be installed:\n${missing.map((each) => `  ${each.name.padEnd(12)} ${each.why}\n`).join("")}`,
  );
  const answer = await session.terminal.ask("Go on? [y/N] ");
  if (!/^(y|j)/i.test(answer ?? "")) throw new CliError(EXIT.refused, "Nothing was changed.");
}

const DEMO = "demo";

/** From a fresh machine to a first school. */
export async function quickstart(session: Session, options: HostOptions): Promise<void> {
  if (options.dryRun === true) return dryRun(session);
  await confirmInstall(session, options);
  const started = performance.now();
  const instance = await bringUp(session, options);
  const client = connect(session, { ...options, context: instance.name });
  const existing = await client.get<Tenant>(`/v1/tenants/${DEMO}`).catch((error: unknown) => {
    if (error instanceof CliError && error.exitCode === EXIT.notFound) return undefined;
    throw error;
  });
  const create = {
    ...options,
    context: instance.name,
    name: "Demoschule",
    demo: true,
    plan: "small",
    clause: [],
    label: [],
    wait: true,
  };
  const school =
    existing === undefined
      ? await createTenant(session, DEMO, create)
      : {
          slug: DEMO,
          url: existing.url,
          phase: existing.phase,
          admin: { username: existing.administrator?.username ?? "", password: null },
          steps: existing.steps,
          milliseconds: 0,
        };
  const layout = layoutOf(instance);
  const settings = readSettings(instance);
  const port = settings?.httpsPort ?? 443;
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  print(session, options, { ...school, certificateAuthority: layout.authorityFile }, (value) =>
    [
      `\nReady in ${seconds} s.\n\n`,
      details([
        ["School", value.url],
        ["User name", value.admin.username],
        [
          "One-time password",
          value.admin.password ??
            "(was shown when the school was created; a new one: ./classmind tenant reset-password demo USER)",
        ],
        [
          "Trust the CA",
          `curl --cacert ${layout.authorityFile} ${value.url}/   (browsers: import that file as an authority)`,
        ],
        ["From elsewhere", `ssh -L ${port}:127.0.0.1:${port} root@THIS-HOST   and open the address there`],
      ]),
      existing === undefined
        ? "\nThe school has 170 people who do not exist; sign in, choose one under Konten and give a one-time password to be that person.\n"
        : "",
      "\nNext:\n  ./classmind tenant list\n  ./classmind backup create demo\n  ./classmind verify isolation demo\n",
    ].join(""),
  );
}

/** This machine's platform; undefined when it does not run or does not know this user. */
function localPlatform(session: Session, instance: Instance): Client | undefined {
  const present = readContexts(session.contextsFile).contexts[instance.name];
  if (present === undefined || supervisorPid(instance) === undefined) return undefined;
  return connect(session, { output: "json", context: instance.name });
}

function clockFinding(clock: Clock): HostFinding {
  const message = describeClockState(clock);
  return clock.trusted
    ? { check: "clock", ok: true, message }
    : { check: "clock", ok: false, message, remedy: CLOCK_REMEDY };
}

/** What runs on this machine; exit code `unavailable` when nothing does. */
export async function status(session: Session, options: HostOptions): Promise<void> {
  const instance = createInstance(options.instance);
  const settings = readSettings(instance);
  const pid = supervisorPid(instance);
  const client = localPlatform(session, instance);
  const clock = client && (await readClock(client));
  const rollouts = client && (await readRollouts(client));
  const unfinished = rollouts?.filter(({ state: each }) => each !== "Complete") ?? [];
  const state = {
    instance: instance.name,
    configured: settings !== undefined || pid !== undefined,
    running: pid !== undefined,
    supervisor: pid ?? null,
    domain: settings?.domain ?? null,
    httpsPort: settings?.httpsPort ?? null,
    log: logPlace(instance),
    clock: clock ?? null,
    rollouts: rollouts ?? null,
  };
  print(session, options, state, (value) =>
    details([
      ["Instance", value.instance],
      ["Platform", value.running ? `runs (supervisor ${value.supervisor})` : "does not run"],
      ["Domain", value.domain ?? (isRoot() ? "not set up yet" : "not looked at: needs root")],
      ["Log", value.log],
      ["Clock", value.clock === null ? undefined : describeClockState(value.clock)],
      ...unfinished.map((rollout): [string, string] => ["Version", describeUnfinished(rollout)]),
      ["Next", value.clock?.trusted === false ? CLOCK_REMEDY : (remedyOf(unfinished) ?? nextStep(value.running))],
    ]),
  );
  if (pid === undefined) throw new Ended(EXIT.unavailable);
}

function nextStep(running: boolean): string {
  return running ? "./classmind tenant list" : "./classmind up";
}

/** Stops the platform and all its schools. */
export async function takeDown(session: Session, options: HostOptions): Promise<void> {
  const stopped = await down(createInstance(options.instance));
  for (const { program, pid } of stopped.leftovers)
    session.terminal.err(`Ended what an earlier command had left running: ${program} (process ${pid})\n`);
  session.terminal.err(
    stopped.wasRunning || stopped.containers > 0
      ? "The platform is stopped. Start it again: ./classmind up\n"
      : "The platform did not run.\n",
  );
}

/** Removes every trace of an installation, after asking. */
export async function removeAll(session: Session, options: HostOptions): Promise<void> {
  const instance = createInstance(options.instance);
  await confirmSlug(
    session,
    instance.name,
    options.yes,
    "This destroys all schools of this installation with their data, backups and keys. Nobody can bring them back.",
  );
  const removed = await uninstall(instance);
  forgetContext(session, instance);
  session.terminal.err(
    `Removed: ${removed.join(", ") || "nothing was there"}\nDebian packages stay; remove them if nothing else needs them: apt-get purge ${HOST_PACKAGES.map(
      (each) => each.name,
    )
      .filter((name) => name !== "mount" && name !== "e2fsprogs")
      .join(" ")}\n`,
  );
}

/** What is missing on this machine; exit code `failed` when anything is. */
export async function doctor(session: Session, options: HostOptions): Promise<void> {
  const instance = createInstance(options.instance);
  const client = localPlatform(session, instance);
  const clock = client && (await readClock(client));
  const findings = [...(await examineHost(instance)), ...(clock === undefined ? [] : [clockFinding(clock)])];
  print(session, options, { findings }, (value) =>
    value.findings.map((finding) => describeFinding(session.terminal, finding)).join(""),
  );
  if (findings.some((finding) => !finding.ok)) throw new Ended(EXIT.failed);
}

const LOG_LINES = 100;

/** Why the platform's log cannot be shown, as far as people can do something about it. */
function unreadable(file: string, error: unknown): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT")
    return new CliError(EXIT.notFound, `There is no log at ${file}.`, {
      remedy: "The platform makes it: ./classmind up",
    });
  if (code === "EACCES" || code === "EPERM")
    return new CliError(EXIT.refused, `You may not read ${file}.`, {
      remedy: "It names schools and lies with their data, so it is root's: run it with sudo, or as root.",
    });
  return error;
}

/** The newest lines of the platform's own log, and with `follow` those that come, until Ctrl-C. */
export async function printLog(session: Session, options: HostOptions): Promise<void> {
  const instance = createInstance(options.instance);
  const systemd = hostSystemd();
  if (systemd !== undefined && hasUnit(systemd, instance)) {
    const more = options.follow === true ? ["--follow"] : ["--no-pager"];
    return showJournal(["--unit", unitName(instance), "--lines", String(LOG_LINES), "--output", "cat", ...more]);
  }
  const { supervisorLog } = layoutOf(instance);
  const show = (text: string): void => session.terminal.out(text.split("\n").map(printable).join("\n"));
  const ending = new AbortController();
  try {
    show(lastLines(supervisorLog, LOG_LINES));
    if (options.follow !== true) return;
    process.once("SIGINT", () => ending.abort());
    process.once("SIGTERM", () => ending.abort());
    await follow(supervisorLog, show, ending.signal);
  } catch (error) {
    throw unreadable(supervisorLog, error);
  }
}

/** Why journalctl ended badly, after its own words. */
function journalClosed(): Error {
  if (isRoot()) return new Ended(EXIT.failed);
  return new CliError(EXIT.refused, "The journal was not shown.", {
    remedy: 'Run it with sudo, or as a member of the group systemd-journal: sudo usermod -aG systemd-journal "$USER"',
  });
}

function showJournal(words: readonly string[]): Promise<void> {
  const child = spawn("journalctl", words, { stdio: ["ignore", "inherit", "inherit"] });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => (code === null || code === 0 ? resolve() : reject(journalClosed())));
  });
}
