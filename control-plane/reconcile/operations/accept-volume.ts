import { EngineError } from "../../engine/engine.ts";
import type { Operation } from "../../store/operations.ts";
import { acceptIdentity } from "../../store/volumes.ts";
import { namespaceOf, REASONS } from "../../tenant.ts";
import { type Attempt, write } from "../steps.ts";
import { seenVolume } from "../volumes.ts";

/**
 * An operator's word that the volume which is there now is the school's: one that was brought back by hand has another identity.
 * Only the one that they were shown.
 */
export async function acceptVolume(attempt: Attempt, { params }: Operation): Promise<unknown> {
  const { deps, gathered, hold } = attempt;
  const { claim } = gathered.tenant.volumes.own;
  const seen = seenVolume(await deps.engine.observe(namespaceOf(gathered.tenant.slug)), claim);
  if (seen?.state !== "Present" || seen.identity === undefined)
    throw new EngineError(REASONS.VolumeMissing, `There is no volume ${claim} that could be accepted.`, {
      retryable: false,
    });
  if (params.identity !== undefined && params.identity !== seen.identity)
    throw new EngineError(
      REASONS.VolumeMissing,
      `The volume ${claim} is ${seen.identity} now, and not ${String(params.identity)}.`,
      { retryable: false },
    );
  const { identity } = seen;
  await write(attempt, (db) => acceptIdentity(db, hold, identity));
  return { claim, identity };
}
