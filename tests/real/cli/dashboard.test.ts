import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { stripVTControlCharacters } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createClient } from "../../../cli/client.ts";
import { writeContexts } from "../../../cli/context.ts";
import { createEventHub, type EventHub } from "../../../control-plane/api/events.ts";
import { createApiMetrics } from "../../../control-plane/api/metrics.ts";
import { createApi } from "../../../control-plane/api/server.ts";
import { systemClock } from "../../../control-plane/clock.ts";
import { memoryWorld } from "../../../control-plane/engine/simulated/world.ts";
import { silentLog } from "../../../control-plane/log.ts";
import { type Loop, startLoop } from "../../../control-plane/reconcile/loop.ts";
import { createToken, putOperator } from "../../../control-plane/store/operators.ts";
import { writeSetting } from "../../../control-plane/store/settings.ts";
import { type FakeTerminal, fakeTerminal, untilShown } from "../../fixtures/fake-terminal.ts";
import { simulatedPlatform } from "../../fixtures/platform.ts";
import { type PlatformDatabase, platformDatabase } from "../../fixtures/platform-database.ts";

/**
 * The dashboard on terminals of our own, fed by the real API over its socket: schools of the simulated engine change while it
 * is watched. And as a process of its own on a pseudo terminal.
 */

// Chalk decides once, when it is loaded, whether there are colours; nothing here is a terminal to it.
process.env.FORCE_COLOR = "1";
const { showDashboard } = await import("../../../cli/dashboard/screen.ts");

let directory: string;
let database: PlatformDatabase;
let deps: Awaited<ReturnType<typeof simulatedPlatform>>;
let loop: Loop;
let hub: EventHub;
let server: Server;
let socket: string;
let token: string;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "classmind-dashboard-"));
  database = await platformDatabase();
  deps = await simulatedPlatform({ database: database.database, keyring: database.keyring, world: memoryWorld() });
  loop = startLoop(deps, { workers: 2, database: database.database });
  hub = createEventHub({ database: database.database, db: deps.pool, platform: deps.platform, clock: systemClock });
  socket = path.join(directory, "api.sock");
  await listen();
  await putOperator(deps.pool, "anna", undefined);
  token = (await createToken(deps.pool, "anna", "test", new Date(Date.now() + 3_600_000))).token;
});
afterAll(async () => {
  await unlisten();
  await hub.close();
  await loop.stop();
  await deps.close();
  await database.drop();
  await rm(directory, { recursive: true, force: true });
});

async function listen(): Promise<void> {
  const platform = { ...deps.platform, earlyPurge: "reason" as const };
  const context = { pool: deps.pool, platform, chart: deps.chart, clock: systemClock };
  server = createServer(createApi(context, hub, createApiMetrics(deps.pool), silentLog));
  server.listen(socket);
  await once(server, "listening");
}

async function unlisten(): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

const client = () => createClient({ server: `unix://${socket}`, token });
async function purge(slug: string): Promise<void> {
  await client().post(`/v1/tenants/${slug}/delete`, { confirm: slug });
  await client().post(`/v1/tenants/${slug}/purge`, { confirm: slug, reason: "test" });
}

interface Watched {
  readonly terminal: FakeTerminal;
  readonly left: Promise<void>;
}

const open: Watched[] = [];

function watch(options: { readonly columns?: number; readonly rows?: number; readonly color?: boolean } = {}): Watched {
  const terminal = fakeTerminal({ columns: options.columns ?? 80, rows: options.rows ?? 24 });
  const left = showDashboard(client(), "Classmind classmind.localhost", {
    stdin: terminal.stdin,
    stdout: terminal.stdout,
    color: options.color ?? false,
    plainFrames: true,
  });
  const watched = { terminal, left };
  open.push(watched);
  return watched;
}

beforeEach(async () => {
  await deps.pool.query("delete from tenants");
});
afterEach(async () => {
  for (const { terminal, left } of open.splice(0)) {
    terminal.type("\x03");
    await left;
  }
});

const create = (slug: string) =>
  client().post("/v1/tenants", {
    slug,
    displayName: "Goethe-Gymnasium",
    terms: { kind: "contract", reference: "V-1" },
  });

