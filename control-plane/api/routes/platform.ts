import { z } from "zod";
import { ClassmindError } from "../../errors.ts";
import { listAudit, verifyAudit } from "../../store/audit.ts";
import {
  createToken,
  disableOperator,
  listOperators,
  listTokens,
  putOperator,
  revokeToken,
} from "../../store/operators.ts";
import { readSetting } from "../../store/settings.ts";
import { countByPhase, listTenants } from "../../store/tenants.ts";
import { hostOf } from "../../tenant.ts";
import { type Route, route } from "../route.ts";
import * as schemas from "../schemas.ts";
import { requestWork } from "./work.ts";

const DAY = 86_400_000;

const certificateRoutes: readonly Route[] = [
  route({
    method: "get",
    path: "/certificates",
    summary: "Certificates of the schools, in the order of their names",
    query: schemas.page,
    status: 200,
    response: z.object({ items: z.array(schemas.certificate), next: z.string().optional() }),
    async handle({ query, context }) {
      const page = await listTenants(context.pool, query);
      const items = page.items.flatMap((tenant) => {
        const certificate = tenant.status.certificate;
        if (certificate === undefined) return [];
        const condition = tenant.status.conditions.find((candidate) => candidate.type === "CertificateReady");
        return [
          {
            slug: tenant.slug,
            hosts: [hostOf(tenant.slug, context.platform.domain)],
            ...certificate,
            ...(condition === undefined ? {} : { condition }),
          },
        ];
      });
      return { items, next: page.next };
    },
  }),
  route({
    method: "post",
    path: "/tenants/:slug/certificate/renew",
    summary: "Renew a school's certificate now",
    params: schemas.slugParams,
    body: schemas.withReason,
    status: 202,
    response: schemas.operation,
    handle: (input) =>
      requestWork(input, {
        kind: "renew-certificate",
        params: {},
        action: "certificate.renew",
        reason: input.body.reason,
      }),
  }),
];

const verifyRoutes: readonly Route[] = [
  route({
    method: "post",
    path: "/tenants/:slug/verify/isolation",
    summary: "Try from inside a school everything that must be refused",
    params: schemas.slugParams,
    body: schemas.withReason,
    status: 202,
    response: schemas.operation,
    handle: (input) =>
      requestWork(input, {
        kind: "verify-isolation",
        params: {},
        action: "verify.isolation",
        reason: input.body.reason,
      }),
  }),
  route({
    method: "post",
    path: "/tenants/:slug/reset-password",
    summary: "Set a new one-time password for an account of a school, sealed to the caller's key",
    params: schemas.slugParams,
    body: z.strictObject({
      username: z.string().min(1).max(100),
      recipient: schemas.administrator.shape.recipient.unwrap(),
      unlock: z.boolean().optional(),
      reason: schemas.reason,
    }),
    status: 202,
    response: schemas.operation,
    handle(input) {
      const { username, recipient, unlock, reason } = input.body;
      // Not sent unless asked for: a school of an earlier version does not know it.
      const params = { username, recipient, ...(unlock ? { unlock } : {}) };
      return requestWork(input, {
        kind: "reset-password",
        params,
        action: "tenant.reset-password",
        reason,
        detail: { username, ...(unlock ? { unlock } : {}) },
      });
    },
  }),
  route({
    method: "post",
    path: "/tenants/:slug/remove-second-factor",
    summary: "Remove the second factor of an account of a school; the school is shown who did, and why",
    params: schemas.slugParams,
    body: z.strictObject({ username: z.string().min(1).max(100), reason: schemas.reason.unwrap() }),
    status: 202,
    response: schemas.operation,
    handle(input) {
      const { username, reason } = input.body;
      return requestWork(input, {
        kind: "remove-second-factor",
        params: { username, reason },
        action: "tenant.remove-second-factor",
        reason,
        detail: { username },
      });
    },
  }),
];

