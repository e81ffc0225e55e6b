import { mkdtemp, readFile, rm } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, createClient } from "../../cli/client.ts";
import { chooseContext } from "../../cli/context.ts";
import { createInstance, type Instance } from "../../control-plane/host/instance.ts";
import { layoutOf } from "../../control-plane/host/layout.ts";
import { readSettings } from "../../control-plane/host/settings.ts";
import type { Settings } from "../../control-plane/host/settings-schema.ts";
import { supervisorPid } from "../../control-plane/host/supervisor-pid.ts";
import { type Purger, twoOperators } from "../fixtures/second-operator.ts";
import { type Finished, REPOSITORY, run } from "./programs.ts";

/** A platform of the benchmark's own, beside whatever else lives on this host; made and removed through the command line. */
export interface BenchPlatform extends Purger {
  readonly instance: Instance;
  readonly settings: Settings;
  readonly images: NonNullable<Settings["images"]>;
  /** `./classmind …` as a process of its own, from its start to its end. */
  classmind(...args: readonly string[]): Promise<Finished>;
  /** Waits until a new school has its first backup: from then on the platform does nothing for it. */
  untilQuiet(slugs: readonly string[]): Promise<void>;
  /** Opens a school's login page through the gateway, over verified TLS. @throws Error when it is not that page */
  openLoginPage(slug: string): Promise<void>;
}

const INSTANCE = "cmbench";
const QUIET_PULSE_MS = 250;

interface Seen {
  readonly phase: string;
  readonly backup?: { readonly newest?: string };
}

function fetchPage(url: URL, port: number, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request(
      { host: "127.0.0.1", servername: url.hostname, port, path: url.pathname, ca, headers: { host: url.host } },
      (answer) => {
        let text = "";
        answer.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        answer.on("end", () => resolve(text));
      },
    );
    call.on("error", reject).end();
  });
}

/**
 * Brings the benchmark's platform up, hands it to `work` and removes every trace of it afterwards, however the work ends.
 * @param signal interrupts the work, never the removal
 */
export async function withPlatform<T>(
  signal: AbortSignal,
  say: (message: string) => void,
  work: (platform: BenchPlatform) => Promise<T>,
): Promise<T> {
  const instance = createInstance(INSTANCE);
  if (supervisorPid(instance) !== undefined)
    throw new Error(
      `A benchmark runs already, or one was killed: ./classmind uninstall --instance ${instance.name} --yes removes it.`,
    );
  const contexts = await mkdtemp(join(tmpdir(), "classmind-bench-"));
  const environment = {
    CLASSMIND_CONTEXTS: join(contexts, "contexts.json"),
    CLASSMIND_INSTANCE: instance.name,
  };
  const program = join(REPOSITORY, "classmind");
  const remove = () => run(program, ["uninstall", "--yes"], { environment });
  try {
    // Whatever a run that was cut off has left.
    await remove();
    say(`bringing up the instance ${instance.name}`);
    await run(program, ["up"], { environment, signal });
    const settings = readSettings(instance);
    if (settings?.images === undefined) throw new Error("the platform came up without images");
    const client = createClient(chooseContext(environment.CLASSMIND_CONTEXTS, instance.name));
    const classmind = (args: readonly string[]) => run(program, args, { environment, signal });
    const said = async (...words: readonly string[]) => (await classmind(words)).stdout;
    const purger = twoOperators(said, environment.CLASSMIND_CONTEXTS);
    return await work({ ...openPlatform(instance, settings, settings.images, client, classmind), ...purger });
  } finally {
    say("removing the instance");
    await remove();
    await rm(contexts, { recursive: true, force: true });
  }
}

function openPlatform(
  instance: Instance,
  settings: Settings,
  images: NonNullable<Settings["images"]>,
  client: Client,
  classmind: (args: readonly string[]) => Promise<Finished>,
): Omit<BenchPlatform, keyof Purger> {
  async function untilQuiet(slugs: readonly string[]): Promise<void> {
    const end = Date.now() + 300_000;
    for (const slug of slugs) {
      for (;;) {
        const seen = await client.get<Seen>(`/v1/tenants/${slug}`);
        if (seen.phase === "Ready" && seen.backup?.newest !== undefined) break;
        if (Date.now() > end) throw new Error(`${slug} has no backup after five minutes`);
        await new Promise((resolve) => setTimeout(resolve, QUIET_PULSE_MS));
      }
    }
  }

  async function openLoginPage(slug: string): Promise<void> {
    const { url } = await client.get<{ url: string }>(`/v1/tenants/${slug}`);
    const authority = await readFile(layoutOf(instance).authorityFile, "utf8");
    const text = await fetchPage(new URL("/anmelden", url), settings.httpsPort, authority);
    if (!text.includes("<title>Anmelden")) throw new Error(`${slug} does not show its login page`);
  }

  return {
    instance,
    settings,
    images,
    classmind: (...args) => classmind(args),
    untilQuiet,
    openLoginPage,
  };
}