/** Schools as rows of the store alone, of all kinds, which no reconciler ever takes. */
async function manySchools(count: number): Promise<void> {
  await deps.pool.query(
    `insert into tenants (uid, slug, spec, status, wake_at)
     select gen_random_uuid(), 'schule-' || lpad(n::text, 4, '0'),
       jsonb_build_object('displayName', 'Schule Nummer ' || n, 'terms', '{"kind":"contract","reference":"V"}'::jsonb, 'plan', 'small',
         'suspended', false, 'administrator', '{}'::jsonb, 'backup', '{"enabled":true}'::jsonb, 'country', 'DE'),
       jsonb_build_object('observedGeneration', 1, 'steps', '[]'::jsonb, 'phase', case when n % 7 = 0 then 'Degraded' else 'Ready' end,
         'conditions', jsonb_build_array(jsonb_build_object('type', 'Ready', 'status', case when n % 7 = 0 then 'False' else 'True' end,
           'reason', case when n % 7 = 0 then 'ContainerCrashing' else 'AsDesired' end, 'message', 'The database exits again and again: ' || repeat('no space left on device ', 6),
           'lastTransitionTime', '2026-11-20T12:00:00.000Z'))),
       'infinity'
     from generate_series(1, $1) n`,
    [count],
  );
}

const fits = (lines: readonly string[], columns: number, rows: number): boolean =>
  lines.length < rows && lines.every((line) => line.length <= columns);
const row = (lines: readonly string[], slug: string): string => lines.find((line) => line.includes(slug)) ?? "";

describe("the fleet on 80 columns and 24 lines", () => {
  it("says what to do while there is no school, and that it is live", async () => {
    const { terminal } = watch();
    const lines = await untilShown(terminal, "an empty fleet", (seen) => seen.join().includes("No school yet"));
    expect(lines.join("\n")).toContain("classmind tenant create");
    await untilShown(terminal, "that it is live", (seen) => seen[0]?.endsWith("live") === true);
    expect(lines.at(-1)).toMatch(/Enter open .* q quit .* ! bad/);
  });

  it("shows a school as it comes up, with phase, reason, age, newest backup, certificate days and volume use, without a key being pressed", async () => {
    const { terminal } = watch();
    await untilShown(terminal, "that it is live", (seen) => seen[0]?.endsWith("live") === true);
    await create("goethe");
    const lines = await untilShown(terminal, "the school ready with its backup", (seen) =>
      /\+ goethe +Ready +AsDesired +\d+ s +\d+ s +4[67] d +0 %/.test(row(seen, "goethe")),
    );
    expect(lines[1]).toMatch(/SCHOOL +PHASE +REASON +SINCE +BACKUP +CERT +DISK/);
    expect(fits(lines, 80, 24)).toBe(true);
    expect(row(lines, "goethe")).toMatch(/^> \+ goethe/);
  });

  it("shows what happens to a school meanwhile: suspended, and gone", async () => {
    await create("goethe");
    const { terminal } = watch();
    await untilShown(terminal, "the school ready", (seen) => row(seen, "goethe").includes("Ready"));
    await client().post("/v1/tenants/goethe/suspend", {});
    const lines = await untilShown(terminal, "Suspended", (seen) => row(seen, "goethe").includes("Suspended"));
    expect(row(lines, "goethe")).toMatch(/- goethe +Suspended +Suspended/);
    await purge("goethe");
    await untilShown(terminal, "that it is gone", (seen) => seen.join().includes("No school yet"));
  });

  it("says when the control plane is away, and is live again by itself", async () => {
    await manySchools(3);
    const { terminal } = watch();
    await untilShown(terminal, "the fleet", (seen) => row(seen, "schule-0001") !== "");
    await untilShown(terminal, "that it is live", (seen) => seen[0]?.endsWith("live") === true);
    await unlisten();
    const away = await untilShown(terminal, "that it is not", (seen) => seen[0]?.endsWith("not connected") === true);
    expect(row(away, "schule-0001")).toContain("Ready");
    await listen();
    await untilShown(terminal, "that it is live again", (seen) => seen[0]?.endsWith("  live") === true);
    await untilShown(terminal, "no error", (seen) => !seen.join().includes("! The control plane"));
  });

  it("warns of a clock that jumped", async () => {
    await writeSetting(deps.pool, "clock", {
      seen: new Date().toISOString(),
      jumped: { noticed: "2027-11-23T12:00:00.000Z" },
    });
    const { terminal } = watch();
    const lines = await untilShown(terminal, "the clock", (seen) => seen.join().includes("ClockJumped"));
    expect(lines.join("\n")).toContain("classmind clock");
    expect(fits(lines, 80, 24)).toBe(true);
    await writeSetting(deps.pool, "clock", { seen: new Date().toISOString() });
  });
});

