import { ClassmindError } from "../../errors.ts";
import { type Candidate, place } from "../../placement.ts";
import type { BackupSize } from "../../store/backups.ts";
import { holdEngines, type RegisteredEngine, unmetOf } from "../../store/engines.ts";
import { type OperationKind, openOperations } from "../../store/operations.ts";
import type { Queryable } from "../../store/queryable.ts";
import { promisedBytes, readRoom } from "../../store/room.ts";
import type { StoredTenant } from "../../store/tenants.ts";
import type { TenantSpec } from "../../tenant.ts";

/** What several routes check before any effect. */

/** @throws ClassmindError `PreconditionFailed` unless the school's name is repeated */
export function checkConfirmation(slug: string, confirm: string): void {
  if (confirm === slug) return;
  throw new ClassmindError("PreconditionFailed", "The confirmation does not repeat the school's name.", {
    field: "confirm",
    remedy: `Send confirm: "${slug}".`,
  });
}

/** @throws ClassmindError `PreconditionFailed` when the school is deleted or, if it has to run, suspended */
export function refuseUnless(tenant: StoredTenant, running: boolean): void {
  if (tenant.deletion === undefined && (!running || !tenant.spec.suspended)) return;
  throw new ClassmindError("PreconditionFailed", `The school ${tenant.slug} is not running.`, {
    field: "slug",
    remedy: `Start it first: classmind tenant ${tenant.deletion === undefined ? "resume" : "undelete"} ${tenant.slug}`,
  });
}

/** @throws ClassmindError `Conflict` while there is work on the school that would take away what the other needs */
export async function refuseBeside(
  db: Queryable,
  tenant: StoredTenant,
  kinds: readonly OperationKind[],
): Promise<void> {
  const open = await openOperations(db, tenant.uid);
  const [first] = open.filter(({ kind }) => kinds.includes(kind));
  if (first === undefined) return;
  throw new ClassmindError("Conflict", `${tenant.slug} has work of this kind under way already (${first.kind}).`, {
    field: "slug",
    remedy: `Look at it: classmind tenant get ${tenant.slug}`,
  });
}

const GIBI = 1024 ** 3;
/** What a machine needs for itself: databases that write, images, backups on the same disk. */
const RESERVED = 0.05;

const inGibi = (bytes: number): string => `${(bytes / GIBI).toFixed(1)} GiB`;

/**
 * Refuses volumes that would not fit on an engine's storage, by what is free there and what is promised to schools already.
 * @param bytes that are asked for on top
 * @throws ClassmindError `PreconditionFailed` with the numbers; never where the engine's storage does not tell
 */
export async function checkRoom(db: Queryable, engine: string, bytes: number, overcommit: boolean): Promise<void> {
  if (bytes <= 0 || overcommit) return;
  const room = await readRoom(db, engine);
  if (room === undefined) return;
  const promised = await promisedBytes(db, engine);
  const left = room.freeBytes - room.totalBytes * RESERVED - promised;
  if (bytes <= left) return;
  throw new ClassmindError(
    "PreconditionFailed",
    `${inGibi(bytes)} more do not fit on ${engine}: ${inGibi(room.freeBytes)} are free, of which ${inGibi(promised)} are promised to schools that have not filled their volumes yet.`,
    {
      field: "storage",
      remedy:
        "Ask for less, make room, or say that you mean it: --overcommit. Then schools may find no room although their volumes have some.",
    },
  );
}

/**
 * Refuses a restore into place that the engine's storage has no room for.
 * @throws ClassmindError `PreconditionFailed` with the numbers
 */
export async function checkRoomToRestore(db: Queryable, engine: string, size: BackupSize | undefined): Promise<void> {
  const room = await readRoom(db, engine);
  if (room === undefined || size === undefined) return;
  const bytes = size.databaseBytes + size.filesBytes + 4096 * size.files;
  if (bytes <= room.freeBytes) return;
  throw new ClassmindError(
    "PreconditionFailed",
    `The restored volume would take ${inGibi(bytes)} beside the one that the school has, and ${inGibi(room.freeBytes)} are free on ${engine}.`,
    { field: "slug", remedy: "Make room on the machine first (docs/runbooks.md, disk full)." },
  );
}

/** An engine as placement looks at it. Pure. */
export function candidateOf(engine: RegisteredEngine): Candidate {
  return { ...engine, unmet: unmetOf(engine).map(({ check }) => check) };
}

/**
 * Name of the engine for a new school. The engines' rows are held until the transaction ends.
 * @throws ClassmindError `PreconditionFailed` saying which wish no engine meets
 */
export async function placeSchool(db: Queryable, spec: Pick<TenantSpec, "country" | "placement">): Promise<string> {
  return place({ ...spec.placement, country: spec.country }, (await holdEngines(db)).map(candidateOf));
}
