import { hashManifest } from "../../render/hash.ts";
import { EngineError, type JobResult, type JobRun } from "../engine.ts";
import type { EngineContext } from "./context.ts";
import { createMutex } from "./mutex.ts";
import { LABEL } from "./names.ts";
import { claimsFor, labelsOf, objectsOf, readNamespace } from "./namespace.ts";
import { preparePod, removePods, userOf } from "./pods.ts";
import type { Placed } from "./translate/policies.ts";
import { type JobModel, jobOf } from "./translate/translate.ts";

/** Runs one-off pods. */
export interface JobRunner {
  run(namespace: string, job: JobRun): Promise<JobResult>;
  /** Jobs that run now, with their addresses: part of the firewall's rules. */
  placed(namespace: string): readonly Placed[];
  /** Removes what jobs of a dead caller left, if they have ended. */
  sweep(): Promise<void>;
}

/** A job's output is a JSON document, not a file transfer. */
const MOST_OUTPUT = 16 * 1024 * 1024;
const TAIL_LINES = 50;
const LONGEST_LINE = 8_192;

/** Name of the Secret that carries a job's input, as the chart's jobs mount it. */
function inputSecret(job: JobModel): string {
  return `${job.name}-input`;
}

function parseOutput(text: string): unknown {
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Splits a stream into lines, each at most LONGEST_LINE characters. */
function lines(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let rest = "";
  stream.on("data", (chunk: Buffer) => {
    const parts = (rest + chunk.toString("utf8")).split("\n");
    rest = (parts.pop() ?? "").slice(0, LONGEST_LINE);
    for (const line of parts) onLine(line.slice(0, LONGEST_LINE));
  });
  stream.on("end", () => {
    if (rest !== "") onLine(rest);
    rest = "";
  });
}

export function createJobRunner(context: EngineContext, loadFirewall: (namespace: string) => Promise<void>): JobRunner {
  const mutex = createMutex();
  const placements = new Map<string, Map<string, Placed>>();

  function placed(namespace: string): readonly Placed[] {
    return [...(placements.get(namespace)?.values() ?? [])];
  }

  /** Draws an address no other job has. Synchronous between reading and taking, so two jobs never draw the same. */
  async function place(namespace: string, job: JobModel): Promise<string> {
    const free = await context.networks.freeAddresses(namespace);
    const others = await context.api.list(labelsOf(context, namespace));
    const mine = placements.get(namespace) ?? new Map<string, Placed>();
    placements.set(namespace, mine);
    const taken = new Set([...mine.values()].map((entry) => entry.address));
    for (const other of others) {
      if (other.labels[LABEL.workload]?.startsWith("Job/")) taken.add(other.labels[LABEL.address] ?? "");
    }
    const address = free.find((candidate) => !taken.has(candidate));
    if (address === undefined) throw new EngineError("AddressesExhausted", "too many jobs run in this school at once");
    mine.set(job.name, { address, labels: job.pod.labels });
    return address;
  }

  async function execute(id: string, job: JobModel, run: JobRun): Promise<JobResult> {
    const output = await context.api.attach(id);
    const logTail: string[] = [];
    const stdout: Buffer[] = [];
    let size = 0;
    lines(output.stderr, (line) => {
      logTail.push(line);
      if (logTail.length > TAIL_LINES) logTail.shift();
      run.onLog?.(line);
    });
    output.stdout.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size <= MOST_OUTPUT) stdout.push(chunk);
    });
    const limit = new AbortController();
    const stop = () => limit.abort();
    run.signal?.addEventListener("abort", stop, { once: true });
    try {
      await context.api.start(id);
      const deadline = Math.min(run.deadline, job.activeDeadlineSeconds * 1000);
      const outcome = await Promise.race([
        output.ended.then(() => "ended" as const),
        context.clock.sleep(deadline, limit.signal).then(() => "late" as const),
      ]);
      if (run.signal?.aborted) throw new EngineError("JobAborted", `job ${job.name} was called off`);
      if (outcome === "late") {
        throw new EngineError("JobDeadline", `job ${job.name} did not end within ${Math.round(deadline / 1000)} s`);
      }
      const exit = await context.api.finalExit(id);
      if (exit === undefined || exit.running) throw new EngineError("JobLost", `job ${job.name} was lost`);
      if (exit.outOfMemory) logTail.push("the job ran out of memory");
      if (size > MOST_OUTPUT)
        throw new EngineError("JobOutput", `job ${job.name} wrote more than ${MOST_OUTPUT} bytes`);
      return { exitCode: exit.exitCode, output: parseOutput(Buffer.concat(stdout).toString("utf8")), logTail };
    } finally {
      run.signal?.removeEventListener("abort", stop);
      limit.abort();
    }
  }

  async function runOne(namespace: string, run: JobRun): Promise<JobResult> {
    const job = jobOf(namespace, run.manifest);
    if (run.signal?.aborted) throw new EngineError("JobAborted", `job ${job.name} was called off`);
    const workload = { kind: "Job", name: job.name };
    const state = await readNamespace(context, namespace);
    if (objectsOf(state, "Namespace").length === 0) {
      throw new EngineError("NamespaceMissing", `there is no namespace ${namespace}`);
    }
    const hash = hashManifest(run.manifest);
    const signal = run.signal ?? new AbortController().signal;
    const claims = claimsFor(state, job.pod);
    try {
      await removePods(context, namespace, workload, 0);
      const input = Buffer.from(JSON.stringify(run.input ?? null)).toString("base64");
      const address = await place(namespace, job);
      const request = { state, workload, pod: job.pod, hash, address, restarts: 0, signal };
      const firewall = loadFirewall(namespace);
      await context.secrets.write(namespace, inputSecret(job), { "input.json": input }, hash);
      const maker = await preparePod(context, request);
      const [, id] = await Promise.all([firewall, maker.create(job.pod.main, "main")]);
      return await execute(id, job, run);
    } finally {
      await removePods(context, namespace, workload, 0);
      await context.secrets.remove(namespace, inputSecret(job));
      placements.get(namespace)?.delete(job.name);
      await context.claims.release(userOf(workload), claims);
      await loadFirewall(namespace);
    }
  }

  return {
    placed,
    run: (namespace, job) => mutex.run(`${namespace}/${job.manifest.metadata.name}`, () => runOne(namespace, job)),
    async sweep() {
      const containers = await context.api.list({ [LABEL.instance]: context.instance.name });
      for (const container of containers) {
        if (container.labels[LABEL.workload]?.startsWith("Job/") && !container.running) {
          await context.api.remove(container.id);
        }
      }
    },
  };
}
