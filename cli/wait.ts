import type { Client } from "./client.ts";
import { CliError, EXIT } from "./errors.ts";
import { printable, span, type Terminal, tint } from "./output.ts";
import type { Operation, ProgressStep, Tenant } from "./types.ts";

/** Watches a school until something is so, showing each step with its time. Events wake; the state itself is read. */

interface StepView {
  show(progress: readonly ProgressStep[]): void;
}

function stepView(terminal: Terminal): StepView {
  const shown = new Map<string, string>();
  return {
    show(progress) {
      for (const step of progress) {
        const key = `${step.name} ${step.startedAt}`;
        if (step.state === "Running" || shown.get(key) === step.state) continue;
        shown.set(key, step.state);
        const time = step.milliseconds === undefined ? "" : `${(step.milliseconds / 1000).toFixed(1)} s`;
        const sign = step.state === "Done" ? tint(terminal, "green", "ok  ") : tint(terminal, "red", "FAIL");
        terminal.err(
          `  ${sign} ${step.name.padEnd(34)} ${time.padStart(8)}${step.message === undefined ? "" : `  ${printable(step.message)}`}\n`,
        );
      }
    },
  };
}

const POLL_AFTER_GAP_MS = 1000;

/**
 * Waits until `done` says so of the school.
 * @param done receives the school, undefined once it is gone; throws to give up
 * @param timeout milliseconds
 */
export async function waitForTenant(
  client: Client,
  terminal: Terminal,
  slug: string,
  done: (tenant: Tenant | undefined) => boolean,
  timeout: number,
): Promise<Tenant | undefined> {
  const end = Date.now() + timeout;
  const view = stepView(terminal);
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), timeout);
  let latest: Tenant | undefined;
  try {
    while (Date.now() < end) {
      try {
        for await (const { event, data } of client.events(`/v1/events?slug=${encodeURIComponent(slug)}`, stop.signal)) {
          if (event === "resync") latest = await readTenant(client, slug);
          else latest = event === "gone" ? undefined : (data as Tenant);
          view.show(latest?.progress ?? []);
          if (done(latest)) return latest;
        }
      } catch (error) {
        if (stop.signal.aborted) break;
        if (error instanceof CliError && error.exitCode !== EXIT.unavailable) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_AFTER_GAP_MS));
    }
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
  const ready = latest?.conditions.find((condition) => condition.type === "Ready");
  throw new CliError(EXIT.failed, `${slug} is not there after ${span(timeout)}. ${printable(ready?.message ?? "")}`, {
    remedy: `The platform goes on trying. Look at it: classmind tenant get ${slug}`,
  });
}

async function readTenant(client: Client, slug: string): Promise<Tenant | undefined> {
  try {
    return await client.get<Tenant>(`/v1/tenants/${encodeURIComponent(slug)}`);
  } catch (error) {
    if (error instanceof CliError && error.exitCode === EXIT.notFound) return undefined;
    throw error;
  }
}

/** Waits for long work to end; its failure is an error with the platform's words. */
export async function waitForOperation(
  client: Client,
  terminal: Terminal,
  started: Operation,
  timeout: number,
): Promise<Operation> {
  const read = (): Promise<Operation> => client.get<Operation>(`/v1/operations/${started.id}`);
  let operation = started;
  // Each step of the school's attempt is an event; on each, the operation itself is read.
  const end = Date.now() + timeout;
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), timeout);
  const finished = (): boolean => operation.state === "Succeeded" || operation.state === "Failed";
  try {
    while (!finished() && Date.now() < end) {
      try {
        for await (const _event of client.events(`/v1/events?slug=${encodeURIComponent(started.slug)}`, stop.signal)) {
          operation = await read();
          if (finished()) break;
        }
      } catch (error) {
        if (stop.signal.aborted) break;
        if (error instanceof CliError && error.exitCode !== EXIT.unavailable) throw error;
        await new Promise((resolve) => setTimeout(resolve, POLL_AFTER_GAP_MS));
      }
    }
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
  if (operation.state === "Failed")
    throw new CliError(EXIT.failed, `${operation.kind} failed: ${printable(operation.error ?? "unknown")}`, {
      remedy: `Look at it: classmind tenant get ${operation.slug}`,
    });
  if (!finished())
    throw new CliError(EXIT.failed, `${operation.kind} has not ended after ${span(timeout)}.`, {
      remedy: "It goes on; look again later.",
    });
  terminal.err("");
  return operation;
}