describe("one school in depth", () => {
  it("shows all conditions with reason and age, follows them live, and leads back", async () => {
    await create("goethe");
    const { terminal } = watch();
    await untilShown(terminal, "the school ready", (seen) => row(seen, "goethe").includes(" Ready"));
    terminal.type("\r");
    const lines = await untilShown(terminal, "conditions", (seen) => seen.join().includes("DatabaseReady"));
    for (const type of ["Ready", "VolumeReady", "DatabaseReady", "AppReady", "CertificateReady", "RouteReady"])
      expect(lines.join("\n")).toMatch(new RegExp(`\\+ ${type} +AsDesired +\\d+ (s|min)`));
    expect(lines.join("\n")).toContain("Goethe-Gymnasium");
    expect(lines.join("\n")).toContain("https://goethe.classmind.localhost");
    expect(fits(lines, 80, 24)).toBe(true);
    await client().post("/v1/tenants/goethe/suspend", {});
    await untilShown(terminal, "the change", (seen) => /! AppReady +Suspended/.test(seen.join("\n")));
    terminal.type("b");
    await untilShown(terminal, "the fleet", (seen) => seen[1]?.includes("SCHOOL") === true);
  });

  it("gives what ails it in full, in lines that fit", async () => {
    await manySchools(7);
    const { terminal } = watch();
    await untilShown(terminal, "the fleet", (seen) => row(seen, "schule-0007") !== "");
    terminal.type("jjjjjj");
    await untilShown(terminal, "the choice", (seen) => row(seen, "schule-0007").startsWith(">"));
    terminal.type("\r");
    const lines = await untilShown(terminal, "conditions", (seen) => seen.join().includes("ContainerCrashing"));
    expect(lines.join(" ").replace(/\s+/g, " ")).toContain(`again: ${"no space left on device ".repeat(6)}`.trim());
    expect(fits(lines, 80, 24)).toBe(true);
  });

  it("says so when the school is purged while it is looked at", async () => {
    await create("goethe");
    const { terminal } = watch();
    await untilShown(terminal, "the school ready", (seen) => row(seen, "goethe").includes(" Ready"));
    terminal.type("\r");
    await untilShown(terminal, "conditions", (seen) => seen.join().includes("DatabaseReady"));
    await purge("goethe");
    await untilShown(terminal, "that it is gone", (seen) => seen.join().includes("goethe is gone."));
  });
});

describe("five hundred schools", () => {
  it("are shown a page at a time, in order, to the end and back, within a second a page", async () => {
    await manySchools(500);
    const { terminal } = watch();
    const seen = new Set<string>();
    const collect = (lines: readonly string[]): void => {
      for (const line of lines) for (const [slug] of line.matchAll(/schule-\d{4}/g)) seen.add(slug);
    };
    collect(await untilShown(terminal, "the first page", (lines) => row(lines, "schule-0001") !== ""));
    let page = 1;
    for (;;) {
      page += 1;
      if (!terminal.lines()[0]?.includes("+ ")) break;
      terminal.type("n");
      const number = page;
      collect(
        await untilShown(terminal, `page ${page}`, (lines) => lines[0]?.includes(`page ${number}`) === true, 1000),
      );
    }
    expect(seen.size).toBe(500);
    terminal.type("p");
    await untilShown(terminal, "the page before", (lines) => lines[0]?.includes(`page ${page - 2}+`) === true, 1000);
  });

  it("are searched by the server, and all shown again by Escape", async () => {
    await manySchools(500);
    const { terminal } = watch();
    await untilShown(terminal, "the first page", (lines) => row(lines, "schule-0001") !== "");
    terminal.type("/");
    await untilShown(terminal, "the search", (lines) => lines.at(-1)?.startsWith("Search:") === true);
    terminal.type("0499");
    await untilShown(terminal, "what is typed", (lines) => lines.at(-1)?.startsWith("Search: 0499_") === true);
    terminal.type("\r");
    const found = await untilShown(terminal, "the school", (lines) => row(lines, "schule-0499") !== "");
    expect(found.filter((line) => line.includes("schule-"))).toHaveLength(1);
    expect(found[0]).toContain('search "0499"');
    terminal.type("\x1b");
    await untilShown(terminal, "all again", (lines) => row(lines, "schule-0002") !== "");
  });

  it("show one that is made meanwhile at its place on the page", async () => {
    await manySchools(500);
    const { terminal } = watch();
    await untilShown(terminal, "that it is live", (seen) => seen[0]?.endsWith("live") === true);
    await create("albert");
    await untilShown(terminal, "the new school", (lines) => lines[2]?.includes("albert") === true);
  });
});

