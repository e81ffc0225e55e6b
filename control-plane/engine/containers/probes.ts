import { request } from "node:http";
import { connect } from "node:net";
import type { Clock } from "../../clock.ts";
import { createSemaphore, type Semaphore } from "../../semaphore.ts";
import type { ContainerApi } from "./docker.ts";
import type { ContainerModel, ProbeModel } from "./translate/pod.ts";

/** A running main container. */
export interface ProbeTarget {
  readonly id: string;
  readonly address: string;
  readonly container: ContainerModel;
}

/** What probes found out. */
export interface ProbeReport {
  started(): void;
  ready(ready: boolean): void;
  /** The container is to be restarted; `why` names probe and number of failures. */
  dead(why: string): void;
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
/** From a port's opening to a program's first look: servers open it a moment before they serve, and a look in vain is dear. */
const SETTLING = 60;
/** Probes that run at the same time, over all schools. */
const AT_ONCE = 16;

function tcpOpen(host: string, port: number, timeout: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout });
    const end = (open: boolean) => {
      socket.destroy();
      resolve(open);
    };
    socket
      .on("connect", () => end(true))
      .on("error", () => end(false))
      .on("timeout", () => end(false));
  });
}

/** As the kubelet: any status from 200 to 399 is good. */
function httpGood(host: string, port: number, path: string, timeout: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = request(
      { host, port, path, timeout, agent: false, headers: { "User-Agent": "classmind-probe" } },
      (answer) => {
        answer.resume();
        const status = answer.statusCode ?? 500;
        resolve(status >= 200 && status < 400);
      },
    );
    const limit = setTimeout(() => probe.destroy(new Error("timeout")), timeout);
    probe
      .on("close", () => clearTimeout(limit))
      .on("timeout", () => probe.destroy(new Error("timeout")))
      .on("error", () => resolve(false))
      .end();
  });
}

export function createProber(api: ContainerApi, clock: Clock): Prober {
  const places: Semaphore = createSemaphore(AT_ONCE);

  async function check(target: ProbeTarget, probe: ProbeModel): Promise<boolean> {
    const { check: kind, timeout } = probe;
    return places.run(async () => {
      if (kind.kind === "tcp") return tcpOpen(target.address, kind.port, timeout);
      if (kind.kind === "http") return httpGood(target.address, kind.port, kind.path, timeout);
      return api.exec(target.id, kind.command, timeout).catch(() => false);
    });
  }

  /** Running a program in a container costs a tenth of a second: not before its port answers, if it has one. */
  async function worthwhile(target: ProbeTarget, probe: ProbeModel): Promise<boolean> {
    const port = target.container.ports[0];
    if (probe.check.kind !== "exec" || port === undefined) return true;
    return tcpOpen(target.address, port, probe.timeout);
  }

  /** True once the startup probe has succeeded; false when its time is up. */
  async function startUp(target: ProbeTarget, probe: ProbeModel, signal: AbortSignal): Promise<boolean> {
    await clock.sleep(probe.initialDelay, signal);
    const until = clock.now().getTime() + probe.period * probe.failureThreshold;
    const began = clock.now().getTime();
    let pause = FIRST_DELAY;
    let asked = began;
    let open = probe.check.kind !== "exec";
    while (!signal.aborted) {
      const due = clock.now().getTime() - asked >= probe.period;
      if ((await worthwhile(target, probe)) || due) {
        if (!open) await clock.sleep(SETTLING, signal);
        open = true;
        asked = clock.now().getTime();
        if (await check(target, probe)) return true;
      }
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
    verdict: (good: boolean, failures: number) => void,
    first: "now" | "later",
  ): Promise<void> {
    let failures = 0;
    await clock.sleep(first === "now" ? probe.initialDelay : probe.initialDelay + probe.period * Math.random(), signal);
    while (!signal.aborted) {
      const good = await check(target, probe);
      if (signal.aborted) return;
      failures = good ? 0 : failures + 1;
      if (good || failures >= probe.failureThreshold) verdict(good, failures);
      // A pod that is not ready is asked more often: what waits for it should not wait for the period.
      const period =
        first === "now" && !good ? Math.min(probe.period, 100 * 2 ** Math.min(failures, 10)) : probe.period;
      await clock.sleep(period * (0.9 + 0.2 * Math.random()), signal);
    }
  }

  return {
    async watch(target, report, signal) {
      const { startup, liveness, readiness } = target.container;
      if (startup && !(await startUp(target, startup, signal))) {
        if (!signal.aborted) report.dead("the startup probe did not succeed in time");
        return;
      }
      if (signal.aborted) return;
      report.started();
      const loops: Promise<void>[] = [];
      if (readiness) loops.push(repeat(target, readiness, signal, (good) => report.ready(good), "now"));
      else report.ready(true);
      if (liveness) {
        const judge = (good: boolean, failures: number) => {
          if (!good) report.dead(`the liveness probe failed ${failures} times`);
        };
        loops.push(repeat(target, liveness, signal, judge, "later"));
      }
      await Promise.all(loops);
    },
  };
}
