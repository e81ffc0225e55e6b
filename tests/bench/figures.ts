/** What the benchmark found out; printed with `--json` as it is. Times in milliseconds, memory in bytes. */
export interface Figures {
  readonly host: {
    readonly processors: number;
    readonly model: string;
    readonly kernel: string;
    /** Load average over one minute at the start and at the end: others may have been at work. */
    readonly load: readonly [before: number, after: number];
  };
  readonly school: {
    readonly rounds: number;
    readonly classmind: Spread;
    readonly bare: Spread;
    readonly bareEncrypted: Spread;
    /** Classmind's median to the bare script's. */
    readonly ratio: number;
    readonly ratioEncrypted: number;
    /** Median of each step that the platform reports, in the order they began. */
    readonly steps: ReadonlyArray<{ readonly name: string; readonly milliseconds: number }>;
  };
  readonly atOnce: { readonly schools: number; readonly wall: number; readonly each: readonly number[] };
  readonly memory: {
    readonly schools: number;
    /** Of the school's containers, with their monitors. */
    readonly perSchool: number;
    readonly database: number;
    readonly app: number;
    /** What the platform itself grew by for each school; as much the state of its garbage as the schools' doing. */
    readonly growth: number;
    readonly barePostgres: number;
    readonly bareNode: number;
    readonly ratio: number;
    /** Parts of the platform with no school running. */
    readonly platform: Readonly<Record<string, number>>;
  };
}

export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
  readonly all: readonly number[];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

export function spreadOf(values: readonly number[]): Spread {
  return { min: Math.min(...values), median: median(values), max: Math.max(...values), all: values.map(Math.round) };
}

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(2)} s`.padStart(9);
const mebibytes = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(1)} MiB`.padStart(11);

function row(title: string, ...cells: readonly string[]): string {
  return `  ${title.padEnd(46)}${cells.join("")}`;
}

function spreadRow(title: string, spread: Spread): string {
  return row(title, seconds(spread.min), seconds(spread.median), seconds(spread.max));
}

/** The figures as a table for people. */
export function tableOf({ host, school, atOnce, memory }: Figures): string {
  const platform = Object.entries(memory.platform);
  const whole = platform.reduce((sum, [, bytes]) => sum + bytes, 0);
  return [
    `${host.processors} × ${host.model}, Linux ${host.kernel}; load ${host.load.map((load) => load.toFixed(1)).join(" → ")}`,
    "",
    row(`Time to school, ${school.rounds} rounds, interleaved`, "      min", "   median", "      max"),
    spreadRow("classmind tenant create (whole process)", school.classmind),
    spreadRow("bare script (no encryption, TLS, firewall, admin)", school.bare),
    spreadRow("bare script on an encrypted volume", school.bareEncrypted),
    row("ratio to the bare script", `${school.ratio.toFixed(2)} ×`.padStart(18)),
    row("ratio to the bare script on an encrypted volume", `${school.ratioEncrypted.toFixed(2)} ×`.padStart(18)),
    ...school.steps.map((step) => row(`    ${step.name}`, " ".repeat(9), seconds(step.milliseconds))),
    "",
    row(`${atOnce.schools} schools at once`, "      min", "   median", "      max"),
    row("until all are there", " ".repeat(18), seconds(atOnce.wall)),
    spreadRow("each", spreadOf(atOnce.each)),
    "",
    `Memory (PSS), idle, ${memory.schools} schools`,
    row("each school", mebibytes(memory.perSchool)),
    row("    its database", mebibytes(memory.database)),
    row("    its app", mebibytes(memory.app)),
    row("what the platform grew by for each", mebibytes(memory.growth)),
    row("bare PostgreSQL, as initdb leaves it", mebibytes(memory.barePostgres)),
    row("bare Node HTTP server", mebibytes(memory.bareNode)),
    row("ratio to both", `${memory.ratio.toFixed(2)} ×`.padStart(11)),
    row("the platform itself, without schools", mebibytes(whole)),
    ...platform.map(([name, bytes]) => row(`    ${name}`, mebibytes(bytes))),
    "",
  ].join("\n");
}
