import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ClassmindError, messageOf } from "../errors.ts";
import { DEFAULT_INSTANCE, type Instance } from "./instance.ts";
import { layoutOf } from "./layout.ts";
import { runHost } from "./program.ts";

/**
 * The platform as a unit of systemd, on hosts where systemd runs: it comes back after a reboot and is started again when it
 * fails. Elsewhere `classmind up` starts the supervisor itself.
 */

/** What is said to systemd, and where its units lie. The process's own in production. */
export interface Systemd {
  systemctl(args: readonly string[]): Promise<string>;
  readonly unitDirectory: string;
}

/** The host's systemd; undefined when none runs as process 1 (sd_booted(3)). */
export function hostSystemd(): Systemd | undefined {
  if (!existsSync("/run/systemd/system")) return undefined;
  return { systemctl: (args) => runHost("systemctl", args), unitDirectory: "/etc/systemd/system" };
}

export function unitName(instance: Instance): string {
  return instance.name === DEFAULT_INSTANCE ? "classmind.service" : `classmind-${instance.name}.service`;
}

/** Where the words of the platform's own parts go: for people, after "see". */
export function logPlace(instance: Instance, systemd: Systemd | undefined = hostSystemd()): string {
  return systemd === undefined ? layoutOf(instance).supervisorLog : `journalctl --unit ${unitName(instance)}`;
}

/** A word of a unit's command line, whatever is in it (systemd.service(5), "Command lines"; systemd.unit(5), "Specifiers"). */
function word(text: string): string {
  const escaped = text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("%", "%%").replaceAll("$", "$$$$");
  return `"${escaped}"`;
}

/** A path in a setting, where specifiers count but quotes do not. */
function path(text: string): string {
  return text.replaceAll("%", "%%");
}

/**
 * The unit's text: pure.
 * @param program absolute path of Node, and of the supervisor's program
 */
export function unitText(
  instance: Instance,
  program: { readonly node: string; readonly supervisor: string; readonly path: string },
): string {
  return `# Written by \`classmind up\`; changes are lost. Your own settings: systemctl edit ${unitName(instance)}
[Unit]
Description=Classmind, platform of schools (${instance.name})
After=network-online.target local-fs.target nftables.service
Wants=network-online.target
RequiresMountsFor="${path(instance.stateDir)}" "${path(instance.configDir)}"
StartLimitIntervalSec=0

[Service]
Type=notify
# The message that it is up comes from systemd-notify, which the supervisor starts.
NotifyAccess=all
ExecStart=${[program.node, "--disable-warning=ExperimentalWarning", program.supervisor, instance.name].map(word).join(" ")}
Environment=${word(`PATH=${program.path}`)} HOME=/root
WorkingDirectory=/
StandardOutput=journal
StandardError=journal
SyslogIdentifier=${unitName(instance).replace(/\.service$/, "")}
Restart=on-failure
RestartSec=5
TimeoutStartSec=600
TimeoutStopSec=120
# The supervisor ends its own parts. Whatever else runs here belongs to schools, which go on without it.
KillMode=process
OOMPolicy=continue
TasksMax=infinity
LimitNOFILE=524288
UMask=0077
# What would give the unit a view of the file system of its own (ProtectSystem, PrivateTmp and their like) must not be set: the
# schools' volumes are mounted from here and seen by the host. Filters of system calls would be handed down to the schools.
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
`;
}

function unitFile(systemd: Systemd, instance: Instance): string {
  return join(systemd.unitDirectory, unitName(instance));
}

/** Whether the unit is there. */
export function hasUnit(systemd: Systemd, instance: Instance): boolean {
  return existsSync(unitFile(systemd, instance));
}

/** Writes the unit if it is not there or differs, makes it start with the machine, and starts it; returns when it is up. */
export async function startUnit(systemd: Systemd, instance: Instance, text: string): Promise<void> {
  const file = unitFile(systemd, instance);
  const unit = unitName(instance);
  if (!existsSync(file) || readFileSync(file, "utf8") !== text) {
    writeFileSync(file, text);
    chmodSync(file, 0o644);
    await systemd.systemctl(["daemon-reload"]);
  }
  await systemd.systemctl(["enable", unit]);
  await systemd.systemctl(["start", unit]).catch((error: unknown) => {
    throw new ClassmindError("Unavailable", `The platform did not start: ${messageOf(error)}`, {
      remedy: `Look at: systemctl status ${unit} — and: journalctl --unit ${unit} --lines 100`,
      cause: error,
    });
  });
}

/** Stops the unit; it starts again with the machine. */
export async function stopUnit(systemd: Systemd, instance: Instance): Promise<void> {
  if (hasUnit(systemd, instance)) await systemd.systemctl(["stop", unitName(instance)]);
}

/** Stops the unit and leaves it stopped after a reboot too. */
export async function disableUnit(systemd: Systemd, instance: Instance): Promise<void> {
  if (hasUnit(systemd, instance)) await systemd.systemctl(["disable", "--now", unitName(instance)]);
}

/** Removes the unit. @returns its file, if there was one */
export async function removeUnit(systemd: Systemd, instance: Instance): Promise<string | undefined> {
  if (!hasUnit(systemd, instance)) return undefined;
  await disableUnit(systemd, instance);
  const file = unitFile(systemd, instance);
  rmSync(file);
  await systemd.systemctl(["daemon-reload"]);
  return file;
}

/** Tells systemd that the platform is up (sd_notify(3)); without a unit around us, nobody. Node cannot write to such a socket. */
export async function notifyReady(environment: NodeJS.ProcessEnv): Promise<void> {
  const socket = environment.NOTIFY_SOCKET;
  if (socket === undefined) return;
  await runHost("systemd-notify", ["--ready", `--pid=${process.pid}`], undefined, { NOTIFY_SOCKET: socket });
}
