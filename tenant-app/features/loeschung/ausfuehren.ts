import { setTimeout as sleep } from "node:timers/promises";
import type { App } from "../../ground/app.ts";
import { DatabaseUnavailable } from "../../ground/database/database.ts";
import { cleanLateEntries, type Eraser, eraseDue } from "../../ground/erasure/erase.ts";
import type { Counts } from "../../ground/erasure/erasure.ts";
import { writeJournal } from "../../ground/journal/write.ts";
import { Konto } from "../konten/public.ts";

/** The end of grace: once a day; and what the register says to a school that was restored, before it opens. */

function eraserOf({ database, fieldKey, now, accepting, catalogue }: App): Eraser {
  return {
    database,
    now,
    erasures: catalogue.erasures,
    goOn: accepting,
    record: (tx, sign, counts) =>
      writeJournal(
        tx,
        { fieldKey, now: now(), by: undefined },
        { resource: Konto, deed: "bereinigen", object: sign, values: { alt: counts } },
      ),
  };
}

/** The day, for the school. */
const tagVon = (now: Date): string => new Intl.DateTimeFormat("sv-SE", { timeZone: "Europe/Berlin" }).format(now);

/** Erases who is due today or before, and goes on with whoever was begun; forgets who was erased longer ago than any backup reaches. */
export async function loescheFaellige(app: App): Promise<Counts> {
  const eraser = eraserOf(app);
  const done = await eraseDue(eraser, { today: tagVon(app.now()) });
  const late = await cleanLateEntries(eraser);
  const row = await app.database.as({}, (tx) =>
    tx.one<{ anzahl: number }>("SELECT loeschregister_aufraeumen($1) AS anzahl", [app.now()]),
  );
  return { ...done, ...late, ...(row && row.anzahl > 0 ? { forgottenErasures: row.anzahl } : {}) };
}

/** The database may start beside the app: it is waited for as long as whoever started the app waits for that. */
const patienceMs = 100_000;

/**
 * Whoever stands in the register and is there all the same: a backup brought them back, or their erasure was cut off.
 * @throws when that cannot be done: then the school does not open
 */
export async function holeLoeschungenNach(app: App): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (let pause = 50; ; pause = Math.min(pause * 2, 1_000)) {
    try {
      const done = await eraseDue(eraserOf(app), {});
      if (Object.keys(done).length > 0) app.log.info(done, "erasures were done again");
      return;
    } catch (error) {
      if (!(error instanceof DatabaseUnavailable) || performance.now() >= deadline) throw error;
      app.log.warn("waiting for the database before the school opens");
      await sleep(pause);
    }
  }
}
