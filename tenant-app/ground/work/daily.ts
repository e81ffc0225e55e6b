import type { App } from "../app.ts";
import type { Feature } from "../feature.ts";
import { addJournalDays, forgetJournalDays } from "../journal/days.ts";
import { clearOrders } from "./orders.ts";

const day = 24 * 60 * 60 * 1000;

/** What each feature does once a day. One that fails keeps no other from its turn; the first failure is thrown at the end. */
export async function tidyUp(app: App, features: readonly Feature[]): Promise<void> {
  const done: Record<string, number> = {};
  const failures: unknown[] = [];
  const ofGround = [
    async () => counted("journalDays", await app.database.as({}, (tx) => addJournalDays(tx, app.now()))),
    async () => counted("forgottenJournalDays", await app.database.as({}, (tx) => forgetJournalDays(tx, app.now()))),
    async () => counted("orders", await clearOrders(app)),
  ];
  for (const daily of [...ofGround, ...features.map((feature) => feature.daily)]) {
    try {
      Object.assign(done, await daily?.(app));
    } catch (error) {
      failures.push(error);
    }
  }
  app.log.info(done, "tidied up");
  if (failures.length > 0) {
    throw failures[0];
  }
}

const counted = (name: string, count: number) => (count > 0 ? { [name]: count } : {});

/**
 * Runs `tidyUp` within an hour of the start and daily from then on, at a minute that differs from school to school.
 * Returns what stops it. A day that fails is logged and tried again an hour later.
 */
export function tidyUpDaily(app: App, features: readonly Feature[]): () => void {
  let timer: NodeJS.Timeout;
  const plan = (delay: number) => {
    timer = setTimeout(async () => {
      try {
        await tidyUp(app, features);
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
