import type { z } from "zod";
import { ClassmindError } from "../../errors.ts";
import { confirmClock, readClockRecord } from "../../store/clock.ts";
import type { Queryable } from "../../store/queryable.ts";
import { type Route, route } from "../route.ts";
import * as schemas from "../schemas.ts";

const DAY = 86_400_000;

/** What the API says of the clock. */
async function viewClock(db: Queryable, now: Date): Promise<z.infer<typeof schemas.clock>> {
  const record = await readClockRecord(db);
  return {
    now: now.toISOString(),
    trusted: record?.jumped === undefined,
    ...(record === undefined ? {} : { lastSeen: record.seen }),
    ...(record?.jumped === undefined ? {} : { jumpedAt: record.jumped.noticed }),
  };
}

export const clockRoutes: readonly Route[] = [
  route({
    method: "get",
    path: "/clock",
    summary: "What the platform's clock says, the last time it saw, and whether it believes the clock",
    status: 200,
    response: schemas.clock,
    handle: ({ context }) => viewClock(context.pool, context.clock.now()),
  }),
  route({
    method: "post",
    path: "/clock/confirm",
    summary: "Vouch for a clock that is far from the last time seen; then retention, renewals, expiry and purges go on",
    body: schemas.confirmClock,
    status: 202,
    response: schemas.clock,
    async handle({ body, context, caller, act }) {
      return act(async ({ db, audit }) => {
        const now = context.clock.now();
        const record = await readClockRecord(db);
        if (record?.jumped === undefined) {
          throw new ClassmindError("PreconditionFailed", "The clock is believed already; there is nothing to confirm.");
        }
        const middle = Date.parse(`${body.date}T12:00:00Z`);
        // A day's room for time zones: who reads the date off a wall calendar may be ahead or behind.
        if (Math.abs(now.getTime() - middle) > 1.5 * DAY) {
          throw new ClassmindError(
            "PreconditionFailed",
            `You say it is ${body.date}; the platform's clock says ${now.toISOString().slice(0, 10)}. So the clock is wrong.`,
            { field: "date", remedy: "Set the machine's clock right; it is then believed without a confirmation." },
          );
        }
        await confirmClock(db, {
          lastSeen: record.seen,
          time: now,
          operator: caller.operator,
          reason: body.reason,
        });
        await audit({
          action: "clock.confirm",
          reason: body.reason,
          detail: { clock: now.toISOString(), lastSeen: record.seen },
        });
        return viewClock(db, now);
      });
    },
  }),
];
