import { z } from "zod";
import { OPERATION_STATES } from "../store/operations.ts";
import { TOKEN_SCOPES } from "../store/operators.ts";
import { ROLLOUT_STATES } from "../store/rollout-rows.ts";
import { CONDITION_TYPES, PHASES, PLANS } from "../tenant.ts";

/** Bodies, queries and answers of the API. The OpenAPI document is generated from these. */

const text = (max: number) =>
  z
    .string()
    .trim()
    .min(1)
    .max(max)
    .regex(/^[^\p{Cc}]*$/u, "must not contain control characters");
const timestamp = z.iso.datetime();

/** Free text of the operator: why an action is done. */
export const reason = text(500).optional();

/** Only the shape is checked here, so that the error about a school's name can say which rule it breaks (slug.ts). */
const slugText = z.string().max(200);

export const administrator = z.strictObject({
  firstName: text(80),
  lastName: text(80),
  email: z.email().max(254),
  /** Public key (JWK, OKP, X25519) that the one-time password is sealed to. */
  recipient: z
    .strictObject({ kty: z.literal("OKP"), crv: z.literal("X25519"), x: z.string().regex(/^[A-Za-z0-9_-]{43}$/) })
    .optional(),
});

export const terms = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("contract"), reference: text(100) }),
  z.strictObject({
    kind: z.literal("demo"),
    /** Filled with people who do not exist, to be shown. */
    invented: z.boolean().default(false),
  }),
]);

const storage = z
  .string()
  .regex(/^[1-9]\d{0,4}(Mi|Gi)$/, "must be a size such as 10Gi")
  .optional();

export const createTenant = z.strictObject({
  slug: slugText,
  displayName: text(120),
  terms,
  agreement: z.strictObject({ version: text(60), clauses: z.array(text(500)).max(50).default([]) }).optional(),
  plan: z.enum(PLANS).default("small"),
  storage,
  administrator: administrator.optional(),
  backup: z.strictObject({ enabled: z.boolean() }).default({ enabled: true }),
  /** Two-letter country the school's data must stay in; without it the platform's. */
  country: z
    .string()
    .regex(/^[A-Z]{2}$/, "must be a country such as DE")
    .optional(),
  /** The engine it is to live on; without it the emptiest that fits. */
  engine: z.string().max(40).optional(),
  /** Labels that its engine must carry. */
  labels: z.record(z.string().max(63), z.string().max(63)).optional(),
  /** The volume may be promised although the storage has no room for all that is promised. */
  overcommit: z.boolean().default(false),
});

export const updateTenant = z.strictObject({
  displayName: text(120).optional(),
  plan: z.enum(PLANS).optional(),
  storage,
  terms: z.strictObject({ kind: z.literal("contract"), reference: text(100) }).optional(),
  agreement: z.strictObject({ version: text(60), clauses: z.array(text(500)).max(50).default([]) }).optional(),
  backup: z.strictObject({ enabled: z.boolean() }).optional(),
  overcommit: z.boolean().default(false),
  reason,
});

export const withReason = z.strictObject({ reason });

/** Destructive: the school's name must be repeated. */
export const withConfirmation = z.strictObject({ confirm: z.string(), reason });

export const withNeededReason = z.strictObject({ reason: text(500) });

/** Before the end of the grace period: a reason is needed, and by the platform's setting a second operator's word. */
export const purgeTenant = z.strictObject({
  confirm: z.string(),
  reason: text(500),
  /** The last backup need not be read back before the keys go. */
  withoutVerification: z.boolean().default(false),
});

export const restoreBackup = z.strictObject({
  /** Run id of a backup; or `at`; neither: the newest. */
  runId: z.uuid().optional(),
  at: timestamp.optional(),
  /** Restore into a school to be created instead of into place. */
  into: z.strictObject({ slug: slugText, displayName: text(120), terms }).optional(),
  /** Go back to this volume, which a restore replaced and which is kept aside, instead of restoring a backup. */
  volume: z.string().max(63).optional(),
  /** The slug of the school whose data is replaced (in place) or copied (into). */
  confirm: z.string(),
  reason: text(500),
});

export const moveTenant = z.strictObject({
  /** Name of the engine it is to live on. */
  to: z.string().max(40),
  /** The school's name: it is closed for a while. */
  confirm: z.string(),
  reason,
});

/** The volumes that are to be removed: as the operator was shown them. */
export const confirmRestore = z.strictObject({
  confirm: z.string(),
  volumes: z.array(z.string().max(63)).min(1),
  reason,
});

export const acceptVolume = z.strictObject({
  confirm: z.string(),
  /** Identity of the volume, as the school's condition names it; without it whatever is there. */
  identity: z.string().max(100).optional(),
  reason: text(500),
});

export const operationQuery = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(20),
  state: z.enum(OPERATION_STATES).optional(),
});

export const confirmMove = z
  .strictObject({
    confirm: z.string(),
    reason,
    /** The engine with the copy is gone for good: forget that there is one. */
    abandon: z.boolean().default(false),
  })
  .refine(({ abandon, reason: why }) => !abandon || why !== undefined, {
    path: ["reason"],
    message: "is needed to abandon a copy",
  });

