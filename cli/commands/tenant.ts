import { randomUUID } from "node:crypto";
import type { Command } from "commander";
import { quantityToBytes } from "../../control-plane/render/values.ts";
import { slugProblem } from "../../control-plane/slug.ts";
import { PLAN_LIMITS, PLANS } from "../../control-plane/tenant.ts";
import type { Client } from "../client.ts";
import { CliError, EXIT } from "../errors.ts";
import { bytes, type Column, details, json, span, table } from "../output.ts";
import { requireReason } from "../reason.ts";
import { createRecipient } from "../sealed.ts";
import { type CommonOptions, confirmSlug, connect, print, type Session } from "../session.ts";
import { showMoment } from "../time.ts";
import type { Operation, Tenant } from "../types.ts";
import { waitForOperation, waitForTenant } from "../wait.ts";
import { addMoveCommand } from "./move.ts";
import { addAccountCommands } from "./tenant-accounts.ts";

const MINUTES = 60_000;
const READY_TIMEOUT = 10 * MINUTES;

interface ChangeOptions extends CommonOptions {
  readonly reason?: string;
  readonly yes?: boolean;
  readonly wait: boolean;
}

interface CreateOptions extends CommonOptions {
  readonly name: string;
  readonly contract?: string;
  readonly demo?: boolean;
  readonly empty?: boolean;
  readonly plan: string;
  readonly storage?: string;
  readonly overcommit?: boolean;
  readonly avv?: string;
  readonly clause: readonly string[];
  readonly adminFirstName?: string;
  readonly adminLastName?: string;
  readonly adminEmail?: string;
  readonly country?: string;
  readonly engine?: string;
  readonly label: readonly string[];
  readonly wait: boolean;
}

export function readyCondition(tenant: Tenant): {
  readonly reason: string;
  readonly message: string;
  readonly since: string;
} {
  const condition = tenant.conditions.find((candidate) => candidate.type === "Ready");
  return {
    reason: condition?.reason ?? "",
    message: condition?.message ?? "",
    since: condition?.lastTransitionTime ?? tenant.createdAt,
  };
}

const age = (time: string | undefined): string => (time === undefined ? "–" : span(Date.now() - Date.parse(time)));

const COLUMNS: readonly Column<Tenant>[] = [
  { title: "SCHOOL", value: (tenant) => tenant.slug },
  { title: "NAME", value: (tenant) => tenant.displayName, flexible: true },
  { title: "PHASE", value: (tenant) => tenant.phase },
  { title: "REASON", value: (tenant) => readyCondition(tenant).reason, flexible: true },
  { title: "SINCE", value: (tenant) => age(readyCondition(tenant).since) },
  { title: "BACKUP", value: (tenant) => age(tenant.backup?.newest) },
  { title: "PLAN", value: (tenant) => tenant.plan },
  { title: "ENGINE", value: (tenant) => tenant.engine, flexible: true },
];

function termsText(tenant: Tenant): string {
  return tenant.terms.kind === "contract"
    ? `contract ${tenant.terms.reference}`
    : `demo until ${tenant.terms.expiresAt.slice(0, 10)}${tenant.terms.invented === true ? ", filled with invented people" : ""}`;
}

const tagOf = (reference: string): string => reference.slice(reference.lastIndexOf("/") + 1);

function versionText({ version, pin }: Tenant): string {
  const own = `${tagOf(version?.app ?? "")}, ${tagOf(version?.postgres ?? "")}`;
  if (pin === undefined) return own;
  return `${own}; pinned by ${pin.operator}, ${showMoment(pin.at)}${pin.reason === undefined ? "" : ` (${pin.reason})`}`;
}

