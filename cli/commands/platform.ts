import type { Command } from "commander";
import { CliError, EXIT } from "../errors.ts";
import { type Column, details, json, span, table } from "../output.ts";
import { type CommonOptions, connect, print, type Session } from "../session.ts";
import type { Condition, Operation } from "../types.ts";
import { waitForOperation } from "../wait.ts";

const MINUTES = 60_000;

interface Certificate {
  readonly slug: string;
  readonly hosts: readonly string[];
  readonly issuer: string;
  readonly serial: string;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly renewAt: string;
  readonly condition?: Condition;
}

interface AuditEntry {
  readonly sequence: number;
  readonly at: string;
  readonly operator: string;
  readonly source: string;
  readonly action: string;
  readonly slug?: string;
  readonly reason?: string;
}

interface Operator {
  readonly name: string;
  readonly instructedUntil?: string;
  readonly createdAt: string;
  readonly disabled: boolean;
}

interface IsolationResult {
  readonly tried: number;
  readonly byKind: Readonly<Record<string, number>>;
  readonly holes: ReadonlyArray<{
    readonly kind: string;
    readonly label: string;
    readonly host: string;
    readonly port: number;
    readonly outcome: string;
    readonly remedy?: string;
  }>;
}

const CERTIFICATES: readonly Column<Certificate>[] = [
  { title: "SCHOOL", value: (certificate) => certificate.slug },
  { title: "HOST", value: (certificate) => certificate.hosts.join(", "), flexible: true },
  { title: "ISSUER", value: (certificate) => certificate.issuer },
  { title: "LEFT", value: (certificate) => span(Date.parse(certificate.notAfter) - Date.now()) },
  { title: "RENEWED IN", value: (certificate) => span(Date.parse(certificate.renewAt) - Date.now()) },
  { title: "STATE", value: (certificate) => certificate.condition?.reason ?? "" },
];

const AUDIT: readonly Column<AuditEntry>[] = [
  { title: "NO", value: (entry) => String(entry.sequence) },
  { title: "AT", value: (entry) => entry.at.slice(0, 19) },
  { title: "OPERATOR", value: (entry) => entry.operator },
  { title: "FROM", value: (entry) => entry.source },
  { title: "ACTION", value: (entry) => entry.action },
  { title: "SCHOOL", value: (entry) => entry.slug ?? "" },
  { title: "REASON", value: (entry) => entry.reason ?? "", flexible: true },
];

const OPERATORS: readonly Column<Operator>[] = [
  { title: "OPERATOR", value: (operator) => operator.name },
  { title: "INSTRUCTED UNTIL", value: (operator) => operator.instructedUntil ?? "never" },
  { title: "STATE", value: (operator) => (operator.disabled ? "disabled" : "active") },
];

function addCertificateCommands(program: Command, session: Session): void {
  const cert = program.command("cert").description("certificates of the schools");
  cert
    .command("list")
    .description("all certificates with the time they have left")
    .action(async (_options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>();
      const client = connect(session, options);
      const items: Certificate[] = [];
      let after = "";
      do {
        const page = await client.get<{ items: Certificate[]; next?: string }>(`/v1/certificates?limit=500${after}`);
        items.push(...page.items);
        after = page.next === undefined ? "" : `&after=${encodeURIComponent(page.next)}`;
      } while (after !== "");
      print(session, options, { items }, (value) =>
        table(CERTIFICATES, value.items, session.terminal.width, "No certificates yet."),
      );
    });
  cert
    .command("show <slug>")
    .description("one school's certificate")
    .action(async (slug: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>();
      const { certificate } = await connect(session, options).get<{
        certificate?: Omit<Certificate, "slug" | "hosts">;
      }>(`/v1/tenants/${encodeURIComponent(slug)}`);
      if (certificate === undefined) throw new CliError(EXIT.notFound, `${slug} has no certificate yet.`);
      print(session, options, certificate, (value) =>
        details([
          ["Issuer", value.issuer],
          ["Serial", value.serial],
          ["Valid from", value.notBefore],
          ["Valid until", value.notAfter],
          ["Renewed after", value.renewAt],
        ]),
      );
    });
  cert
    .command("renew <slug>")
    .description("renew a school's certificate now; no connection is dropped")
    .option("--reason <text>", "why; kept in the audit")
    .action(async (slug: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & { reason?: string }>();
      const client = connect(session, options);
      const started = await client.post<Operation>(
        `/v1/tenants/${encodeURIComponent(slug)}/certificate/renew`,
        options.reason === undefined ? {} : { reason: options.reason },
      );
      print(
        session,
        options,
        await waitForOperation(client, session.terminal, started, 5 * MINUTES),
        () => `The certificate of ${slug} is renewed.\n`,
      );
    });
}

