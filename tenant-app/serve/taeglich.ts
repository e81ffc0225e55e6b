import type { App } from "../app.ts";
import { raeumeAb } from "../dateien/abraeumen.ts";
import { absoluteMs, idleMs } from "../gate/person.ts";
import { bremse } from "../zugang/bremse.ts";

const day = 24 * 60 * 60 * 1000;

/** Once a day: ciphertext of deleted files, ended sessions, counters of the login brake that no longer matter. */
export async function tidyUp(app: App): Promise<void> {
  const now = app.now();
  const collected = await raeumeAb(app.database, app.blobs, now);
  const sessions = await app.database.as({}, async (tx) => {
    const ended = await tx.one<{ count: string }>(
      "SELECT sitzungen_aufraeumen($1, $2 * interval '1 millisecond', $3 * interval '1 millisecond') AS count",
      [now, idleMs, absoluteMs],
    );
    await tx.run(`DELETE FROM anmeldebremse WHERE zuletzt_am < $1 AND (erfolg_am IS NULL OR erfolg_am < $2)`, [
      new Date(now.getTime() - day),
      new Date(now.getTime() - bremse.knownMs),
    ]);
    return Number(ended?.count ?? 0);
  });
  app.log.info({ ...collected, sessions }, "tidied up");
}

/**
 * Runs `tidyUp` within an hour of the start and daily from then on, at a minute that differs from school to school.
 * Returns what stops it. A day that fails is logged and tried again an hour later.
 */
export function tidyUpDaily(app: App): () => void {
  let timer: NodeJS.Timeout;
  const plan = (delay: number) => {
    timer = setTimeout(async () => {
      try {
        await tidyUp(app);
        plan(day);
      } catch (error) {
        app.log.warn({ error: error instanceof Error ? error.name : "unknown" }, "tidying up failed");
        plan(day / 24);
      }
    }, delay);
    timer.unref();
  };
  plan((0.1 + 0.9 * Math.random()) * (day / 24));
  return () => clearTimeout(timer);
}