export function describeTenant(tenant: Tenant): string {
  const head = details([
    ["School", `${tenant.slug} (${tenant.displayName})`],
    ["Address", tenant.url],
    ["Phase", tenant.phase],
    ["Terms", termsText(tenant)],
    ["Agreement", tenant.agreement?.version],
    ["Plan", `${tenant.plan}, ${tenant.storage}`],
    ["Lives on", `${tenant.engine} (has to stay in ${tenant.country})`],
    [
      "Copy left on",
      tenant.leftEngine === undefined
        ? undefined
        : `${tenant.leftEngine}, until: classmind tenant move ${tenant.slug} --confirm`,
    ],
    [
      "Volume",
      tenant.volume === undefined
        ? undefined
        : `${bytes(tenant.volume.usedBytes)} of ${bytes(tenant.volume.capacityBytes)}`,
    ],
    ["Version", tenant.version === undefined ? undefined : versionText(tenant)],
    ["Administrator", tenant.administrator?.username],
    [
      "Certificate",
      tenant.certificate === undefined
        ? undefined
        : `until ${tenant.certificate.notAfter.slice(0, 10)}, renewed after ${tenant.certificate.renewAt.slice(0, 10)}`,
    ],
    ["Newest backup", tenant.backup?.newest === undefined ? undefined : showMoment(tenant.backup.newest)],
    ["Next backup", tenant.backup?.next === undefined ? undefined : showMoment(tenant.backup.next)],
    ...tenant.volumes.aside.map(({ claim, since, why }): [string, string] => [
      "Kept aside",
      `${claim}: ${why}, ${showMoment(since)}; remove it with: classmind backup confirm ${tenant.slug}`,
    ]),
    ["Protected", tenant.protected ? "from deletion" : undefined],
    [
      "Deleted",
      tenant.deletion === undefined
        ? undefined
        : `${showMoment(tenant.deletion.requestedAt)}, purged after ${showMoment(tenant.deletion.purgeAfter)}`,
    ],
    [
      "Purge asked for",
      tenant.purgeRequest === undefined
        ? undefined
        : `by ${tenant.purgeRequest.operator} (${tenant.purgeRequest.reason}); another operator: classmind tenant purge ${tenant.slug} --reason "…"`,
    ],
    ["Looked at", tenant.observedAt === undefined ? undefined : `${age(tenant.observedAt)} ago`],
  ]);
  const columns: readonly Column<Tenant["conditions"][number]>[] = [
    { title: "CONDITION", value: (condition) => condition.type },
    { title: "STATUS", value: (condition) => condition.status },
    { title: "REASON", value: (condition) => condition.reason },
    { title: "SINCE", value: (condition) => age(condition.lastTransitionTime) },
    { title: "MESSAGE", value: (condition) => condition.message },
  ];
  return `${head}\n${table(columns, tenant.conditions, Number.POSITIVE_INFINITY, "No conditions yet.")}`;
}

function placementOf({ country, engine, label }: CreateOptions): Record<string, unknown> {
  const labels = label.map((text) => {
    const [key = "", ...value] = text.split("=");
    if (key === "" || value.length === 0)
      throw new CliError(EXIT.usage, `--label ${text} is not KEY=VALUE.`, { field: "labels" });
    return [key, value.join("=")] as const;
  });
  return {
    ...(country === undefined ? {} : { country }),
    ...(engine === undefined ? {} : { engine }),
    ...(labels.length === 0 ? {} : { labels: Object.fromEntries(labels) }),
  };
}

function createBody(slug: string, options: CreateOptions, recipient: unknown): unknown {
  if ((options.contract === undefined) === (options.demo !== true)) {
    throw new CliError(EXIT.usage, "A school is either under contract or a demo.", {
      remedy: "Give --contract REF or --demo.",
      field: "terms",
    });
  }
  if (options.empty === true && options.demo !== true) {
    throw new CliError(EXIT.usage, "A school under contract is always empty at first.", {
      remedy: "Leave --empty out, or give --demo instead of --contract.",
      field: "empty",
    });
  }
  const person = {
    firstName: options.adminFirstName ?? "Schul",
    lastName: options.adminLastName ?? "Administration",
    // A name that cannot be is refused as such, not as part of an address that nobody gave.
    email: options.adminEmail ?? `administration@${slugProblem(slug) === undefined ? slug : "school"}.invalid`,
    recipient,
  };
  return {
    slug,
    displayName: options.name,
    terms:
      options.contract === undefined
        ? { kind: "demo", invented: options.empty !== true }
        : { kind: "contract", reference: options.contract },
    plan: options.plan,
    administrator: person,
    ...(options.storage === undefined ? {} : { storage: options.storage }),
    ...(options.overcommit === true ? { overcommit: true } : {}),
    ...placementOf(options),
    ...(options.avv === undefined ? {} : { agreement: { version: options.avv, clauses: options.clause } }),
  };
}

