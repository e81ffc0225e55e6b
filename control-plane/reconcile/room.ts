import { messageOf } from "../errors.ts";
import { type Room, recordRoom } from "../store/room.ts";
import type { Fleet, Site } from "./dependencies.ts";

/** Looks now and then how much room each engine's storage has, so that the API can refuse what would not fit. */

const LOOK_EVERY_MS = 60_000;
/** Less than this is not worth a write. */
const WORTH_BYTES = 256 * 1024 * 1024;

async function look(
  fleet: Pick<Fleet, "pool">,
  { name, engine }: Site,
  known: Room | undefined,
): Promise<Room | undefined> {
  const seen = await engine.room?.();
  if (seen === undefined) return known;
  const moved = Math.abs(seen.freeBytes - (known?.freeBytes ?? Number.POSITIVE_INFINITY));
  if (moved < WORTH_BYTES && seen.totalBytes === known?.totalBytes) return known;
  await recordRoom(fleet.pool, name, seen);
  return seen;
}

/** Looks at once and then regularly until the signal aborts. */
export async function watchRoom(
  fleet: Pick<Fleet, "pool" | "clock" | "log" | "sites">,
  signal: AbortSignal,
): Promise<void> {
  const sites = [...fleet.sites.values()].filter(({ engine }) => engine.room !== undefined);
  const known = new Map<string, Room | undefined>();
  while (!signal.aborted && sites.length > 0) {
    for (const site of sites)
      await look(fleet, site, known.get(site.name)).then(
        (seen) => known.set(site.name, seen),
        (error: unknown) => fleet.log.warn({ engine: site.name, error: messageOf(error) }, "its room is not known now"),
      );
    await fleet.clock.sleep(LOOK_EVERY_MS, signal);
  }
}