export const page = z.object({
  limit: z.coerce.number().int().min(1).max(500).default(100),
  after: z.string().max(60).optional(),
});

export const tenantQuery = page.extend({ phase: z.enum(PHASES).optional(), search: z.string().max(100).optional() });
export const auditQuery = z.object({
  limit: z.coerce.number().int().min(1).max(500).default(100),
  before: z.coerce.number().int().min(1).optional(),
  slug: z.string().max(60).optional(),
});

export const slugParams = z.object({ slug: z.string().max(60) });
export const runParams = z.object({ slug: z.string().max(60), runId: z.uuid() });
export const idParams = z.object({ id: z.uuid() });
export const engineCheckParams = z.object({ name: z.string().max(40), check: z.string().max(60) });
export const nameParams = z.object({ name: z.string().max(40) });

export const condition = z.object({
  type: z.enum(CONDITION_TYPES),
  status: z.enum(["True", "False", "Unknown"]),
  reason: z.string(),
  message: z.string(),
  lastTransitionTime: timestamp,
});

const progressStep = z.object({
  name: z.string(),
  state: z.enum(["Running", "Done", "Failed"]),
  startedAt: timestamp,
  milliseconds: z.number().optional(),
  message: z.string().optional(),
});

/** References of the images that a school is made of. */
const version = z.object({ app: z.string(), postgres: z.string() });

/** A school as the API shows it. */
export const tenant = z.object({
  slug: z.string(),
  uid: z.uuid(),
  url: z.string(),
  displayName: z.string(),
  phase: z.enum(PHASES),
  generation: z.number(),
  observedGeneration: z.number(),
  plan: z.enum(PLANS),
  storage: z.string(),
  terms: z.union([
    z.object({ kind: z.literal("contract"), reference: z.string() }),
    z.object({ kind: z.literal("demo"), expiresAt: timestamp, invented: z.boolean().optional() }),
  ]),
  agreement: z.object({ version: z.string(), clauses: z.array(z.string()) }).optional(),
  country: z.string(),
  /** Name of the engine it lives on. */
  engine: z.string(),
  /** The engine it was moved from, which keeps its stopped copy until the move is confirmed. */
  leftEngine: z.string().optional(),
  suspended: z.boolean(),
  protected: z.boolean(),
  backupEnabled: z.boolean(),
  createdAt: timestamp,
  deletion: z.object({ requestedAt: timestamp, purgeAfter: timestamp }).optional(),
  /** A purge before the end of the grace period that waits for another operator's word. */
  purgeRequest: z.object({ operator: z.string(), at: timestamp, reason: z.string() }).optional(),
  /** When the conditions were last compared with what is. */
  observedAt: timestamp.optional(),
  /** The volume that it runs from, and those that restores have replaced, until they are confirmed. */
  volumes: z.object({
    own: z.string(),
    aside: z.array(z.object({ claim: z.string(), since: timestamp, why: z.string() })),
  }),
  /** The version that it was given; it runs no other. */
  version: version.optional(),
  /** An operator keeps it on that. */
  pin: z.object({ operator: z.string(), at: timestamp, reason: z.string().optional() }).optional(),
  conditions: z.array(condition),
  /** Steps of the newest attempt that changed something. */
  steps: z.array(z.object({ name: z.string(), startedAt: timestamp, milliseconds: z.number() })),
  /** Steps of the attempt under way. */
  progress: z.array(progressStep),
  administrator: z.object({ username: z.string(), sealedPassword: z.string().optional() }).optional(),
  volume: z.object({ usedBytes: z.number(), capacityBytes: z.number() }).optional(),
  certificate: z
    .object({ notBefore: timestamp, notAfter: timestamp, renewAt: timestamp, issuer: z.string(), serial: z.string() })
    .optional(),
  backup: z
    .object({ newest: timestamp.optional(), verifiedAt: timestamp.optional(), next: timestamp.optional() })
    .optional(),
});
export type TenantView = z.infer<typeof tenant>;

export const backup = z.object({
  runId: z.uuid(),
  slug: z.string(),
  trigger: z.enum(["schedule", "manual"]),
  size: z.object({ databaseBytes: z.number(), filesBytes: z.number(), files: z.number(), rows: z.number() }).optional(),
  state: z.enum(["Running", "Complete", "Failed", "Forgetting", "Forgotten"]),
  startedAt: timestamp,
  finishedAt: timestamp.optional(),
  bytesAdded: z.number().optional(),
  databaseSnapshot: z.string().optional(),
  filesSnapshot: z.string().optional(),
  verifiedAt: timestamp.optional(),
  verifyError: z.string().optional(),
  verifyCode: z.string().optional(),
  /** How far it was read back: `whole`, or a part of the repository's data, such as `3/7`. */
  verifiedExtent: z.string().optional(),
  /** Kept until then whatever its class says. */
  keepUntil: timestamp.optional(),
  /** What it holds less than the one before, while nobody has said that this is right. */
  shrunk: z.string().optional(),
  /** Number of the school's repository that it lies in; another one is begun beside one that is damaged. */
  repository: z.number(),
  error: z.string().optional(),
  fingerprint: z.json().optional(),
});
export type BackupView = z.infer<typeof backup>;

