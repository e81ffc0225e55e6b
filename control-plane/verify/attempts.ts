import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { lstat } from "node:fs/promises";
import { connect } from "node:net";
import type { ProbeTarget } from "./targets.ts";

/**
 * One attempt to reach a target, from where this runs. A refused connection (RST) counts as reached for TCP: the packet came through.
 */

const TIMEOUT_MS = 1500;

/**
 * Calls back when the time of an attempt is over. Not before what has happened meanwhile was looked at: on a machine that was busy
 * for so long, the timer comes first, and an answer that is there would count as none.
 */
function late(callback: () => void): { cancel(): void } {
  let turn: NodeJS.Immediate | undefined;
  const timer = setTimeout(() => {
    turn = setImmediate(callback);
  }, TIMEOUT_MS);
  return {
    cancel() {
      clearTimeout(timer);
      clearImmediate(turn);
    },
  };
}

export type Outcome = "reached" | "refused-by-target" | "blocked";

export function tryTcp(target: ProbeTarget): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = connect({ host: target.host, port: target.port });
    const settle = (outcome: Outcome): void => {
      socket.destroy();
      resolve(outcome);
    };
    const { cancel } = late(() => settle("blocked"));
    socket.once("close", cancel);
    socket.once("connect", () => settle("reached"));
    socket.once("error", (error: NodeJS.ErrnoException) =>
      settle(error.code === "ECONNREFUSED" ? "refused-by-target" : "blocked"),
    );
  });
}

/** A DNS question for the root's name servers: whatever answers anything may answer this. */
const QUESTION = Buffer.from("1234010000010000000000000000020001", "hex");

/** UDP shows that it arrived only by an answer or an ICMP error; silence counts as blocked. */
export function tryUdp(target: ProbeTarget): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    let settled = false;
    const settle = (outcome: Outcome): void => {
      if (settled) return;
      settled = true;
      cancel();
      socket.close();
      resolve(outcome);
    };
    const { cancel } = late(() => settle("blocked"));
    socket.once("message", () => settle("reached"));
    socket.once("error", (error: NodeJS.ErrnoException) =>
      settle(error.code === "ECONNREFUSED" ? "refused-by-target" : "blocked"),
    );
    socket.connect(target.port, target.host, ((error?: Error | null) => {
      // No route: nothing to send to, and the socket is not connected.
      if (error) settle("blocked");
      else socket.send(QUESTION);
    }) as () => void);
  });
}

export function tryName(target: ProbeTarget): Promise<Outcome> {
  return new Promise((resolve) => {
    const { cancel } = late(() => resolve("blocked"));
    const settle = (outcome: Outcome): void => {
      cancel();
      resolve(outcome);
    };
    lookup(target.host).then(
      () => settle("reached"),
      () => settle("blocked"),
    );
  });
}

/** A socket that can be seen is a hole, whether or not it may be opened; so is a directory that keeps us from looking. */
export async function tryUnix(target: ProbeTarget): Promise<Outcome> {
  try {
    await lstat(target.host);
    return "reached";
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "ENOENT" || code === "ENOTDIR" ? "blocked" : "refused-by-target";
  }
}
