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
const BACKUP_LATE = DAY;
const CERTIFICATE_SHORT_DAYS = 10;

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

/** One school as a row of the fleet table. A `!` behind a cell says that it needs eyes. */
export function fleetRow(tenant: Tenant, now: number): FleetRow {
  const ready = tenant.conditions.find((condition) => condition.type === "Ready");
  const newest = tenant.backup?.newest;
  const running = tenant.phase === "Ready" || tenant.phase === "Degraded";
  const late = running && tenant.backupEnabled && newest !== undefined && now - Date.parse(newest) > BACKUP_LATE;
  const days =
    tenant.certificate === undefined ? undefined : Math.floor((Date.parse(tenant.certificate.notAfter) - now) / DAY);
  const used =
    tenant.volume === undefined ? undefined : Math.floor((100 * tenant.volume.usedBytes) / tenant.volume.capacityBytes);
  const active = tenant.progress.find((step) => step.state === "Running");
  return {
    slug: tenant.slug,
    phase: tenant.phase,
    reason: printable(active?.name ?? ready?.reason ?? ""),
    since: age(ready?.lastTransitionTime ?? tenant.createdAt, now),
    backup: `${age(newest, now)}${late ? " !" : ""}`,
    certificate: days === undefined ? "none" : `${days} d${days < CERTIFICATE_SHORT_DAYS ? " !" : ""}`,
    volume: used === undefined ? "" : `${used} %${used >= 90 ? " !" : ""}`,
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

/** Lines of one school's page: its conditions and the steps under way. */
export function detailLines(tenant: Tenant, now: number, columns: number): readonly string[] {
  const cut = (line: string): string => (line.length > columns ? `${line.slice(0, columns - 1)}…` : line);
  const conditions = tenant.conditions.map((condition) => {
    const sign = condition.status === "True" ? "+" : condition.status === "False" ? "!" : "?";
    return cut(
      `${sign} ${condition.type.padEnd(17)} ${condition.reason.padEnd(18)} ${age(condition.lastTransitionTime, now).padEnd(7)} ${printable(condition.message)}`,
    );
  });
  const steps = tenant.progress.map((step) =>
    cut(`  ${step.state.padEnd(8)} ${step.name}${step.milliseconds === undefined ? "" : `  ${step.milliseconds} ms`}`),
  );
  return [
    cut(`${tenant.slug}  ${printable(tenant.displayName)}  ${tenant.url}`),
    cut(`Phase ${tenant.phase}, plan ${tenant.plan}, ${tenant.storage}`),
    "",
    ...conditions,
    ...(steps.length > 0 ? ["", "Under way:", ...steps] : []),
  ];
}
