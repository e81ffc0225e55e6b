import { copyObstacle } from "../../backup/repository.ts";
import { copyResult } from "../../backup/results.ts";
import { EngineError, type ObjectRef } from "../../engine/engine.ts";
import { completeBackups } from "../../store/backups.ts";
import { keySnapshots } from "../../store/key-snapshots.ts";
import { namespaceOf, REASONS } from "../../tenant.ts";
import { desiredManifests, repositoryUrl } from "../gather.ts";
import { type Attempt, runJob } from "../steps.ts";

/** A school's backups move with it: from a repository on one engine into the one that the other engine uses. */

const COPYING_MS = 8 * 3_600_000;
export const REPOSITORY_POLICY = { kind: "NetworkPolicy", name: "repository" } as const;

/** A backup's snapshots as they are called where they were copied to. */
export interface CopiedBackup {
  readonly runId: string;
  readonly databaseSnapshot: string;
  readonly filesSnapshot: string;
}

/** All that was copied; nothing when both engines use one repository. */
export interface CopiedHistory {
  readonly backups: readonly CopiedBackup[];
  /** Keys of the school's people. */
  readonly keys: ReadonlyArray<{ readonly runId: string; readonly snapshot: string }>;
}

const repositoryOf = (attempt: Attempt): string => attempt.deps.platform.backup.repository;

/** Whether both engines keep a school's backups in one place, so that nothing has to be copied. */
export function shareRepository(source: Attempt, target: Attempt): boolean {
  return repositoryOf(source) === repositoryOf(target) && repositoryOf(source) !== "local";
}

/** Makes some of a school's objects so, as they are wanted in an attempt. */
export async function applyRendered(
  { deps, gathered, certificate, signal }: Attempt,
  refs: readonly ObjectRef[],
): Promise<void> {
  const wanted = desiredManifests(deps, gathered, certificate).filter(({ kind, metadata }) =>
    refs.some((ref) => ref.kind === kind && ref.name === metadata.name),
  );
  if (wanted.length > 0) await deps.engine.apply(namespaceOf(gathered.tenant.slug), wanted, { signal });
}

/**
 * The job's attempt, with the way to the other repository open. Who its peers are is said in the words of the other engine, which
 * may select pods of its own; to an engine of another kind it is an address.
 */
function withWayTo(side: Attempt, other: Attempt): Attempt {
  const { peers: theirs, hosts } = other.deps.platform.backup;
  // An empty list of peers would let the job out to everywhere.
  if (hosts.length === 0)
    throw new EngineError(
      REASONS.StepFailed,
      `${other.deps.engineName} does not say where its backups are (backup.hosts)`,
      {
        retryable: false,
      },
    );
  const addresses = hosts.map(({ address }) => ({ ipBlock: { cidr: `${address}/32` } }));
  const sameKind = side.deps.engine.name === other.deps.engine.name;
  const peers = sameKind ? theirs : theirs.map(({ port }) => ({ peers: addresses, port }));
  const platform = { ...side.deps.platform, backup: { ...side.deps.platform.backup, peers, hosts } };
  return { ...side, deps: { ...side.deps, platform } };
}

/**
 * Copies all of a school's snapshots to where the target keeps backups; what is there already is not copied again.
 * @returns what they are called there
 */
export async function copyHistory(source: Attempt, target: Attempt): Promise<CopiedHistory> {
  if (shareRepository(source, target)) return { backups: [], keys: [] };
  const obstacle = copyObstacle(repositoryOf(source), repositoryOf(target));
  if (obstacle !== undefined) throw new EngineError(REASONS.StepFailed, obstacle, { retryable: false });
  const outward = repositoryOf(source) === "local";
  const [side, other] = outward ? [source, target] : [target, source];
  const { keys, tenant } = source.gathered;
  if (keys === undefined) throw new EngineError(REASONS.StepFailed, "the school has no keys", { retryable: false });
  const { number } = tenant.repositories;
  const open = withWayTo(side, other);
  const namespace = namespaceOf(tenant.slug);
  await applyRendered(open, [REPOSITORY_POLICY]);
  try {
    const { snapshots } = await runJob(open, "backup", {
      command: "copy",
      input: {
        direction: outward ? "to" : "from",
        // What lies in a repository that was found damaged stays where it is.
        runs: [
          ...new Set(
            [
              ...(await completeBackups(source.deps.pool, tenant.uid)),
              ...(await keySnapshots(source.deps.pool, tenant.uid)),
            ]
              .filter(({ repository }) => repository === number)
              .map(({ runId }) => runId),
          ),
        ],
        repository: repositoryUrl(side.deps, tenant.uid, number),
        other: {
          url: repositoryUrl(other.deps, tenant.uid, number),
          password: keys.repository.toString("utf8"),
          environment: other.deps.repositoryEnvironment,
          authority: other.deps.repositoryAuthority,
          key: other.deps.repositoryKey,
          knownHosts: other.deps.repositoryKnownHosts,
        },
      },
      schema: copyResult,
      deadline: COPYING_MS,
    });
    const keysThere = snapshots.filter(({ kind }) => kind === "keys");
    return { backups: pair(snapshots), keys: keysThere.map(({ run, id }) => ({ runId: run, snapshot: id })) };
  } finally {
    if (!side.lost.aborted) await side.deps.engine.remove(namespace, [REPOSITORY_POLICY], { signal: side.lost });
  }
}

/** Both halves of each backup; one half alone is no backup. */
function pair(
  snapshots: ReadonlyArray<{ readonly run: string; readonly kind: string; readonly id: string }>,
): readonly CopiedBackup[] {
  const halves = (kind: "database" | "files") =>
    new Map(snapshots.filter((snapshot) => snapshot.kind === kind).map(({ run, id }) => [run, id]));
  const files = halves("files");
  return [...halves("database")].flatMap(([runId, databaseSnapshot]) => {
    const filesSnapshot = files.get(runId);
    return filesSnapshot === undefined ? [] : [{ runId, databaseSnapshot, filesSnapshot }];
  });
}
