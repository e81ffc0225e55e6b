import { printable, span } from "../output.ts";
import type { Tenant } from "../types.ts";

/** What the dashboard shows, as plain text: pure, so that tests need no terminal. */

export interface FleetRow {
  readonly slug: string;
  readonly phase: string;
  readonly reason: string;
  readonly since: string;
  readonly backup: string;
  readonly certificate: string;
  readonly volume: string;
  /** How loud: decides sign and colour. The sign is always there, the colour may not be. */
  readonly level: "good" | "busy" | "bad" | "off";
}

const DAY = 86_400_000;

const LEVEL_OF_PHASE: Readonly<Record<string, FleetRow["level"]>> = {
  Ready: "good",
  Pending: "busy",
  Provisioning: "busy",
  Purging: "busy",
  Degraded: "bad",
  Failed: "bad",
  Suspended: "off",
  Deleted: "off",
};

export const SIGNS: Readonly<Record<FleetRow["level"], string>> = { good: "+", busy: "~", bad: "!", off: "-" };

function age(time: string | undefined, now: number): string {
  return time === undefined ? "none" : span(now - Date.parse(time));
}

/** A `!` for the cell of a condition that does not hold: what is well and what is not, the platform alone judges. */
function mark({ conditions }: Pick<Tenant, "conditions">, type: string): string {
  return conditions.find((condition) => condition.type === type)?.status === "False" ? " !" : "";
}

/** One school as a row of the fleet table. A `!` behind a cell says that it needs eyes. */
export function fleetRow(tenant: Tenant, now: number): FleetRow {
  const ready = tenant.conditions.find((condition) => condition.type === "Ready");
  const newest = tenant.backup?.newest;
  const days =
    tenant.certificate === undefined ? undefined : Math.floor((Date.parse(tenant.certificate.notAfter) - now) / DAY);
  const used =
    tenant.volume === undefined || tenant.volume.capacityBytes <= 0
      ? undefined
      : Math.floor((100 * tenant.volume.usedBytes) / tenant.volume.capacityBytes);
  const active = tenant.progress.find((step) => step.state === "Running");
  return {
    slug: tenant.slug,
    phase: tenant.phase,
    reason: printable(active?.name ?? ready?.reason ?? ""),
    since: age(ready?.lastTransitionTime ?? tenant.createdAt, now),
    backup: `${age(newest, now)}${tenant.backupEnabled ? mark(tenant, "BackupRecent") : ""}`,
    certificate: `${days === undefined ? "none" : `${days} d`}${mark(tenant, "CertificateReady")}`,
    volume: `${used === undefined ? "" : `${used} %`}${mark(tenant, "VolumeReady")}`.trim(),
    level: LEVEL_OF_PHASE[tenant.phase] ?? "busy",
  };
}

const WIDTHS = { phase: 12, since: 7, backup: 8, certificate: 6, volume: 6 } as const;
const GAPS = 8;

/** Widths of the two columns that give way, for a terminal of so many columns. */
export function flexibleWidths(columns: number): { readonly slug: number; readonly reason: number } {
  const fixed = Object.values(WIDTHS).reduce((sum, width) => sum + width, 0) + GAPS;
  const left = Math.max(20, columns - fixed);
  const slug = Math.min(30, Math.floor(left * 0.5));
  return { slug, reason: left - slug };
}

function pad(text: string, width: number): string {
  return (text.length > width ? `${text.slice(0, width - 1)}…` : text).padEnd(width);
}

/** A row as one line of exactly so many columns at the most. */
export function fleetLine(
  row: Omit<FleetRow, "level"> & { readonly level?: FleetRow["level"] },
  columns: number,
): string {
  const { slug, reason } = flexibleWidths(columns);
  const sign = row.level === undefined ? " " : SIGNS[row.level];
  const cells = [
    pad(row.slug, slug),
    pad(row.phase, WIDTHS.phase),
    pad(row.reason, reason),
    pad(row.since, WIDTHS.since),
    pad(row.backup, WIDTHS.backup),
    pad(row.certificate, WIDTHS.certificate),
    pad(row.volume, WIDTHS.volume),
  ];
  return `${sign} ${cells.join(" ")}`.slice(0, columns).trimEnd();
}

