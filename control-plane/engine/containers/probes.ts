import { request } from "node:http";
import { connect } from "node:net";
import type { Clock } from "../../clock.ts";
import { createSemaphore, type Semaphore } from "../../semaphore.ts";
import { pingPostgres } from "./postgres-ping.ts";
import type { ContainerModel, ProbeModel } from "./translate/pod.ts";

/** A running main container. */
export interface ProbeTarget {
  readonly address: string;
  readonly container: Pick<ContainerModel, "startup" | "liveness" | "readiness">;
}

/** What probes found out. */
export interface ProbeReport {
  started(): void;
  /** @param why what the probe found wrong, where it is not ready */
  ready(ready: boolean, why: string | undefined): void;
  /**
   * The container is to be restarted; `why` names probe and number of failures.
   * @param graceSeconds what it gets to end well, if the probe says so
   */
  dead(why: string, graceSeconds: number | undefined): void;
}

/** Runs the probes of containers: Podman never does without systemd, and one place that probes is enough. */
export interface Prober {
  /** Watches a container until the signal aborts. */
  watch(target: ProbeTarget, report: ProbeReport, signal: AbortSignal): Promise<void>;
}

/** How often a starting container is asked: eagerly at first, for somebody waits, then at the probe's own period. */
const FIRST_DELAY = 25;
const EAGER_PAUSE = 60;
const EAGER = 10_000;
/** Probes that run at the same time, over all schools. */
const AT_ONCE = 16;

/** What one look found: undefined if all is well, else what is wrong. */
type Fault = string | undefined;

function tcpFault(host: string, port: number, timeout: number): Promise<Fault> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout });
    const end = (fault: Fault) => {
      socket.destroy();
      resolve(fault);
    };
    socket
      .on("connect", () => end(undefined))
      .on("error", (error: NodeJS.ErrnoException) => end(`port ${port}: ${error.code ?? error.message}`))
      .on("timeout", () => end(`port ${port} does not open within ${timeout / 1000} s`));
  });
}

/** As the kubelet: any status from 200 to 399 is good. */
function httpFault(host: string, port: number, path: string, timeout: number): Promise<Fault> {
  return new Promise((resolve) => {
    const probe = request(
      { host, port, path, timeout, agent: false, headers: { "User-Agent": "classmind-probe" } },
      (answer) => {
        answer.resume();
        const status = answer.statusCode ?? 500;
        resolve(status >= 200 && status < 400 ? undefined : `${path} answers ${status}`);
      },
    );
    const limit = setTimeout(() => probe.destroy(new Error("timeout")), timeout);
    probe
      .on("close", () => clearTimeout(limit))
      .on("timeout", () => probe.destroy(new Error("timeout")))
      .on("error", (error: NodeJS.ErrnoException) =>
        resolve(
          error.message === "timeout"
            ? `${path} does not answer within ${timeout / 1000} s`
            : `${path}: ${error.code ?? error.message}`,
        ),
      )
      .end();
  });
}

/** Asks natively what images/postgres/postgres-probe asks; the room in its volume the engine knows itself. */
async function postgresFault(host: string, port: number, question: "ready" | "alive", timeout: number): Promise<Fault> {
  const { kind, words } = await pingPostgres(host, port, timeout);
  const good = question === "alive" ? kind !== "silent" : kind === "accepts";
  return good ? undefined : words;
}

/** No look starts a process: a hundred schools are asked every few seconds. */
export function createProber(clock: Clock): Prober {
  const places: Semaphore = createSemaphore(AT_ONCE);

  async function look({ address }: ProbeTarget, { check, timeout }: ProbeModel): Promise<Fault> {
    return places.run(async () => {
      if (check.kind === "tcp") return tcpFault(address, check.port, timeout);
      if (check.kind === "http") return httpFault(address, check.port, check.path, timeout);
      return postgresFault(address, check.port, check.question, timeout);
    });
  }

  /** True once the startup probe has succeeded; false when its time is up. */
  async function startUp(target: ProbeTarget, probe: ProbeModel, signal: AbortSignal): Promise<boolean> {
    await clock.sleep(probe.initialDelay, signal);
    const began = clock.now().getTime();
    const until = began + probe.period * probe.failureThreshold;
    let pause = FIRST_DELAY;
    while (!signal.aborted) {
      if ((await look(target, probe)) === undefined) return true;
      if (clock.now().getTime() >= until) return false;
      await clock.sleep(pause, signal);
      const eager = clock.now().getTime() - began < EAGER;
      pause = Math.min(pause * 1.5, eager ? EAGER_PAUSE : probe.period);
    }
    return false;
  }

  /** Calls back with each verdict that thresholds make final, at the probe's period with jitter so that schools spread. */
  async function repeat(
    target: ProbeTarget,
    probe: ProbeModel,
    signal: AbortSignal,
    verdict: (fault: Fault, failures: number) => void,
    first: "now" | "later",
  ): Promise<void> {
    let failures = 0;
    await clock.sleep(first === "now" ? probe.initialDelay : probe.initialDelay + probe.period * Math.random(), signal);
    while (!signal.aborted) {
      const fault = await look(target, probe);
      if (signal.aborted) return;
      failures = fault === undefined ? 0 : failures + 1;
      if (fault === undefined || failures >= probe.failureThreshold) verdict(fault, failures);
      // A pod that is not ready is asked more often: what waits for it should not wait for the period.
      const period =
        first === "now" && fault !== undefined
          ? Math.min(probe.period, 100 * 2 ** Math.min(failures, 10))
          : probe.period;
      await clock.sleep(period * (0.9 + 0.2 * Math.random()), signal);
    }
  }

  return {
    async watch(target, report, signal) {
      const { startup, liveness, readiness } = target.container;
      if (startup && !(await startUp(target, startup, signal))) {
        if (!signal.aborted) report.dead("the startup probe did not succeed in time", startup.graceSeconds);
        return;
      }
      if (signal.aborted) return;
      report.started();
      const loops: Promise<void>[] = [];
      if (readiness)
        loops.push(repeat(target, readiness, signal, (fault) => report.ready(fault === undefined, fault), "now"));
      else report.ready(true, undefined);
      if (liveness) {
        const judge = (fault: Fault, failures: number) => {
          if (fault !== undefined)
            report.dead(`the liveness probe failed ${failures} times: ${fault}`, liveness.graceSeconds);
        };
        loops.push(repeat(target, liveness, signal, judge, "later"));
      }
      await Promise.all(loops);
    },
  };
}