describe("terminals", () => {
  it("of any size: as many schools as fit, no line too long, and a choice that stays on the screen", async () => {
    await manySchools(60);
    const { terminal } = watch();
    const shown = (lines: readonly string[]) => lines.filter((line) => line.includes("schule-")).length;
    await untilShown(terminal, "a page", (lines) => shown(lines) === 19);
    for (const [columns, rows] of [
      [120, 50],
      [60, 12],
      [200, 24],
      [80, 24],
    ] as const) {
      terminal.resize(columns, rows);
      await untilShown(
        terminal,
        `a page of ${rows} lines and ${columns} columns`,
        (seen) => shown(seen) === rows - 5 && fits(seen, columns, rows) && seen[2]?.startsWith(">") === true,
      );
    }
  });

  it("without colour get none, and signs tell what colours would", async () => {
    await manySchools(7);
    const { terminal } = watch({ color: false });
    await untilShown(terminal, "the fleet", (lines) => row(lines, "schule-0007") !== "");
    expect(terminal.raw()).toBe(stripVTControlCharacters(terminal.raw()));
    expect(row(terminal.lines(), "schule-0001")).toMatch(/^> \+ /);
    expect(row(terminal.lines(), "schule-0007")).toMatch(/^ {2}! .*Degraded +Container/);
  });

  it("with colour get it beside the signs: red for what is bad", async () => {
    await manySchools(7);
    const { terminal } = watch({ color: true });
    await untilShown(terminal, "the fleet", (lines) => row(lines, "schule-0007") !== "");
    const red = terminal
      .raw()
      .split("\n")
      .find((line) => line.includes("schule-0007"));
    expect(red).toContain("\x1b[31m");
    expect(row(terminal.lines(), "schule-0007")).toMatch(/^ {2}! /);
  });

  it.each([
    ["q", "q"],
    ["Ctrl-C", "\x03"],
  ])("are given back on %s", async (_name, key) => {
    await manySchools(2);
    const { terminal, left } = watch();
    await untilShown(terminal, "the fleet", (lines) => row(lines, "schule-0001") !== "");
    expect(terminal.isRaw()).toBe(true);
    terminal.type(key);
    await left;
    open.splice(0);
    expect(terminal.isRaw()).toBe(false);
  });
});

describe("classmind dashboard on a pseudo terminal", () => {
  const LAUNCHER = path.join(import.meta.dirname, "../../../classmind");

  it.each([
    ["q", "q"],
    ["Ctrl-C", "\x03"],
  ])("ends on %s with code 0 and leaves the terminal as it was", async (_name, key) => {
    await manySchools(3);
    const contexts = path.join(directory, "contexts.json");
    writeContexts(contexts, { current: "test", contexts: { test: { server: `unix://${socket}`, token } } });
    const command = `stty cols 80 rows 24; stty -g; ${LAUNCHER} dashboard; echo "code=$?"; stty -g`;
    const child = spawn("script", ["--quiet", "--return", "--command", command, "/dev/null"], {
      env: { PATH: process.env.PATH ?? "", HOME: directory, TERM: "xterm-256color", CLASSMIND_CONTEXTS: contexts },
      stdio: ["pipe", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      if (output.includes("schule-0003") && !child.stdin.writableEnded) child.stdin.end(key);
    });
    const [code] = await once(child, "exit");
    expect(code).toBe(0);
    const plain = stripVTControlCharacters(output);
    expect(plain).toContain("code=0");
    const settings = plain.split(/\r?\n/).filter((line) => /^[0-9a-f]+(:[0-9a-f]+)+$/.test(line));
    expect(settings).toHaveLength(2);
    expect(settings[1]).toBe(settings[0]);
    // The second screen was entered and left; the cursor is there again.
    expect(output.lastIndexOf("\x1b[?1049l")).toBeGreaterThan(output.indexOf("\x1b[?1049h"));
    expect(output.lastIndexOf("\x1b[?25h")).toBeGreaterThan(output.lastIndexOf("\x1b[?25l"));
  });
});
