import { spawn } from "node:child_process";
import { once } from "node:events";
import { availableParallelism, cpus, loadavg, release } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { bareSchool, removeBarePairs, startBarePairs } from "./bare.ts";
import { type Figures, median, spreadOf, tableOf } from "./figures.ts";
import { type Memory, measureMemory, sumOf } from "./memory.ts";
import { type BenchPlatform, withPlatform } from "./platform.ts";

/**
 * `npm run bench`: how fast a school comes to be and what it costs, against the same done by hand, in one run on one host.
 * Then what the pages of a school cost, and a school that signs in at once (pages.ts). Ends with 0 however slow it was; anything else is an error.
 */
const { values: options } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    rounds: { type: "string", default: "7" },
    schools: { type: "string", default: "10" },
  },
});
const rounds = Number(options.rounds);
const schools = Number(options.schools);
if (!(rounds >= 1 && schools >= 1 && schools <= 100)) throw new Error("--rounds and --schools are small whole numbers");

/** Idle is when connections without work are closed and memory of the start is given back. */
const IDLE_MS = 45_000;

const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => interrupted.abort(new Error("interrupted")));
}
const { signal } = interrupted;
const say = (message: string) => void process.stderr.write(`bench: ${message}\n`);
const inSeconds = (milliseconds: number) => `${(milliseconds / 1000).toFixed(2)} s`;

interface Created {
  readonly phase: string;
  readonly steps: ReadonlyArray<{ readonly name: string; readonly milliseconds: number }>;
}

async function createSchool(platform: BenchPlatform, slug: string): Promise<Created & { readonly wall: number }> {
  const args = ["tenant", "create", slug, "--name", `Schule ${slug}`, "--contract", `V-${slug}`, "-o", "json"];
  const { stdout, milliseconds } = await platform.classmind(...args);
  const created = JSON.parse(stdout) as Created;
  if (created.phase !== "Ready") throw new Error(`${slug} is ${created.phase}`);
  return { ...created, wall: milliseconds };
}

async function timeToSchool(platform: BenchPlatform): Promise<Figures["school"]> {
  const classmind: number[] = [];
  const bare: number[] = [];
  const bareEncrypted: number[] = [];
  const steps = new Map<string, number[]>();
  const one = {
    async classmind(round: number) {
      const slug = `runde${round}`;
      const { wall, steps: taken } = await createSchool(platform, slug);
      classmind.push(wall);
      for (const step of taken) steps.set(step.name, [...(steps.get(step.name) ?? []), step.milliseconds]);
      await platform.openLoginPage(slug);
      await platform.untilQuiet([slug]);
      await platform.purge(slug);
    },
    bare: async () => void bare.push(await bareSchool(platform, false, signal)),
    bareEncrypted: async () => void bareEncrypted.push(await bareSchool(platform, true, signal)),
  };
  const order = ["bare", "classmind", "bareEncrypted"] as const;
  // The first of each warms the host's caches and does not count.
  for (let round = 0; round <= rounds; round += 1) {
    for (const which of round % 2 === 0 ? order : order.toReversed()) {
      await one[which](round);
      await sleep(1_000, undefined, { signal });
    }
    if (round === 0) for (const times of [classmind, bare, bareEncrypted]) times.length = 0;
    if (round === 0) steps.clear();
    const latest = [classmind, bare, bareEncrypted].map((times) => inSeconds(times.at(-1) ?? 0));
    if (round > 0) say(`round ${round}: classmind ${latest[0]}, bare ${latest[1]}, bare and encrypted ${latest[2]}`);
  }
  const spreads = { classmind: spreadOf(classmind), bare: spreadOf(bare), bareEncrypted: spreadOf(bareEncrypted) };
  return {
    rounds,
    ...spreads,
    ratio: spreads.classmind.median / spreads.bare.median,
    ratioEncrypted: spreads.classmind.median / spreads.bareEncrypted.median,
    steps: [...steps].map(([name, times]) => ({ name, milliseconds: median(times) })),
  };
}

async function allAtOnce(platform: BenchPlatform, slugs: readonly string[]): Promise<Figures["atOnce"]> {
  const started = performance.now();
  const each = await Promise.all(slugs.map(async (slug) => (await createSchool(platform, slug)).wall));
  const wall = performance.now() - started;
  for (const slug of slugs) await platform.openLoginPage(slug);
  say(`${slugs.length} schools at once: ${inSeconds(wall)}`);
  return { schools: slugs.length, wall, each: each.map(Math.round) };
}