const operatorRoutes: readonly Route[] = [
  route({
    method: "get",
    path: "/operators",
    summary: "Operators",
    status: 200,
    response: z.object({ items: z.array(schemas.operator) }),
    handle: async ({ context }) => ({ items: await listOperators(context.pool) }),
  }),
  route({
    method: "post",
    path: "/operators",
    summary: "Create an operator, or record a new date of privacy instruction",
    body: schemas.createOperator,
    status: 201,
    response: schemas.operator,
    async handle({ body, act }) {
      return act(async ({ db, audit }) => {
        const operator = await putOperator(db, body.name, body.instructedUntil);
        await audit({
          action: "operator.create",
          detail: { name: body.name, instructedUntil: body.instructedUntil ?? null },
        });
        return operator;
      });
    },
  }),
  route({
    method: "post",
    path: "/operators/:name/disable",
    summary: "Disable an operator: their tokens stop working at once",
    params: schemas.nameParams,
    body: schemas.withReason,
    status: 200,
    response: z.object({ name: z.string() }),
    async handle({ params, body, act, caller }) {
      if (params.name === caller.operator) {
        throw new ClassmindError("PreconditionFailed", "You cannot disable yourself.", {
          field: "name",
          remedy: "Let another operator do it.",
        });
      }
      return act(async ({ db, audit }) => {
        await disableOperator(db, params.name);
        await audit({ action: "operator.disable", reason: body.reason, detail: { name: params.name } });
        return { name: params.name };
      });
    },
  }),
  route({
    method: "get",
    path: "/operators/:name/tokens",
    summary: "Tokens of an operator (never their text)",
    params: schemas.nameParams,
    status: 200,
    response: z.object({ items: z.array(schemas.token) }),
    handle: async ({ params, context }) => ({ items: await listTokens(context.pool, params.name) }),
  }),
  route({
    method: "post",
    path: "/operators/:name/tokens",
    summary: "Make a token; its text is in this answer and nowhere else",
    params: schemas.nameParams,
    body: schemas.createToken,
    status: 201,
    response: z.object({ token: z.string(), info: schemas.token }),
    async handle({ params, body, act, context }) {
      return act(async ({ db, audit }) => {
        const made = await createToken(
          db,
          params.name,
          body.label,
          new Date(context.clock.now().getTime() + body.days * DAY),
          body.scope,
        );
        await audit({
          action: "operator.token",
          detail: {
            name: params.name,
            label: body.label,
            token: made.info.id,
            expiresAt: made.info.expiresAt,
            scope: body.scope,
          },
        });
        return made;
      });
    },
  }),
  route({
    method: "delete",
    path: "/tokens/:id",
    summary: "Revoke a token",
    params: schemas.idParams,
    status: 200,
    response: schemas.token,
    async handle({ params, act }) {
      return act(async ({ db, audit }) => {
        const info = await revokeToken(db, params.id);
        await audit({ action: "operator.token-revoke", detail: { name: info.operator, token: info.id } });
        return info;
      });
    },
  }),
];

const auditRoutes: readonly Route[] = [
  route({
    method: "get",
    path: "/audit",
    summary: "What operators did, newest first",
    query: schemas.auditQuery,
    status: 200,
    response: z.object({ items: z.array(schemas.auditEntry) }),
    handle: async ({ query, context }) => ({ items: await listAudit(context.pool, query) }),
  }),
  route({
    method: "get",
    path: "/audit/verify",
    summary: "Check the audit's chain of hashes from its first entry",
    status: 200,
    response: z.object({ entries: z.number(), head: z.string(), fault: z.string().optional() }),
    handle: ({ context }) => verifyAudit(context.pool),
  }),
];

const platformRoutes: readonly Route[] = [
  route({
    method: "get",
    path: "/platform",
    summary: "The installation: domain, country, certificate authority, schools by phase, and who you are",
    status: 200,
    response: z.object({
      instance: z.string(),
      domain: z.string(),
      country: z.string(),
      httpsPort: z.number(),
      certificateAuthority: z.string().optional(),
      schools: z.record(z.string(), z.number()),
      operator: z.string(),
    }),
    async handle({ context, caller }) {
      const { platform, pool } = context;
      const authority = await readSetting(pool, "certificate-authority", z.object({ certificate: z.string() }));
      return {
        instance: platform.instance,
        domain: platform.domain,
        country: platform.country,
        httpsPort: platform.httpsPort,
        ...(authority === undefined ? {} : { certificateAuthority: authority.certificate }),
        schools: await countByPhase(pool),
        operator: caller.operator,
      };
    },
  }),
];

export const otherRoutes: readonly Route[] = [
  ...platformRoutes,
  ...certificateRoutes,
  ...verifyRoutes,
  ...operatorRoutes,
  ...auditRoutes,
];
