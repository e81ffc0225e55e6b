import { z } from "zod";
import { type Route, route } from "../route.ts";
import * as schemas from "../schemas.ts";
import { requestWork } from "./work.ts";

/** A school's journal put to use: each wants a reason, which the school is shown (R48). */
const because = schemas.reason.unwrap();

export const journalRoutes: readonly Route[] = [
  route({
    method: "post",
    path: "/tenants/:slug/journal/verify",
    summary: "Check a school's journal, and its marks against it",
    params: schemas.slugParams,
    body: z.strictObject({ reason: because }),
    status: 202,
    response: schemas.operation,
    handle: (input) =>
      requestWork(input, {
        kind: "verify-journal",
        params: { reason: input.body.reason },
        action: "journal.verify",
        reason: input.body.reason,
      }),
  }),
  route({
    method: "post",
    path: "/tenants/:slug/journal/rebuild",
    summary: "Put a school's marks back as its journal has them last",
    params: schemas.slugParams,
    body: z.strictObject({ reason: because, marks: z.array(z.uuid()).max(10_000).optional() }),
    status: 202,
    response: schemas.operation,
    handle(input) {
      const { reason, marks } = input.body;
      const params = { reason, ...(marks === undefined ? {} : { marks }) };
      return requestWork(input, { kind: "rebuild-marks", params, action: "journal.rebuild", reason });
    },
  }),
  route({
    method: "post",
    path: "/tenants/:slug/journal/undo",
    summary: "Take back what an account did to marks since a time; without `apply`, say what that would be",
    params: schemas.slugParams,
    body: z.strictObject({
      reason: because,
      username: z.string().min(1).max(100),
      since: z.iso.datetime(),
      apply: z.boolean().default(false),
    }),
    status: 202,
    response: schemas.operation,
    handle(input) {
      const { reason, username, since, apply } = input.body;
      const detail = { username, since, apply };
      return requestWork(input, {
        kind: "undo-account",
        params: { reason, ...detail },
        action: "journal.undo",
        reason,
        detail,
      });
    },
  }),
];
