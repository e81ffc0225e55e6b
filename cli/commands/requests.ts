import { type FileHandle, open, unlink } from "node:fs/promises";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import type { Command } from "commander";
import { type DisclosureReport, reportPage } from "../disclosure-report.ts";
import { CliError, Ended, EXIT } from "../errors.ts";
import { details } from "../output.ts";
import { REASON_OF_REACHING_IN, requireReason, SHOWN_TO_THE_SCHOOL } from "../reason.ts";
import { createRecipient } from "../sealed.ts";
import { type CommonOptions, confirmSlug, connect, print, type Session } from "../session.ts";
import type { Operation, Tenant } from "../types.ts";
import { LONG_WORK_MS, waitForOperation } from "../wait.ts";

interface DisclosureOptions extends CommonOptions {
  readonly reason?: string;
  readonly request: string;
  readonly identityChecked: string;
  readonly identityBy?: string;
  readonly identityOn?: string;
  readonly out: string;
}

interface Target {
  readonly path: string;
  readonly file: FileHandle;
}

/** Makes files that only their owner reads, before anything is asked for. @throws CliError when one is there already */
async function reserve(paths: readonly string[]): Promise<readonly Target[]> {
  const targets: Target[] = [];
  try {
    for (const path of paths) targets.push({ path, file: await open(path, "wx", 0o600) });
    return targets;
  } catch (error) {
    await discard(targets);
    const why =
      error instanceof Error && "code" in error && error.code === "EEXIST" ? "exists already" : "cannot be written";
    throw new CliError(EXIT.refused, `${paths[targets.length]} ${why}. Nothing was asked for.`, {
      field: "out",
      remedy: "Name another file with --out, or delete it if it is empty: an earlier call was cut off.",
    });
  }
}

async function discard(targets: readonly Target[]): Promise<void> {
  for (const { path, file } of targets) {
    await file.close().catch(() => undefined);
    await unlink(path).catch(() => undefined);
  }
}

async function disclose(session: Session, slug: string, person: string, options: DisclosureOptions): Promise<void> {
  const { reason, request, identityChecked: how, identityBy: by, identityOn: on, out } = options;
  requireReason(reason, "A disclosure", SHOWN_TO_THE_SCHOOL);
  const client = connect(session, options);
  const recipient = await createRecipient();
  const targets = await reserve([`${out}.html`, `${out}.json`]);
  const identity = { how, ...(by === undefined ? {} : { by }), ...(on === undefined ? {} : { on }) };
  let counts: { readonly tables: number; readonly rows: number };
  try {
    const { displayName: name, url } = await client.get<Tenant>(`/v1/tenants/${encodeURIComponent(slug)}`);
    const path = `/v1/tenants/${encodeURIComponent(slug)}/disclosures`;
    const body = { person, request, identity, reason, recipient: recipient.publicKey };
    const started = await client.post<Operation>(path, body);
    const { result } = await waitForOperation(client, session.terminal, started, LONG_WORK_MS);
    const { sealedReport, tables, rows } = result as { sealedReport: string; tables: number; rows: number };
    counts = { tables, rows };
    const json = await promisify(gunzip)(await recipient.openBytes(sealedReport));
    const report = JSON.parse(json.toString("utf8")) as DisclosureReport;
    if (report.format !== "classmind-auskunft/1") throw new Error(`a report of the form ${report.format} is unknown`);
    const contents = [reportPage(report, { name, url }), `${JSON.stringify(report, null, 2)}\n`];
    for (const [index, { file }] of targets.entries()) await file.writeFile(contents[index] ?? "");
  } catch (error) {
    await discard(targets);
    throw error;
  }
  for (const { file } of targets) await file.close();
  const files = targets.map(({ path }) => path);
  print(session, options, { slug, person, files, ...counts }, () =>
    details([
      ["Person", person],
      ["Report", files.join(", ")],
      ["Stored", `${counts.rows} rows of ${counts.tables} kinds`],
      ["Next", "hand it to the person alone, on paper or sealed, and delete both files"],
    ]),
  );
}

interface TakedownOptions extends CommonOptions {
  readonly reason?: string;
  readonly notice: string;
  readonly tellOwner: string;
  readonly yes?: boolean;
}

async function takeDown(session: Session, slug: string, file: string, options: TakedownOptions): Promise<void> {
  const { reason, notice, tellOwner: ownerReason, yes } = options;
  requireReason(reason, "A takedown", SHOWN_TO_THE_SCHOOL);
  await confirmSlug(session, slug, yes, `The file ${file} of ${slug} becomes unreadable for everybody, for good.`);
  const client = connect(session, options);
  const path = `/v1/tenants/${encodeURIComponent(slug)}/takedowns`;
  const started = await client.post<Operation>(path, { file, notice, reason, ownerReason });
  const { result } = await waitForOperation(client, session.terminal, started, LONG_WORK_MS);
  const done = result as { file: string; removed: boolean; since?: string };
  print(session, options, { slug, ...done }, ({ removed, since }) =>
    details([
      ["File", done.file],
      [
        "Taken down",
        removed
          ? "yes: nobody can read it; its owner is told in the app; what is left of it goes within two days"
          : since === undefined
            ? "no: no file of this school has that id, or not any more; check the address"
            : `already, on ${since}: nothing to do`,
      ],
    ]),
  );
  // Somebody waits for this file to go: a mistyped address must not look like success.
  if (!done.removed && done.since === undefined) throw new Ended(EXIT.notFound);
}

/** `classmind disclosure …` and `classmind takedown …` */
export function addRequestCommands(program: Command, session: Session): void {
  program
    .command("disclosure")
    .description("answer somebody who asks what is stored about them")
    .command("create <slug> <person>")
    .description("put together all that a school stores about a person (user name or id), each value with its purpose")
    .requiredOption("--request <reference>", "the recorded request")
    .requiredOption("--identity-checked <how>", "how the identity was checked")
    .option("--identity-by <who>", "who checked it; you if absent")
    .option("--identity-on <date>", "when (YYYY-MM-DD); today if absent")
    .requiredOption("--out <name>", "where the report goes: NAME.html and NAME.json, readable by you alone")
    .option("--reason <text>", REASON_OF_REACHING_IN)
    .addHelpText(
      "after",
      '\nExample:\n  $ classmind disclosure create goethe mia.muster --request DS-2026-17 --identity-checked "Personalausweis im Sekretariat" --reason "Antrag nach Art. 15" --out auskunft-17',
    )
    .action((slug: string, person: string, _options: unknown, command: Command) =>
      disclose(session, slug, person, command.optsWithGlobals<DisclosureOptions>()),
    );
  program
    .command("takedown <slug> <file>")
    .description("make a file of a school unreadable for good (its id, or its address); its owner is told when and why")
    .requiredOption("--notice <reference>", "the recorded notice")
    .requiredOption("--tell-owner <text>", "why, in words for the owner: they are shown it as it is")
    .option("--reason <text>", REASON_OF_REACHING_IN)
    .option("-y, --yes", "do not ask")
    .addHelpText(
      "after",
      '\nExample:\n  $ classmind takedown goethe https://goethe.classmind.de/dateien/6504eb6f-43d9-4e56-afe3-564b5bde4912 --notice M-2026-4 --reason "Meldung des Verlags, geprüft" --tell-owner "Die Datei enthält ein Schulbuch, an dem Sie keine Rechte haben."',
    )
    .action((slug: string, file: string, _options: unknown, command: Command) =>
      takeDown(session, slug, file, command.optsWithGlobals<TakedownOptions>()),
    );
}