/** What `tenant create -o json` prints; documented in docs/cli.md, stable. */
export interface CreatedTenant {
  readonly slug: string;
  readonly url: string;
  readonly phase: string;
  readonly admin: { readonly username: string; readonly password: string | null };
  readonly steps: Tenant["steps"];
  readonly milliseconds: number;
}

/** Creates a school and waits until it is open; opens the one-time password that the school sealed for us. */
export async function createTenant(session: Session, slug: string, options: CreateOptions): Promise<CreatedTenant> {
  const started = performance.now();
  const recipient = await createRecipient();
  const body = createBody(slug, options, recipient.publicKey);
  const client = connect(session, options);
  const created = await client.post<Tenant>("/v1/tenants", body, { "idempotency-key": randomUUID() });
  session.terminal.err(`Creating ${created.slug} (${created.url})\n`);
  const tenant = options.wait
    ? await waitForTenant(client, session.terminal, slug, (latest) => latest?.phase === "Ready", READY_TIMEOUT)
    : created;
  if (tenant === undefined) throw new CliError(EXIT.failed, `${slug} was removed while it was being created.`);
  const sealed = tenant.administrator?.sealedPassword;
  return {
    slug,
    url: tenant.url,
    phase: tenant.phase,
    admin: {
      username: tenant.administrator?.username ?? "",
      password: sealed === undefined ? null : await recipient.open(sealed),
    },
    steps: tenant.steps,
    milliseconds: Math.round(performance.now() - started),
  };
}

function describeCreated(created: CreatedTenant): string {
  return details([
    ["School", created.slug],
    ["Address", created.url],
    ["Phase", created.phase],
    ["User name", created.admin.username],
    ["One-time password", created.admin.password ?? "(not ready yet: classmind tenant reset-password)"],
    ["Time", `${(created.milliseconds / 1000).toFixed(1)} s`],
  ]);
}

async function listAll(client: Client, query: string, limit: number): Promise<readonly Tenant[]> {
  const items: Tenant[] = [];
  let after = "";
  do {
    const page = await client.get<{ items: Tenant[]; next?: string }>(
      `/v1/tenants?limit=${Math.min(500, limit - items.length)}${query}${after}`,
    );
    items.push(...page.items);
    after = page.next === undefined ? "" : `&after=${encodeURIComponent(page.next)}`;
  } while (after !== "" && items.length < limit);
  return items;
}

interface Change {
  readonly verb: string;
  readonly summary: string;
  /** Phases in which it is done; "any": at once. */
  readonly target: readonly string[];
  readonly consequence?: string;
  readonly confirm?: boolean;
  readonly example: string;
}

const CHANGES: readonly Change[] = [
  {
    verb: "suspend",
    summary: "stop a school and lock its volume, so that nobody can read it",
    target: ["Suspended"],
    consequence: "Pupils and teachers are logged out and see a page that says the school is closed.",
    example: 'classmind tenant suspend goethe --reason "Wartung" --yes',
  },
  {
    verb: "resume",
    summary: "unlock and start a suspended school",
    target: ["Ready"],
    example: "classmind tenant resume goethe",
  },
  {
    verb: "delete",
    summary: "delete a school; it can be undeleted until the grace period ends",
    target: ["Deleted"],
    consequence: "The school closes now. After the grace period its data, backups and keys are destroyed for good.",
    confirm: true,
    example: 'classmind tenant delete goethe --reason "Vertrag beendet"',
  },
  {
    verb: "undelete",
    summary: "take a deletion back during the grace period",
    target: ["Ready", "Suspended"],
    example: "classmind tenant undelete goethe",
  },
  {
    verb: "protect",
    summary: "let nobody delete or purge a school",
    target: ["any"],
    example: "classmind tenant protect goethe",
  },
  {
    verb: "unprotect",
    summary: "let a school be deleted again",
    target: ["any"],
    example: 'classmind tenant unprotect goethe --reason "Vertrag beendet"',
  },
];