export const operation = z.object({
  id: z.uuid(),
  kind: z.string(),
  slug: z.string(),
  state: z.enum(OPERATION_STATES),
  progress: z.object({ step: z.string().optional(), message: z.string().optional() }),
  result: z.json().optional(),
  error: z.string().optional(),
  requestedBy: z.string(),
  createdAt: timestamp,
  startedAt: timestamp.optional(),
  finishedAt: timestamp.optional(),
  /** When it is given up if it has not ended. */
  deadlineAt: timestamp.optional(),
  /** Why it was asked to end before its time. */
  cancelReason: z.string().optional(),
  /** What it waits for, if it has not begun. */
  waitsFor: z.string().optional(),
});
export type OperationView = z.infer<typeof operation>;

export const certificate = z.object({
  slug: z.string(),
  hosts: z.array(z.string()),
  issuer: z.string(),
  serial: z.string(),
  notBefore: timestamp,
  notAfter: timestamp,
  renewAt: timestamp,
  condition: condition.optional(),
});

export const operator = z.object({
  name: z.string(),
  instructedUntil: z.string().optional(),
  createdAt: timestamp,
  disabled: z.boolean(),
});
export const createOperator = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9._-]{0,39}$/, "must be a lower-case name such as anna.schmidt"),
  instructedUntil: z.iso.date().optional(),
});
export const token = z.object({
  id: z.uuid(),
  operator: z.string(),
  label: z.string(),
  scope: z.enum(TOKEN_SCOPES),
  createdAt: timestamp,
  expiresAt: timestamp,
  revoked: z.boolean(),
});
export const createToken = z.strictObject({
  label: text(80),
  days: z.int().min(1).max(365).default(90),
  /** `metrics` opens /metrics and nothing else. */
  scope: z.enum(TOKEN_SCOPES).default("operator"),
});

export const auditEntry = z.object({
  sequence: z.number(),
  at: timestamp,
  operator: z.string(),
  token: z.string().optional(),
  source: z.string(),
  action: z.string(),
  slug: z.string().optional(),
  tenantUid: z.string().optional(),
  reason: z.string().optional(),
  detail: z.record(z.string(), z.json()),
  previousHash: z.string(),
  hash: z.string(),
});

/** An engine: where schools live. */
export const engine = z.object({
  name: z.string(),
  kind: z.string(),
  country: z.string(),
  labels: z.record(z.string(), z.string()),
  capacity: z.number().optional(),
  schools: z.number(),
  /** Stopped copies of schools that were moved away, until their moves are confirmed. */
  copies: z.number(),
  cordoned: z.boolean(),
  /** Not configured any more; schools are left there. */
  retired: z.boolean(),
  /** Whether a school may be made there: no required check failed without an override. */
  fit: z.boolean(),
  findings: z.array(
    z.object({
      check: z.string(),
      ok: z.boolean(),
      message: z.string(),
      remedy: z.string().optional(),
      required: z.boolean().optional(),
    }),
  ),
  overrides: z.array(z.object({ check: z.string(), operator: z.string(), reason: z.string(), createdAt: timestamp })),
  lookedAt: timestamp.optional(),
  triedAt: timestamp.optional(),
});
export type EngineView = z.infer<typeof engine>;

/** A version on its way to the schools of an engine. */
export const rollout = z.object({
  engine: z.string(),
  version,
  /** What it goes back to. */
  previous: version.optional(),
  state: z.enum(ROLLOUT_STATES),
  /** Whether the first schools stayed well with it, or an operator said that it is good. */
  proven: z.boolean(),
  /** How many schools stayed well with it before it was proven. */
  provenBy: z.number(),
  /** Why it stands still. */
  reason: z.string().optional(),
  startedAt: timestamp,
  changedAt: timestamp,
  policy: z.object({
    first: z.number(),
    atOnce: z.number(),
    healthySeconds: z.number(),
    deadlineSeconds: z.number(),
  }),
  schools: z.object({ updated: z.number(), waiting: z.number(), pinned: z.number(), onTrial: z.number() }),
  /** Schools that were given a version a moment ago. */
  trials: z.array(z.object({ slug: z.string(), state: z.string(), since: timestamp, message: z.string().optional() })),
});
export type RolloutView = z.infer<typeof rollout>;

export const overrideCheck = z.strictObject({ check: z.string().max(60), reason: text(500) });

/** The platform's clock. While it is not `trusted`, nothing is done because of a date. */
export const clock = z.object({
  now: timestamp,
  lastSeen: timestamp.optional(),
  trusted: z.boolean(),
  jumpedAt: timestamp.optional(),
});
export type ClockView = z.infer<typeof clock>;

/** The date as the operator knows it, so that nobody vouches for a clock without looking. */
export const confirmClock = z.strictObject({ date: z.iso.date(), reason: text(500) });

export const errorBody = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    field: z.string().optional(),
    remedy: z.string().optional(),
  }),
});
