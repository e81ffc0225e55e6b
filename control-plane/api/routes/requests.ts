import { z } from "zod";
import { type Route, route } from "../route.ts";
import * as schemas from "../schemas.ts";
import { requestWork } from "./work.ts";

/** What people ask of whoever runs the platform, and not of their school: what is stored about them, and that a file goes. */

const because = schemas.reason.unwrap();
const reference = z.string().trim().min(3, "Name the request or notice that was recorded").max(200);
const recipient = schemas.administrator.shape.recipient.unwrap();

/** A file by its id, or by the address that a notice gives. */
const file = z
  .string()
  .trim()
  .max(500)
  .transform((given, context) => {
    const id =
      /^(?:https:\/\/[^/\s]+)?(?:\/dateien\/)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:\/inhalt)?\/?$/i.exec(
        given,
      )?.[1];
    if (id === undefined) {
      context.addIssue({ code: "custom", message: "Give a file's id, or its address: https://…/dateien/ID" });
      return z.NEVER;
    }
    return id.toLowerCase();
  });

export const requestRoutes: readonly Route[] = [
  route({
    method: "post",
    path: "/tenants/:slug/disclosures",
    summary: "Put together all that a school stores about a person, sealed to the recipient (Art. 15 DSGVO)",
    params: schemas.slugParams,
    body: z.strictObject({
      person: z.string().trim().min(1).max(100),
      request: reference,
      identity: z.strictObject({
        how: z.string().trim().min(3, "Say how the identity was checked").max(300),
        by: z.string().trim().min(3, "Say who checked the identity").max(100).optional(),
        on: z.iso.date().optional(),
      }),
      reason: because,
      recipient,
    }),
    status: 202,
    response: schemas.operation,
    handle(input) {
      const { person, request, reason, recipient: reader } = input.body;
      const today = input.context.clock.now().toISOString().slice(0, 10);
      const identity = { by: input.caller.operator, on: today, ...input.body.identity };
      const detail = { person, request, identity };
      return requestWork(input, {
        kind: "disclose-person",
        params: { ...detail, reason, recipient: reader },
        action: "disclosure.create",
        reason,
        detail,
      });
    },
  }),
  route({
    method: "post",
    path: "/tenants/:slug/takedowns",
    summary: "Make a file of a school unreadable, for good; its owner is told when and why",
    params: schemas.slugParams,
    body: z.strictObject({
      file,
      notice: reference,
      reason: because,
      ownerReason: z.string().trim().min(10, "Tell the owner why, in a sentence").max(1000),
    }),
    status: 202,
    response: schemas.operation,
    handle(input) {
      const { file: id, notice, reason, ownerReason } = input.body;
      return requestWork(input, {
        kind: "take-down-file",
        params: { file: id, notice, reason, ownerReason },
        action: "takedown",
        reason,
        detail: { file: id, notice, ownerReason },
      });
    },
  }),
];
