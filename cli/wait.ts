import { setTimeout as sleep } from "node:timers/promises";
import type { Client, ServerEvent } from "./client.ts";
import { CliError, EXIT } from "./errors.ts";
import { printable, span, type Terminal, tint } from "./output.ts";
import type { Operation, ProgressStep, Tenant } from "./types.ts";

/** Watches schools and long work, showing each step with its time. Events wake; a lost line is made anew. */

/** How a waiting command bears a control plane that is away, as it is while the platform starts again. */
export interface Patience {
  /** Milliseconds between two tries. */
  readonly pause: number;
  /** Milliseconds without an answer after which it gives up. */
  readonly most: number;
}

/** The longest that a school's own program may take over all that the school holds, milliseconds. */
export const LONG_WORK_MS = 1_800_000;

/** A platform ends and starts within this time, a machine mostly too. */
export const PATIENCE: Patience = { pause: 1_000, most: 5 * 60_000 };

function isPassing(error: unknown): error is CliError {
  return error instanceof CliError && error.exitCode === EXIT.unavailable;
}

/** The line to the control plane while a command waits: what people are told of it, and how long it may be dead. */
interface Line {
  /** Waits for the next try. @throws what is given when it has been away for too long, or the wait is over */
  lost(error: CliError): Promise<void>;
  /** Asks until there is an answer. @throws what a control plane says that is there, and see `lost` */
  ask<T>(question: () => Promise<T>): Promise<T>;
  found(): void;
}

function openLine(terminal: Terminal, signal: AbortSignal, { pause, most }: Patience): Line {
  let since: number | undefined;
  const line: Line = {
    async lost(error) {
      if (since === undefined) {
        since = Date.now();
        terminal.err(
          `  ${tint(terminal, "yellow", "wait")} ${error.message} It is tried again for ${span(most)}; the work goes on without us.\n`,
        );
      }
      if (signal.aborted || Date.now() - since > most) throw error;
      await sleep(pause, undefined, { signal }).catch(() => undefined);
    },
    async ask(question) {
      for (;;) {
        try {
          const answer = await question();
          line.found();
          return answer;
        } catch (error) {
          if (!isPassing(error)) throw error;
          await line.lost(error);
        }
      }
    },
    found() {
      if (since === undefined) return;
      terminal.err(
        `  ${tint(terminal, "green", "ok  ")} The control plane answers again after ${span(Date.now() - since)}.\n`,
      );
      since = undefined;
    },
  };
  return line;
}

/** Events of a school until the signal aborts, over as many connections as it takes. */
async function* events(
  client: Client,
  slug: string,
  line: Line,
  signal: AbortSignal,
  { pause }: Patience,
): AsyncGenerator<ServerEvent> {
  while (!signal.aborted) {
    try {
      for await (const event of client.events(`/v1/events?slug=${encodeURIComponent(slug)}`, signal)) {
        line.found();
        yield event;
      }
      // It ended in peace, as when the control plane is asked to end: the next try tells.
      await sleep(pause, undefined, { signal }).catch(() => undefined);
    } catch (error) {
      if (signal.aborted) return;
      if (!isPassing(error)) throw error;
      await line.lost(error);
    }
  }
}

async function readTenant(client: Client, slug: string): Promise<Tenant | undefined> {
  try {
    return await client.get<Tenant>(`/v1/tenants/${encodeURIComponent(slug)}`);
  } catch (error) {
    if (error instanceof CliError && error.exitCode === EXIT.notFound) return undefined;
    throw error;
  }
}