/** What of the platform runs outside containers: the supervisor and what it started. */
function partOf({ instance }: BenchPlatform): Parameters<typeof measureMemory>[0] {
  const isSupervisor = (words: readonly string[]) =>
    words.some((word) => word.endsWith("/supervisor-main.mjs")) && words.includes(instance.name);
  return (words, parent) => {
    if (isSupervisor(words)) return "supervisor";
    if (!isSupervisor(parent)) return undefined;
    return words.some((word) => word.endsWith("/reconciler.mjs")) ? "reconciler" : "container engine";
  };
}

function platformParts(platform: BenchPlatform, memory: Memory): Record<string, number> {
  const parts = Object.fromEntries(memory.others);
  for (const name of ["database", "gateway", "api"])
    parts[name] = sumOf(memory, `${platform.instance.name}-platform-${name}`);
  return parts;
}

async function idleMemory(platform: BenchPlatform): Promise<Memory> {
  await sleep(IDLE_MS, undefined, { signal });
  return measureMemory(partOf(platform));
}

async function measureMemoryPerSchool(
  platform: BenchPlatform,
  slugs: readonly string[],
  before: Memory,
): Promise<Figures["memory"]> {
  const { name } = platform.instance;
  const own = (memory: Memory) => Object.values(platformParts(platform, memory)).reduce((sum, bytes) => sum + bytes, 0);
  const count = slugs.length;
  const full = await idleMemory(platform);
  const perPart = (part: string) =>
    slugs.reduce((sum, slug) => sum + sumOf(full, `${name}-school-${slug}-${part}`), 0) / count;
  for (const slug of slugs) await platform.purge(slug);
  say(`${count} bare pairs of PostgreSQL and Node`);
  await startBarePairs(platform, count);
  const bare = await idleMemory(platform);
  await removeBarePairs(platform);
  const numbers = slugs.map((_, index) => index + 1);
  const barePart = (part: string) =>
    numbers.reduce((sum, number) => sum + sumOf(bare, `${name}-bare-${number}-${part}`), 0) / count;
  const [database, app] = [perPart("db"), perPart("app")];
  const perSchool = database + app;
  const [barePostgres, bareNode] = [barePart("db"), barePart("app")];
  return {
    schools: count,
    perSchool,
    database,
    app,
    growth: (own(full) - own(before)) / count,
    barePostgres,
    bareNode,
    ratio: perSchool / (barePostgres + bareNode),
    platform: platformParts(platform, before),
  };
}

async function measure(platform: BenchPlatform): Promise<Figures> {
  const loadBefore = loadavg()[0] ?? 0;
  const school = await timeToSchool(platform);
  say("memory of the platform without schools");
  const before = await idleMemory(platform);
  const slugs = Array.from({ length: schools }, (_, index) => `zugleich${index + 1}`);
  const atOnce = await allAtOnce(platform, slugs);
  say(`memory of ${schools} idle schools, once their first backups are done`);
  await platform.untilQuiet(slugs);
  const memory = await measureMemoryPerSchool(platform, slugs, before);
  return {
    host: {
      processors: availableParallelism(),
      model: cpus()[0]?.model.trim() ?? "unknown processor",
      kernel: release(),
      load: [loadBefore, loadavg()[0] ?? 0],
    },
    school,
    atOnce,
    memory,
  };
}

/** `npm run bench:pages`, in a process of its own. */
async function measurePages(): Promise<void> {
  const program = path.join(import.meta.dirname, "pages.ts");
  const [code] = await once(
    spawn(process.execPath, [...process.execArgv, program], { stdio: "inherit", signal }),
    "exit",
  );
  if (code !== 0) throw new Error(`the measurement of pages ended with ${code}`);
}

try {
  const figures = await withPlatform(signal, say, measure);
  process.stdout.write(options.json ? `${JSON.stringify(figures, null, 2)}\n` : tableOf(figures));
  // What pages cost is measured on a database of its own, once nothing else runs.
  if (!options.json) await measurePages();
} catch (error) {
  say(signal.aborted ? "interrupted" : error instanceof Error ? error.message : String(error));
  process.exitCode = signal.aborted ? 130 : 1;
}