function addChange(tenant: Command, session: Session, change: Change): void {
  tenant
    .command(`${change.verb} <slug>`)
    .description(change.summary)
    .option("--reason <text>", "why; kept in the audit")
    .option("-y, --yes", "do not ask")
    .option("--no-wait", "return at once")
    .addHelpText("after", `\nExample:\n  $ ${change.example}`)
    .action(async (slug: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<ChangeOptions>();
      if (change.consequence !== undefined) await confirmSlug(session, slug, options.yes, change.consequence);
      const client = connect(session, options);
      const body = {
        ...(options.reason === undefined ? {} : { reason: options.reason }),
        ...(change.confirm === true ? { confirm: slug } : {}),
      };
      const asked = await client.post<Tenant>(`/v1/tenants/${encodeURIComponent(slug)}/${change.verb}`, body);
      if (!options.wait || change.target.includes("any")) return print(session, options, asked, describeTenant);
      const reached = (latest: Tenant | undefined): boolean =>
        latest !== undefined && latest.observedGeneration >= asked.generation && change.target.includes(latest.phase);
      const result = await waitForTenant(client, session.terminal, slug, reached, READY_TIMEOUT);
      print(session, options, result ?? asked, describeTenant);
    });
}

interface PurgeOptions extends ChangeOptions {
  readonly withoutVerification?: boolean;
}

async function purge(session: Session, slug: string, options: PurgeOptions): Promise<void> {
  const { reason, withoutVerification, yes, wait } = options;
  requireReason(reason, "A purge");
  await confirmSlug(
    session,
    slug,
    yes,
    "This destroys all data, all backups and all keys of the school. It cannot be undone by anyone.",
  );
  const client = connect(session, options);
  const body = { confirm: slug, reason, ...(withoutVerification === true ? { withoutVerification } : {}) };
  const asked = await client.post<Tenant>(`/v1/tenants/${encodeURIComponent(slug)}/purge`, body);
  if (asked.purgeRequest !== undefined || !wait) return print(session, options, asked, describePurgeAsked);
  const gone = (latest: Tenant | undefined): boolean => latest === undefined;
  await waitForTenant(client, session.terminal, slug, gone, READY_TIMEOUT);
  print(
    session,
    options,
    { slug, phase: "Purged" },
    () => `${slug} is destroyed for good; its keys are gone, and with them every backup of it.\n`,
  );
}

function describePurgeAsked(tenant: Tenant): string {
  if (tenant.purgeRequest === undefined) return describeTenant(tenant);
  return details([
    ["School", `${tenant.slug} is not purged yet`],
    ["Waits for", "a second operator, who says the same:"],
    ["", `classmind tenant purge ${tenant.slug} --reason "…"`],
    ["Otherwise", `it is purged after ${showMoment(tenant.deletion?.purgeAfter ?? "")}`],
  ]);
}

/** A plan brings its storage along: said, and asked for, because a volume never shrinks again. */
async function grownBy(
  session: Session,
  client: Client,
  slug: string,
  { plan, storage, yes }: { plan?: string; storage?: string; yes?: boolean },
): Promise<{ storage?: string }> {
  const comes = PLANS.find((name) => name === plan);
  if (comes === undefined || storage !== undefined) return {};
  const tenant = await client.get<Tenant>(`/v1/tenants/${encodeURIComponent(slug)}`);
  const wanted = PLAN_LIMITS[comes].storage;
  if (comes === tenant.plan || wanted === tenant.storage) return {};
  if (quantityToBytes(wanted) < quantityToBytes(tenant.storage)) return { storage: tenant.storage };
  await confirmSlug(
    session,
    slug,
    yes,
    `The plan ${comes} comes with ${wanted}: the volume grows from ${tenant.storage}, and can never shrink again. To keep its size, give --storage ${tenant.storage}.`,
  );
  return { storage: wanted };
}

interface UpdateOptions extends ChangeOptions {
  readonly name?: string;
  readonly plan?: string;
  readonly storage?: string;
  readonly overcommit?: boolean;
  readonly contract?: string;
  readonly backup?: string;
}