export const HEADER = {
  slug: "SCHOOL",
  phase: "PHASE",
  reason: "REASON",
  since: "SINCE",
  backup: "BACKUP",
  certificate: "CERT",
  volume: "DISK",
} as const;

/** A line of one school's page. */
export interface Line {
  readonly text: string;
  readonly level: FleetRow["level"];
}

const CONDITION_LEVELS = {
  True: { sign: "+", level: "good" },
  False: { sign: "!", level: "bad" },
  Unknown: { sign: "?", level: "busy" },
} as const;

/** Text in lines of at most `width`, broken at spaces where there are some. */
export function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ").flatMap((each) => each.match(new RegExp(`.{1,${width}}`, "gu")) ?? [])) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return line === "" ? lines : [...lines, line];
}

/** A condition as one line, and below it, whole, what it says when it does not hold. */
function conditionLines(condition: Tenant["conditions"][number], now: number, columns: number): readonly Line[] {
  const { sign, level } = CONDITION_LEVELS[condition.status];
  const head = `${sign} ${condition.type.padEnd(16)} ${condition.reason.padEnd(22)} ${age(condition.lastTransitionTime, now)}`;
  const message = condition.status === "True" ? [] : wrap(printable(condition.message), columns - 4);
  return [{ text: head, level }, ...message.map((text) => ({ text: `    ${text}`, level }))];
}

function date(time: string | undefined): string {
  return time === undefined ? "none" : `${time.slice(0, 16).replace("T", " ")}Z`;
}

/** Lines of one school's page: what it is, its conditions, and the steps under way. */
export function detailLines(tenant: Tenant, now: number, columns: number): readonly Line[] {
  const row = fleetRow(tenant, now);
  const plain = (text: string): Line => ({ text: text.slice(0, columns), level: "good" });
  const steps = tenant.progress.map((step): Line => {
    const time = step.milliseconds === undefined ? "" : `  ${step.milliseconds} ms`;
    const level = step.state === "Failed" ? "bad" : step.state === "Running" ? "busy" : "good";
    return { text: `  ${step.state.padEnd(8)} ${printable(step.name)}${time}`.slice(0, columns), level };
  });
  return [
    plain(`${tenant.slug}  ${printable(tenant.displayName)}`),
    plain(tenant.url),
    {
      text: `${SIGNS[row.level]} ${tenant.phase} since ${row.since}   plan ${tenant.plan}, ${tenant.storage}`,
      level: row.level,
    },
    plain(
      `Volume ${row.volume || "unknown"}   certificate ${row.certificate}   newest backup ${date(tenant.backup?.newest)}`,
    ),
    plain(""),
    ...tenant.conditions.flatMap((condition) => conditionLines(condition, now, columns)),
    ...(steps.length > 0 ? [plain(""), plain("Under way:"), ...steps] : []),
  ];
}

/** That a rollout has halted, as the schools of the page say it; undefined if none does. */
export function haltedLine(tenants: readonly Tenant[]): string | undefined {
  const school = tenants.find(({ conditions }) =>
    conditions.some(({ type, reason }) => type === "VersionCurrent" && reason === "RolloutHalted"),
  );
  return school === undefined
    ? undefined
    : `! RolloutHalted on ${school.engine}: a new version is not well. See: classmind app rollout status`;
}

/** The first line: which platform, which page, what is searched, whether what is shown is live. */
export function titleLine(
  title: string,
  state: { readonly page: number; readonly hasNext: boolean; readonly search: string; readonly connected: boolean },
  columns: number,
): string {
  const search = state.search === "" ? "" : `  search "${printable(state.search)}"`;
  const line = state.connected ? "live" : "not connected";
  return `${title}  page ${state.page + 1}${state.hasNext ? "+" : ""}${search}  ${line}`.slice(0, columns);
}
