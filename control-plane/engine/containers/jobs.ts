import { randomUUID } from "node:crypto";
import { hashManifest } from "../../render/hash.ts";
import { EngineError, type JobResult, type JobRun } from "../engine.ts";
import type { EngineContext } from "./context.ts";
import { createMutex } from "./mutex.ts";
import { LABEL } from "./names.ts";
import { claimsFor, labelsOf, type NamespaceState, objectsOf, readNamespace } from "./namespace.ts";
import { preparePod, removePods, userOf } from "./pods.ts";
import type { Placed } from "./translate/policies.ts";
import { type Accepted, type JobModel, jobOf, REPOSITORY } from "./translate/translate.ts";
import { waysOut } from "./ways-out.ts";

/** Runs one-off pods. */
export interface JobRunner {
  run(namespace: string, job: JobRun): Promise<JobResult>;
  /** Jobs that run now, with their addresses: part of the firewall's rules. */
  placed(namespace: string): readonly Placed[];
  /** Removes what jobs of a dead caller left, running or not: nobody waits for them, and their work is begun again. */
  sweep(): Promise<void>;
}

/** A job's output is a JSON document, not a file transfer. */
const MOST_OUTPUT = 16 * 1024 * 1024;
const TAIL_LINES = 50;
const LONGEST_LINE = 8_192;
/** How long the rest of an ended job's output may be on its way. */
const LAST_WORDS_MS = 5_000;

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

  /** @param openWays opens the ways out, once the container has its network and before anything of it runs */
  async function execute(id: string, job: JobModel, run: JobRun, openWays: () => Promise<void>): Promise<JobResult> {
    const output = await context.api.attach(id);
    await openWays();
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
        // Without this, a stream that nobody closes would hold the school until the deadline, for hours.
        context.api.ended(id).then(
          () => context.clock.sleep(LAST_WORDS_MS, limit.signal).then(() => "ended" as const),
          () => new Promise<never>(() => undefined),
        ),
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

  /** The namespace as the job sees it: with the claim of another one's backups in place of its own. */
  async function borrowRepository(own: NamespaceState, lender: string): Promise<NamespaceState> {
    const isRepository = (object: Accepted) =>
      object.kind === "PersistentVolumeClaim" && object.metadata.name === REPOSITORY;
    const lent = (await readNamespace(context, lender)).objects.find(isRepository);
    if (lent?.kind !== "PersistentVolumeClaim" || lent.spec.storageClassName !== "classmind-repository") {
      throw new EngineError("RepositoryMissing", `${lender} has no backups on this machine`, { retryable: false });
    }
    return { ...own, objects: [...own.objects.filter((object) => !isRepository(object)), lent] };
  }

  async function runOne(namespace: string, run: JobRun): Promise<JobResult> {
    const job = jobOf(namespace, run.manifest);
    if (run.signal?.aborted) throw new EngineError("JobAborted", `job ${job.name} was called off`);
    const workload = { kind: "Job", name: job.name };
    const own = await readNamespace(context, namespace);
    if (objectsOf(own, "Namespace").length === 0) {
      throw new EngineError("NamespaceMissing", `there is no namespace ${namespace}`);
    }
    const state = job.repositoryOf === undefined ? own : await borrowRepository(own, job.repositoryOf);
    const hash = hashManifest(run.manifest);
    const signal = run.signal ?? new AbortController().signal;
    const claims = claimsFor(state, job.pod);
    const { gateway } = await context.networks.ensure(namespace);
    const { targets } = waysOut(state, `Job/${job.name}`, job.pod, gateway);
    let closeRelays: () => void = () => undefined;
    let container: string | undefined;
    // Tells this run's input from that of a successor, which may take the job's name while this one is being ended.
    const token = randomUUID();
    try {
      await removePods(context, namespace, workload, 0);
      const input = Buffer.from(JSON.stringify(run.input ?? null)).toString("base64");
      const address = await place(namespace, job);
      const request = { state, workload, pod: job.pod, hash, address, restarts: 0, signal };
      const firewall = loadFirewall(namespace);
      await context.secrets.write(namespace, inputSecret(job), { "input.json": input }, token);
      const maker = await preparePod(context, request);
      const [, id] = await Promise.all([firewall, maker.create(job.pod.main, "main")]);
      container = id;
      return await execute(id, job, run, async () => {
        // The host's side of the bridge is there as long as a container is: the job's own may be the only one.
        closeRelays = await context.relays.open(gateway, address, targets);
      });
    } finally {
      closeRelays();
      placements.get(namespace)?.delete(job.name);
      if (container !== undefined) await context.api.remove(container);
      if ((await context.secrets.hash(namespace, inputSecret(job))) === token) {
        await removePods(context, namespace, workload, 0);
        await context.secrets.remove(namespace, inputSecret(job));
        await context.claims.release(userOf(workload), claims);
      }
      await loadFirewall(namespace);
    }
  }

  return {
    placed,
    run: (namespace, job) => mutex.run(`${namespace}/${job.manifest.metadata.name}`, () => runOne(namespace, job)),
    async sweep() {
      const containers = await context.api.list({ [LABEL.instance]: context.instance.name });
      for (const container of containers) {
        if (container.labels[LABEL.workload]?.startsWith("Job/")) await context.api.remove(container.id);
      }
    },
  };
}