function updateBody({ name, plan, storage, overcommit, contract, backup, reason }: UpdateOptions): object {
  if (backup !== undefined && backup !== "on" && backup !== "off")
    throw new CliError(EXIT.usage, `--backup is on or off, not ${backup}.`, { field: "backup" });
  return {
    ...(name === undefined ? {} : { displayName: name }),
    ...(plan === undefined ? {} : { plan }),
    ...(storage === undefined ? {} : { storage }),
    ...(contract === undefined ? {} : { terms: { kind: "contract", reference: contract } }),
    ...(backup === undefined ? {} : { backup: { enabled: backup === "on" } }),
    ...(overcommit === true ? { overcommit: true } : {}),
    ...(reason === undefined ? {} : { reason }),
  };
}

/** Whoever comes under contract wants a school of their own people. */
async function warnOfInvented(session: Session, client: Client, slug: string): Promise<void> {
  const { terms } = await client.get<Tenant>(`/v1/tenants/${encodeURIComponent(slug)}`);
  if (terms.kind !== "demo" || terms.invented !== true) return;
  session.terminal.err(
    `${slug} was filled with people who do not exist, and keeps them. For an empty school: classmind tenant create ANOTHER-NAME --contract REF\n`,
  );
}

/** `classmind tenant …` */
export function addTenantCommands(program: Command, session: Session): void {
  const tenant = program.command("tenant").description("create, look at, change and remove schools");
  tenant
    .command("create <slug>")
    .description("create a school and wait until it is open")
    .requiredOption("--name <text>", "name of the school")
    .option("--contract <ref>", "reference of the contract")
    .option("--demo", "a demo school, which expires, filled with people who do not exist")
    .option("--empty", "with --demo: without them, for a school that may stay")
    .option("--plan <plan>", "small, medium or large", "small")
    .option("--storage <size>", "size of the volume if not the plan's, e.g. 30Gi")
    .option("--overcommit", "even if the storage has no room for all that is promised")
    .option("--avv <version>", "version of the signed data processing agreement")
    .option(
      "--clause <text>",
      "individual clause of the agreement (repeatable)",
      (text: string, all: readonly string[]) => [...all, text],
      [] as readonly string[],
    )
    .option("--admin-first-name <text>", "first administrator: first name")
    .option("--admin-last-name <text>", "first administrator: last name")
    .option("--admin-email <address>", "first administrator: e-mail address")
    .option("--country <code>", "country the data must stay in, e.g. DE; without it the platform's")
    .option("--engine <name>", "where it is to live; without it the emptiest engine that fits")
    .option(
      "--label <key=value>",
      "label that its engine must carry (repeatable)",
      (text: string, all: readonly string[]) => [...all, text],
      [] as readonly string[],
    )
    .option("--no-wait", "return at once")
    .addHelpText(
      "after",
      '\nExamples:\n  $ classmind tenant create schiller --name "Schiller-Gymnasium" --contract V-1\n  $ classmind tenant create probe --name "Probeschule" --demo -o json',
    )
    .action(async (slug: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CreateOptions>();
      print(session, options, await createTenant(session, slug, options), describeCreated);
    });
  addMoveCommand(tenant, session);
  tenant
    .command("list")
    .description("schools, with what ails them")
    .option("--phase <phase>", "only schools in this phase")
    .option("--search <text>", "only schools with this in one of their names")
    .option("--limit <n>", "at most so many", "1000")
    .addHelpText("after", "\nExample:\n  $ classmind tenant list --phase Degraded")
    .action(async (_options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & { phase?: string; search?: string; limit: string }>();
      const query = [
        options.phase === undefined ? "" : `&phase=${encodeURIComponent(options.phase)}`,
        options.search === undefined ? "" : `&search=${encodeURIComponent(options.search)}`,
      ].join("");
      const items = await listAll(connect(session, options), query, Number(options.limit));
      print(session, options, { items }, (value) =>
        table(
          COLUMNS,
          value.items,
          session.terminal.width,
          "No school matches. Create one: classmind tenant create --help",
        ),
      );
    });
  tenant
    .command("get <slug>")
    .description("one school with its conditions")
    .action(async (slug: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>();
      print(
        session,
        options,
        await connect(session, options).get<Tenant>(`/v1/tenants/${encodeURIComponent(slug)}`),
        describeTenant,
      );
    });
  tenant
    .command("update <slug>")
    .description("change a school's name, plan, storage or contract")
    .option("--name <text>", "name of the school")
    .option("--plan <plan>", "small, medium or large")
    .option("--storage <size>", "size of the volume; it can only grow")
    .option("--overcommit", "even if the storage has no room for all that is promised")
    .option("--contract <ref>", "puts a demo school under contract, or changes the reference")
    .option("--backup <on|off>", "scheduled backups")
    .option("--reason <text>", "why; kept in the audit")
    .option("-y, --yes", "do not ask whether the volume may grow with the plan")
    .option("--no-wait", "return at once")
    .addHelpText("after", "\nExample:\n  $ classmind tenant update goethe --storage 30Gi")
    .action(async (slug: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<UpdateOptions>();
      const body = updateBody(options);
      const client = connect(session, options);
      const grown = await grownBy(session, client, slug, options);
      if (options.contract !== undefined) await warnOfInvented(session, client, slug);
      const asked = await client.patch<Tenant>(`/v1/tenants/${encodeURIComponent(slug)}`, { ...body, ...grown });
      const done = (latest: Tenant | undefined): boolean =>
        latest !== undefined && latest.observedGeneration >= asked.generation && latest.phase !== "Degraded";
      const result = options.wait ? await waitForTenant(client, session.terminal, slug, done, READY_TIMEOUT) : asked;
      print(session, options, result ?? asked, describeTenant);
    });
  for (const change of CHANGES) addChange(tenant, session, change);
  tenant
    .command("purge <slug>")
    .description("destroy a deleted school for good, before its grace period ends: data, backups and keys")
    .option("--reason <text>", "why; kept in the audit (required)")
    .option("--without-verification", "even if its last backup cannot be read back")
    .option("-y, --yes", "do not ask")
    .option("--no-wait", "return at once")
    .addHelpText(
      "after",
      '\nIt has to be deleted first (classmind tenant delete). A second operator has to say the same, unless the platform is set otherwise (earlyPurge).\n\nExample:\n  $ classmind tenant purge goethe --reason "Vertrag beendet, Daten übergeben"',
    )
    .action(async (slug: string, _options: unknown, command: Command) =>
      purge(session, slug, command.optsWithGlobals<PurgeOptions>()),
    );
  tenant
    .command("accept-volume <slug>")
    .description("say that the volume which is there now is the school's (one that was brought back by hand)")
    .option("--identity <id>", "only if it is this one, as the school's condition names it")
    .option("--reason <text>", "why; kept in the audit (required)")
    .option("-y, --yes", "do not ask")
    .addHelpText(
      "after",
      '\nExample:\n  $ classmind tenant accept-volume goethe --reason "PV von Hand wieder gebunden"',
    )
    .action(async (slug: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<ChangeOptions & { identity?: string }>();
      const { reason, identity } = options;
      requireReason(reason, "Accepting a volume");
      await confirmSlug(
        session,
        slug,
        options.yes,
        "The school starts on whatever is on the volume that is there now.",
      );
      const client = connect(session, options);
      const started = await client.post<Operation>(`/v1/tenants/${encodeURIComponent(slug)}/volume/accept`, {
        confirm: slug,
        reason,
        ...(identity === undefined ? {} : { identity }),
      });
      await waitForOperation(client, session.terminal, started, READY_TIMEOUT);
      const shown = await client.get<Tenant>(`/v1/tenants/${encodeURIComponent(slug)}`);
      print(session, options, shown, describeTenant);
    });
  tenant
    .command("open <slug>")
    .description("print a school's address")
    .action(async (slug: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>();
      const { url } = await connect(session, options).get<Tenant>(`/v1/tenants/${encodeURIComponent(slug)}`);
      print(session, options, { slug, url }, (value) => `${value.url}\n`);
    });
  tenant
    .command("manifests <slug>")
    .description("the Kubernetes objects that a school consists of (JSON; secrets redacted)")
    .action(async (slug: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>();
      const { items } = await connect(session, options).get<{ items: unknown[] }>(
        `/v1/tenants/${encodeURIComponent(slug)}/manifests`,
      );
      session.terminal.out(json({ apiVersion: "v1", kind: "List", items }));
    });
  addAccountCommands(tenant, session);
}