/** Runs `work` with a signal that aborts after the timeout and when the work is over. */
async function within<T>(timeout: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), timeout);
  try {
    return await work(stop.signal);
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

/** One step as a line; undefined while there is nothing to say of it. */
function lineOf(terminal: Terminal, step: ProgressStep): string | undefined {
  const message = step.message === undefined ? "" : printable(step.message);
  if (step.state === "Running")
    return message === "" ? undefined : `  ${tint(terminal, "yellow", "wait")} ${step.name}: ${message}\n`;
  const time = step.milliseconds === undefined ? "" : `${(step.milliseconds / 1000).toFixed(1)} s`;
  const sign = step.state === "Done" ? tint(terminal, "green", "ok  ") : tint(terminal, "red", "FAIL");
  return `  ${sign} ${step.name.padEnd(34)} ${time.padStart(8)}${message === "" ? "" : `  ${message}`}\n`;
}

/** Prints steps of an attempt as they end, each once, and what one that takes its time says meanwhile. */
export function stepPrinter(terminal: Terminal): (progress: readonly ProgressStep[]) => void {
  const shown = new Set<string>();
  return (progress) => {
    for (const step of progress) {
      const line = lineOf(terminal, step);
      const key = `${step.name} ${step.startedAt} ${step.state === "Running" ? step.message : step.state}`;
      if (line === undefined || shown.has(key)) continue;
      shown.add(key);
      terminal.err(line);
    }
  };
}

/** Prints each stage of long work when it begins, with the time since the work began. Work of one stage says nothing. */
function stageTeller(terminal: Terminal): (operation: Operation) => void {
  let told: string | undefined;
  return ({ kind, progress, startedAt, waitsFor }) => {
    if (waitsFor !== undefined && waitsFor !== told) {
      told = waitsFor;
      terminal.err(`  ${tint(terminal, "yellow", "wait")} ${printable(waitsFor)}\n`);
    }
    const { step, message } = progress;
    if (step === undefined || step === kind || step === told) return;
    told = step;
    const since = startedAt === undefined ? "" : `${((Date.now() - Date.parse(startedAt)) / 1000).toFixed(1)} s`;
    const more = message === undefined ? "" : `  ${printable(message)}`;
    terminal.err(`  ${tint(terminal, "dim", "...")}  ${step.padEnd(34)} ${since.padStart(8)}${more}\n`);
  };
}

/** Tells what ails a school when an attempt failed, once for each thing: the platform tries again by itself. */
function troubleTeller(terminal: Terminal): (tenant: Tenant | undefined) => void {
  let told = "";
  return (tenant) => {
    const ready = tenant?.conditions.find((condition) => condition.type === "Ready");
    if (ready === undefined || (tenant?.phase !== "Failed" && tenant?.phase !== "Degraded") || ready.message === told)
      return;
    told = ready.message;
    terminal.err(
      `  ${tint(terminal, "yellow", "wait")} ${ready.reason}: ${printable(ready.message)} (it is tried again)\n`,
    );
  };
}

/**
 * Waits until `done` says so of a school (undefined: it is gone).
 * @param timeout milliseconds
 * @throws CliError with the school's own words when the time is over; the platform goes on trying
 */
export async function waitForTenant(
  client: Client,
  terminal: Terminal,
  slug: string,
  done: (tenant: Tenant | undefined) => boolean,
  timeout: number,
  patience = PATIENCE,
): Promise<Tenant | undefined> {
  const show = stepPrinter(terminal);
  const tell = troubleTeller(terminal);
  return within(timeout, async (signal) => {
    let latest: Tenant | undefined;
    const line = openLine(terminal, signal, patience);
    for await (const { event, data } of events(client, slug, line, signal, patience)) {
      if (event === "resync") latest = await line.ask(() => readTenant(client, slug));
      else latest = event === "gone" ? undefined : (data as Tenant);
      show([
        ...(latest?.steps ?? []).map((step) => ({ ...step, state: "Done" as const })),
        ...(latest?.progress ?? []),
      ]);
      if (done(latest)) return latest;
      tell(latest);
    }
    const ready = latest?.conditions.find((condition) => condition.type === "Ready");
    throw new CliError(EXIT.failed, `${slug} is not there after ${span(timeout)}. ${printable(ready?.message ?? "")}`, {
      remedy: `The platform goes on trying. Look at it: classmind tenant get ${slug}`,
    });
  });
}

/**
 * Waits for long work to end.
 * @param timeout milliseconds
 * @throws CliError with the platform's words when the work failed or the time is over
 */
export async function waitForOperation(
  client: Client,
  terminal: Terminal,
  started: Operation,
  timeout: number,
  patience = PATIENCE,
  /** States that are what the caller wanted; another end is an error. */
  wanted: readonly Operation["state"][] = ["Succeeded"],
): Promise<Operation> {
  const show = stepPrinter(terminal);
  const tell = stageTeller(terminal);
  return within(timeout, async (signal) => {
    const line = openLine(terminal, signal, patience);
    for await (const { event, data } of events(client, started.slug, line, signal, patience)) {
      if (event === "tenant") show((data as Tenant).progress);
      const operation = await line.ask(() => client.get<Operation>(`/v1/operations/${started.id}`));
      tell(operation);
      if (wanted.includes(operation.state)) return operation;
      if (operation.state !== "Pending" && operation.state !== "Running") {
        const how = operation.state === "Cancelled" ? "was called off" : "failed";
        throw new CliError(EXIT.failed, `${operation.kind} ${how}: ${printable(operation.error ?? "unknown")}`, {
          remedy: `Look at the school: classmind tenant get ${operation.slug}`,
        });
      }
    }
    throw new CliError(EXIT.failed, `${started.kind} has not ended after ${span(timeout)}.`, {
      remedy: `It goes on: classmind operation get ${started.id}. What is sealed to this command (a password, a report) is lost: ask again.`,
    });
  });
}
