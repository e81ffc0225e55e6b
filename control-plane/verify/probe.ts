import { execFile } from "node:child_process";
import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { KERNEL_CALLS, outcomeOf } from "./kernel-calls.ts";
import type { ProbeTarget } from "./targets.ts";

/**
 * Runs inside a school, in a pod of its own: tries each target and reports which could be reached. A refused connection
 * (RST) counts as reached for TCP: the packet came through. Bundled into the app's image as /app/isolation-probe.mjs.
 */

const TIMEOUT_MS = 1500;
const PARALLEL = 64;

type Outcome = "reached" | "refused-by-target" | "blocked";

function tryTcp(target: ProbeTarget): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = connect({ host: target.host, port: target.port });
    const settle = (outcome: Outcome): void => {
      socket.destroy();
      resolve(outcome);
    };
    socket.setTimeout(TIMEOUT_MS, () => settle("blocked"));
    socket.once("connect", () => settle("reached"));
    socket.once("error", (error: NodeJS.ErrnoException) =>
      settle(error.code === "ECONNREFUSED" ? "refused-by-target" : "blocked"),
    );
  });
}

/** A DNS question for the root's name servers: whatever answers anything may answer this. */
const QUESTION = Buffer.from("1234010000010000000000000000020001", "hex");

/** UDP shows that it arrived only by an answer or an ICMP error; silence counts as blocked. */
function tryUdp(target: ProbeTarget): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    let settled = false;
    const settle = (outcome: Outcome): void => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      socket.close();
      resolve(outcome);
    };
    const timer = setTimeout(() => settle("blocked"), TIMEOUT_MS);
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

async function tryName(target: ProbeTarget): Promise<Outcome> {
  const timeout = new Promise<Outcome>((resolve) => setTimeout(() => resolve("blocked"), TIMEOUT_MS).unref());
  const resolved = lookup(target.host).then(
    (): Outcome => "reached",
    (): Outcome => "blocked",
  );
  return Promise.race([resolved, timeout]);
}

/** A socket that can be seen is a hole, whether or not it may be opened. */
function tryUnix(target: ProbeTarget): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = connect({ path: target.host });
    const settle = (outcome: Outcome): void => {
      socket.destroy();
      resolve(outcome);
    };
    socket.setTimeout(TIMEOUT_MS, () => settle("reached"));
    socket.once("connect", () => settle("reached"));
    socket.once("error", (error: NodeJS.ErrnoException) =>
      settle(error.code === "ENOENT" ? "blocked" : "refused-by-target"),
    );
  });
}

/** Every Debian has a Perl, and it can make any call of the kernel. One that comes back twice (clone) ends in its child at once. */
const CALL = `
my $me = $$;
my ($number, @arguments) = map { $_ + 0 } @ARGV;
my $result = syscall($number, @arguments);
kill 9, $$ if $$ != $me;
print $result, " ", $! + 0;
`;

/** In a process of its own, which ends with whatever it got. Not waited for in line: others' answers are timed. */
function tryCall(target: ProbeTarget): Promise<Outcome> {
  const call = KERNEL_CALLS.find(({ name }) => name === target.host);
  if (call === undefined) throw new Error(`the probe knows no call ${target.host}`);
  const number = process.arch === "arm64" ? call.numbers.arm64 : call.numbers.x64;
  return new Promise((resolve, reject) => {
    execFile("perl", ["-e", CALL, "--", String(number), ...call.args.map(String)], (error, stdout) => {
      const [result, errno] = stdout.split(" ").map(Number);
      // Ended for the attempt itself.
      if (error?.signal === "SIGSYS") resolve("blocked");
      else if (error !== null || result === undefined || errno === undefined)
        reject(new Error(`${call.name} could not be tried: ${error?.message ?? stdout}`));
      else resolve(outcomeOf(call, result, errno));
    });
  });
}

const TRY = { tcp: tryTcp, udp: tryUdp, dns: tryName, unix: tryUnix, call: tryCall } as const;

async function main(): Promise<void> {
  const input = JSON.parse(readFileSync("/run/job/input.json", "utf8")) as { readonly targets: readonly ProbeTarget[] };
  const queue = [...input.targets];
  const results: Array<ProbeTarget & { readonly outcome: Outcome }> = [];
  const worker = async (): Promise<void> => {
    for (let target = queue.shift(); target !== undefined; target = queue.shift()) {
      results.push({ ...target, outcome: await TRY[target.protocol](target) });
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  process.stdout.write(
    JSON.stringify({ tried: results.length, holes: results.filter((result) => result.outcome !== "blocked") }),
  );
}

await main();
process.exit(0);
