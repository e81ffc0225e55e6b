import { EngineError } from "../engine/engine.ts";
import { messageOf } from "../errors.ts";
import { recordSilence } from "../store/silence.ts";
import { wakeAll } from "../store/tenants.ts";
import { within } from "../within.ts";
import type { Fleet, Site } from "./dependencies.ts";

/**
 * Asks each engine now and then whether it answers: one that has frozen sends no event, and nobody would notice before something is
 * due. One question for an engine, whatever number of schools it has.
 */

const ASK_EVERY_MS = 4_000;
const ANSWER_WITHIN_MS = 3_000;
/** After this time schools of an engine that answers again have all been looked at. */
const SPREAD_SECONDS = 5;

type Watching = Pick<Fleet, "pool" | "clock" | "log">;

/** What is wrong with an engine; undefined if it answers. */
async function fault(
  { clock }: Watching,
  { engine, name }: Site,
  signal: AbortSignal,
): Promise<{ readonly reason: string; readonly message: string } | undefined> {
  try {
    await within(
      clock,
      ANSWER_WITHIN_MS,
      async (over) => engine.answers?.(AbortSignal.any([signal, over])),
      () => new EngineError("EngineUnavailable", `${name} has not answered within ${ANSWER_WITHIN_MS / 1000} s.`),
    );
    return undefined;
  } catch (error) {
    return { reason: error instanceof EngineError ? error.reason : "EngineUnavailable", message: messageOf(error) };
  }
}

type Fault = Awaited<ReturnType<typeof fault>>;

/** Puts a change on record, and has schools looked at whose engine answers again. */
async function tell({ pool, clock, log }: Watching, name: string, found: Fault, wasSilent: boolean): Promise<void> {
  const silence = found === undefined ? undefined : { since: clock.now().toISOString(), ...found };
  await recordSilence(pool, name, silence);
  if (found !== undefined) {
    log.error({ engine: name, error: found.message }, "an engine does not answer");
  } else if (wasSilent) {
    await wakeAll(pool, SPREAD_SECONDS, name);
    log.warn({ engine: name }, "the engine answers again");
  }
}

async function watchSite(watching: Watching, site: Site, signal: AbortSignal): Promise<void> {
  /** What the store has on record; unknown at first. */
  let told: "answers" | "silent" | undefined;
  while (!signal.aborted) {
    const found = await fault(watching, site, signal);
    if (signal.aborted) return;
    const now = found === undefined ? "answers" : "silent";
    if (now !== told)
      await tell(watching, site.name, found, told === "silent").then(
        () => {
          told = now;
        },
        (error: unknown) =>
          watching.log.warn({ engine: site.name, error: messageOf(error) }, "whether it answers is not on record"),
      );
    await watching.clock.sleep(ASK_EVERY_MS, signal);
  }
}

/** Asks until the signal aborts. */
export async function watchSilence(fleet: Watching & Pick<Fleet, "sites">, signal: AbortSignal): Promise<void> {
  const sites = [...fleet.sites.values()].filter(({ engine }) => engine.answers !== undefined);
  await Promise.all(sites.map((site) => watchSite(fleet, site, signal)));
}
