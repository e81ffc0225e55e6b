import { spawn } from "node:child_process";
import { existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { ClassmindError, messageOf } from "../errors.ts";
import { choosePorts, everyAddress, USUAL_PORTS } from "../gateway/ports.ts";
import { buildImages, type ImageReferences } from "../images/build.ts";
import { isHostName } from "../issuer/names.ts";
import { freePool, hostRoutes, ownInterfaces } from "./address-pool.ts";
import { checkFixed, hasSchools } from "./fixed-settings.ts";
import type { Instance } from "./instance.ts";
import { layoutOf } from "./layout.ts";
import { checkListenerFiles } from "./listener-settings.ts";
import { alone } from "./lock.ts";
import { givenLimits, shortages } from "./needed-limits.ts";
import { type Claims, claimsOfOthers, unclaimed } from "./neighbours.ts";
import { removeOldImages } from "./old-images.ts";
import { installPackages, missingPackages } from "./packages.ts";
import { withEngine } from "./podman.ts";
import { copyProgram, type ProgramCopy, removeOldCopies } from "./program-copy.ts";
import { digestReadAtStart } from "./read-at-start.ts";
import { requireRoot } from "./require-root.ts";
import { DEFAULT_SETTINGS, poolOf, readSettings, writeConfigurations, writeSettings } from "./settings.ts";
import type { Settings } from "./settings-schema.ts";
import { supervisorPid } from "./supervisor-pid.ts";
import { hostSystemd, logPlace, startUnit, stopUnit, unitText } from "./systemd.ts";

/** Bringing the platform of this machine up and down. Every step can be repeated; an interruption anywhere is made up for. */

export type Reporter = (step: string, work: () => Promise<string | undefined>) => Promise<void>;

export interface UpOptions {
  readonly domain?: string;
  readonly engine?: Settings["engine"];
  readonly addressPool?: string;
}

/** Names before anything is done what would keep every container from starting. A unit of systemd has limits of its own. */
function requireLimits(): void {
  if (hostSystemd() !== undefined) return;
  const [shortage] = shortages(givenLimits("self"));
  if (shortage === undefined) return;
  throw new ClassmindError("PreconditionFailed", shortage.message, { remedy: shortage.remedy });
}

/** The wished pool, or one that meets no network of this host; if there is none, `doctor` says so. */
function chosenPool(instance: Instance, wished: string | undefined, others: readonly Claims[]): string {
  if (wished !== undefined) return poolOf(instance, { addressPool: wished });
  const claimed = new Set(others.flatMap(({ addressPool }) => addressPool ?? []));
  return freePool(instance.addressPool, hostRoutes(), ownInterfaces(instance), claimed) ?? instance.addressPool;
}

/** Schools keep the addresses that they were given. */
function changedPool(instance: Instance, known: Settings, wished: string | undefined): string {
  const present = poolOf(instance, known);
  if (wished === undefined || wished === present) return present;
  if (hasSchools(instance)) {
    throw new ClassmindError("Conflict", `The schools of this platform have addresses out of ${present}.`, {
      field: "addressPool",
      remedy: "Leave --address-pool out; it can be chosen before the first school alone.",
    });
  }
  return poolOf(instance, { addressPool: wished });
}

/** Before it is saved: a domain that nothing can be signed for would stand in the way of the right one. */
function checkDomain(domain: string | undefined): void {
  if (domain === undefined || isHostName(domain)) return;
  throw new ClassmindError("Invalid", `"${domain}" is not a domain name`, {
    field: "domain",
    remedy: "Give a lower-case domain such as schulen.example.org.",
  });
}

async function settle(instance: Instance, options: UpOptions): Promise<Settings> {
  const known = readSettings(instance);
  if (known !== undefined)
    return {
      ...known,
      domain: options.domain ?? known.domain,
      addressPool: changedPool(instance, known, options.addressPool),
    };
  return alone("first-up", () => settleFirst(instance, options));
}

/** What the first `up` of an installation chooses, and remembers before another one of this host may choose. */
async function settleFirst(instance: Instance, options: UpOptions): Promise<Settings> {
  const others = claimsOfOthers(instance);
  const ports = await choosePorts(await everyAddress(), unclaimed(USUAL_PORTS, others));
  const fresh: Settings = {
    ...DEFAULT_SETTINGS,
    ...ports,
    addressPool: chosenPool(instance, options.addressPool, others),
    ...(options.domain === undefined ? {} : { domain: options.domain }),
    ...(options.engine === undefined ? {} : { engine: options.engine }),
  };
  writeSettings(instance, fresh);
  return fresh;
}

/** Builds what is not built, with the engine's service running just for that if nothing else runs it. */
async function prepareImages(instance: Instance, onProgress: (message: string) => void): Promise<ImageReferences> {
  return withEngine(instance, (docker) => buildImages(docker, instance, { onProgress }));
}

/** Not the caller's: the same unit whoever calls. */
const UNIT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** By systemd where it runs; else as a process of its own. Returns when the platform is up. */
async function startSupervisor(instance: Instance, program: ProgramCopy): Promise<void> {
  const systemd = hostSystemd();
  if (systemd === undefined) return spawnSupervisor(instance, program);
  await startUnit(systemd, instance, unitText(instance, { ...program, path: UNIT_PATH }));
}

function spawnSupervisor(instance: Instance, program: ProgramCopy): Promise<void> {
  const { supervisorLog } = layoutOf(instance);
  mkdirSync(dirname(supervisorLog), { recursive: true, mode: 0o700 });
  const output = openSync(supervisorLog, "a", 0o600);
  const child = spawn(program.node, ["--disable-warning=ExperimentalWarning", program.supervisor, instance.name], {
    detached: true,
    stdio: ["ignore", output, output, "ipc"],
    cwd: "/",
    env: { PATH: process.env.PATH ?? "", HOME: "/root" },
  });
  let why = "";
  return new Promise((resolve, reject) => {
    child.on("message", (message) => {
      if (typeof message === "object" && message !== null && "failed" in message) {
        why = `: ${String(message.failed)}`;
        return;
      }
      child.unref();
      resolve();
    });
    child.once("error", (error) =>
      reject(
        new ClassmindError("Unavailable", `The platform did not start: ${messageOf(error)}`, {
          remedy: `Programs must be allowed to run from ${program.directory}; then run it again.`,
        }),
      ),
    );
    child.once("exit", () =>
      reject(
        new ClassmindError("Unavailable", `The platform did not start${why}`, {
          remedy: `Mend that and run it again; more is at the end of ${supervisorLog}`,
        }),
      ),
    );
  });
}

/** Whether what the running platform read at its start says something else now: by our doing, or by an operator's editor. */
function isOutdated(instance: Instance, settings: Settings, program: ProgramCopy): boolean {
  const { supervisorReadFile } = layoutOf(instance);
  const read = existsSync(supervisorReadFile) ? readFileSync(supervisorReadFile, "utf8").trim() : "";
  return read !== digestReadAtStart(instance, settings, program.directory);
}

const START_MS = 120_000;
/** More than the supervisor gives all its parts together. */
const STOP_MS = 115_000;

/** Waits for a supervisor that is still starting (an `up` that was interrupted began it). False when it ends or hangs. */
async function becomesReady(instance: Instance): Promise<boolean> {
  const { supervisorReadyFile } = layoutOf(instance);
  for (const end = Date.now() + START_MS; Date.now() < end; ) {
    if (existsSync(supervisorReadyFile)) return true;
    if (supervisorPid(instance) === undefined) return false;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return false;
}

/** Installs, builds, configures and starts what is missing. Nothing is done twice. */
export async function up(instance: Instance, options: UpOptions, step: Reporter): Promise<Settings> {
  requireRoot("it starts containers, mounts volumes and loads firewall rules");
  requireLimits();
  // What an operator has written is judged before anything is done.
  checkDomain(options.domain);
  const known = readSettings(instance);
  if (known !== undefined) {
    checkFixed(instance, { ...known, domain: options.domain ?? known.domain });
    await checkListenerFiles(known, new Date());
  }
  await step("Debian packages", async () => {
    const missing = await missingPackages();
    await installPackages(missing);
    return missing.length === 0 ? "all there" : `installed ${missing.map((each) => each.name).join(", ")}`;
  });
  let settings = await settle(instance, options);
  let images: ImageReferences | undefined;
  await step("container images", async () => {
    const messages: string[] = [];
    images = await prepareImages(instance, (message) => messages.push(message));
    return messages.length === 0 ? "unchanged" : `built ${messages.length}`;
  });
  if (images === undefined) throw new Error("no images");
  const built = images;
  settings = { ...settings, images };
  writeSettings(instance, settings);
  writeConfigurations(instance, settings, images);
  await step("platform (engine, database, gateway, reconciler, API)", async () => {
    const program = await copyProgram(instance);
    if (supervisorPid(instance) !== undefined && !isOutdated(instance, settings, program)) {
      if (await becomesReady(instance)) return "running already";
    }
    await stopSupervisor(instance);
    await startSupervisor(instance, program);
    await removeOldCopies(instance, program);
    return undefined;
  });
  await step("images that no school needs any more", () => removeOldImages(instance, built));
  return settings;
}

/** Ends the supervisor and with it the platform's own parts; schools' containers are not touched. False when none ran. */
export async function stopSupervisor(instance: Instance): Promise<boolean> {
  const pid = supervisorPid(instance);
  const systemd = hostSystemd();
  // First through systemd, which would start again what ends without its doing.
  if (systemd !== undefined) await stopUnit(systemd, instance);
  if (pid === undefined) return false;
  if (supervisorPid(instance) !== undefined) process.kill(pid, "SIGTERM");
  const end = Date.now() + STOP_MS;
  while (existsSync(`/proc/${pid}`)) {
    if (Date.now() > end)
      throw new ClassmindError("Unavailable", `The supervisor (process ${pid}) does not end.`, {
        remedy: `See ${logPlace(instance)}`,
      });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return true;
}