function addAuditCommands(program: Command, session: Session): void {
  const audit = program.command("audit").description("what operators did");
  audit
    .command("list")
    .description("newest entries first")
    .option("--school <slug>", "only this school's")
    .option("--limit <n>", "at most so many", "50")
    .action(async (_options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & { school?: string; limit: string }>();
      const school = options.school === undefined ? "" : `&slug=${encodeURIComponent(options.school)}`;
      const page = await connect(session, options).get<{ items: AuditEntry[] }>(
        `/v1/audit?limit=${encodeURIComponent(options.limit)}${school}`,
      );
      print(session, options, page, (value) =>
        table(AUDIT, value.items, session.terminal.width, "Nothing is recorded yet."),
      );
    });
  audit
    .command("verify")
    .description("check the whole chain of hashes; exit code 7 when it does not hold")
    .action(async (_options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>();
      const result = await connect(session, options).get<{ entries: number; head: string; fault?: string }>(
        "/v1/audit/verify",
      );
      print(
        session,
        options,
        result,
        (value) => `${value.entries} entries, last hash ${value.head}. ${value.fault ?? "The chain holds."}\n`,
      );
      if (result.fault !== undefined)
        throw new CliError(EXIT.failed, result.fault, {
          remedy: "Someone changed the audit behind the platform's back: compare with a backup of the control plane.",
        });
    });
}

function addOperatorCommands(program: Command, session: Session): void {
  const operator = program.command("operator").description("who may work with this platform");
  operator
    .command("create <name>")
    .description("record an operator, or a new date of privacy instruction")
    .option("--instructed-until <date>", "day until which the privacy instruction is valid, e.g. 2027-06-30")
    .addHelpText("after", "\nExample:\n  $ classmind operator create anna.schmidt --instructed-until 2027-06-30")
    .action(async (name: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & { instructedUntil?: string }>();
      const body = {
        name,
        ...(options.instructedUntil === undefined ? {} : { instructedUntil: options.instructedUntil }),
      };
      const made = await connect(session, options).post<Operator>("/v1/operators", body);
      print(
        session,
        options,
        made,
        (value) => `${value.name} is recorded. Next: classmind operator token ${value.name} --label laptop\n`,
      );
    });
  operator
    .command("list")
    .description("all operators")
    .action(async (_options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>();
      print(session, options, await connect(session, options).get<{ items: Operator[] }>("/v1/operators"), (value) =>
        table(OPERATORS, value.items, session.terminal.width, "No operators."),
      );
    });
  operator
    .command("token <name>")
    .description("make a token; it is shown once")
    .requiredOption("--label <text>", "what it is for, e.g. laptop")
    .option("--days <n>", "valid for so many days", "90")
    .option("--metrics", "it reads the metrics and does nothing else: for a program that collects them")
    .action(async (name: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & { label: string; days: string; metrics?: true }>();
      const made = await connect(session, options).post<{ token: string; info: { expiresAt: string } }>(
        `/v1/operators/${encodeURIComponent(name)}/tokens`,
        { label: options.label, days: Number(options.days), ...(options.metrics === true ? { scope: "metrics" } : {}) },
      );
      print(session, options, made, (value) =>
        details([
          ["Token", value.token],
          ["Valid until", value.info.expiresAt],
        ]),
      );
    });
  operator
    .command("disable <name>")
    .description("disable an operator; their tokens stop working at once")
    .option("--reason <text>", "why; kept in the audit")
    .action(async (name: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & { reason?: string }>();
      const done = await connect(session, options).post<{ name: string }>(
        `/v1/operators/${encodeURIComponent(name)}/disable`,
        options.reason === undefined ? {} : { reason: options.reason },
      );
      print(session, options, done, (value) => `${value.name} is disabled.\n`);
    });
}

function describeIsolation(slug: string, result: IsolationResult): string {
  const counts = Object.entries(result.byKind).map(([kind, count]) => `  ${String(count).padStart(5)}  ${kind}\n`);
  const holes = result.holes.map((hole) => {
    // What was seen from outside has no port.
    const where = hole.port === 0 ? hole.host : `${hole.host}:${hole.port}, ${hole.outcome}`;
    const next = hole.remedy === undefined ? "" : `        Next: ${hole.remedy}\n`;
    return `  HOLE  ${hole.label} (${where})\n${next}`;
  });
  const verdict =
    holes.length === 0 ? `${slug} reached none of them.\n` : `${slug} is not isolated:\n${holes.join("")}`;
  return `Tried from inside ${slug}: ${result.tried} targets\n${counts.join("")}${verdict}`;
}

function addVerifyCommands(program: Command, session: Session): void {
  program
    .command("verify")
    .description("prove what is promised")
    .command("isolation <slug>")
    .description("try from inside a school everything that must be refused; exit code 7 when anything is reached")
    .option("--reason <text>", "why; kept in the audit")
    .action(async (slug: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & { reason?: string }>();
      const client = connect(session, options);
      const started = await client.post<Operation>(
        `/v1/tenants/${encodeURIComponent(slug)}/verify/isolation`,
        options.reason === undefined ? {} : { reason: options.reason },
      );
      const finished = await waitForOperation(client, session.terminal, started, 10 * MINUTES);
      const answer: unknown = finished.result;
      const result = answer as IsolationResult;
      print(session, options, result, (value) => describeIsolation(slug, value));
      if (result.holes.length > 0)
        throw new CliError(EXIT.failed, `${slug} is not isolated.`, {
          remedy: "Suspend the school until the hole is closed; classmind doctor may name the cause.",
        });
    });
}

/** `classmind cert|audit|operator|verify …` */
export function addPlatformCommands(program: Command, session: Session): void {
  addCertificateCommands(program, session);
  addAuditCommands(program, session);
  addOperatorCommands(program, session);
  addVerifyCommands(program, session);
  program
    .command("whoami")
    .description("the platform, its schools by phase, and who you are there")
    .action(async (_options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>();
      print(session, options, await connect(session, options).get<Record<string, unknown>>("/v1/platform"), json);
    });
}
