import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { type Outcome, tryName, tryTcp, tryUdp, tryUnix } from "./attempts.ts";
import { KERNEL_CALLS, outcomeOf } from "./kernel-calls.ts";
import type { ProbeTarget } from "./targets.ts";

/**
 * Runs inside a school, in a pod of its own: tries each target and reports which could be reached. Bundled into the app's image as
 * /app/isolation-probe.mjs.
 */

const PARALLEL = 64;

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
