import { setTimeout as sleep } from "node:timers/promises";
import { firstLogin, type Zugang } from "../fixtures/school-in-use.ts";
import { Besucher } from "../fixtures/school-visitor.ts";
import { CHECKOUT } from "./disk.ts";
import { type Guest, type Machine, untilReachable } from "./guest.ts";
import { inWords, type Report } from "./report.ts";

/** What is tried in the machine, in this order. Times are those of an emulation: many times those of a real one. */

const SECONDS = { command: 300, quickstart: 3600, boot: 600, school: 900, isolation: 600, answer: 30, walls: 60 };
const MINUTE = 60_000;

function check(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

/** The school's page as people on another machine see it, and what they did there. */
interface Visit {
  readonly host: string;
  readonly authority: string;
  readonly admin: Zugang;
}

export interface Trial {
  readonly guest: Guest;
  /** Undefined where the machine was started by another run. */
  readonly machine: Machine | undefined;
  readonly report: Report;
  /** Ends all waiting. */
  readonly signal: AbortSignal;
}

/** A command line of ours, in the checkout, shown with what it printed. */
async function classmind({ guest, report }: Trial, words: string, seconds = SECONDS.command): Promise<string> {
  const { code, stdout, stderr } = await guest.run(`cd ${CHECKOUT} && ./classmind ${words}`, seconds);
  report.show(`./classmind ${words}`, `${stderr}${stdout}`);
  check(code === 0, `ended with ${code}`);
  return stdout;
}

/** A command of the system, shown with what it printed. */
async function shown({ guest, report }: Trial, line: string, shorten?: (line: string) => boolean): Promise<string> {
  const { code, stdout, stderr } = await guest.run(line, SECONDS.command);
  report.show(line, `${stdout}${stderr}`, shorten);
  check(code === 0, `ended with ${code}`);
  return stdout;
}

function besucher({ guest }: Trial, { host, authority }: Visit): Besucher {
  return new Besucher({ port: guest.httpsPort, host, certificateAuthority: authority });
}

/** The emulated network takes connections for a machine that is not there yet, and never answers: asked within a time. */
async function within<T>({ signal }: Trial, answer: Promise<T>): Promise<T> {
  const over = new AbortController();
  const late = sleep(SECONDS.answer * 1000, undefined, { signal: AbortSignal.any([signal, over.signal]) }).then(() => {
    throw new Error(`the school does not answer within ${SECONDS.answer} s`);
  });
  late.catch(() => undefined);
  return Promise.race([answer, late]).finally(() => over.abort());
}

async function titleOfPage(trial: Trial, visit: Visit): Promise<string> {
  const { status, text } = await within(trial, besucher(trial, visit).get("/anmelden"));
  check(status === 200, `the page answers ${status}`);
  return /<title>([^<]*)</.exec(text)?.[1] ?? "";
}

/** Asks until the page is there. @returns milliseconds until then */
async function untilPage(trial: Trial, visit: Visit, seconds: number): Promise<number> {
  const started = performance.now();
  for (;;) {
    const answer = await titleOfPage(trial, visit).catch((error: unknown) => error);
    if (typeof answer === "string" && answer.startsWith("Anmelden")) break;
    if (performance.now() - started > seconds * 1000) throw new Error(`no page: ${String(answer)}`);
    await sleep(500, undefined, { signal: trial.signal });
  }
  return performance.now() - started;
}

async function system(trial: Trial): Promise<void> {
  await shown(trial, "systemctl --version | head -1; uname -sr; cat /etc/debian_version");
  const cgroups = await shown(trial, "stat --file-system --format=%T /sys/fs/cgroup");
  check(cgroups.trim() === "cgroup2fs", "cgroups are not unified");
  const armour = await shown(
    trial,
    "cat /sys/module/apparmor/parameters/enabled; systemctl is-active apparmor; grep -c enforce /sys/kernel/security/apparmor/profiles",
  );
  check(/^Y\nactive\n[1-9]/.test(armour), "AppArmor is not in force");
  await shown(trial, "systemctl is-system-running --wait");
  await shown(trial, "systemctl is-enabled nftables; sed -n '/^flush/p' /etc/nftables.conf");
}

async function quickstart(trial: Trial): Promise<Visit> {
  const printed = await classmind(trial, "quickstart", SECONDS.quickstart);
  const value = (name: string) => new RegExp(`^${name}\\s+(\\S+)`, "m").exec(printed)?.[1] ?? "";
  let admin = { benutzername: value("User name"), passwort: value("One-time password") };
  // In a machine that was kept the school is there already.
  if (admin.passwort.startsWith("(")) {
    const again = await classmind(trial, `tenant reset-password demo ${admin.benutzername}`);
    admin = { ...admin, passwort: /^One-time password\s+(\S+)/m.exec(again)?.[1] ?? "" };
  }
  const visit = { host: new URL(value("School")).host, authority: await authorityOf(trial), admin };
  check(admin.passwort !== "", "no login was printed");
  return visit;
}

function authorityOf({ guest }: Trial): Promise<string> {
  return guest.must("cat /etc/classmind/classmind/ca.pem", SECONDS.command);
}

async function unit(trial: Trial): Promise<void> {
  const words = await shown(
    trial,
    "systemctl show --property=LoadState,ActiveState,SubState,UnitFileState,UMask,NRestarts classmind",
  );
  for (const line of ["ActiveState=active", "SubState=running", "UnitFileState=enabled", "UMask=0077", "NRestarts=0"])
    check(words.includes(`${line}\n`), `the unit does not say ${line}`);
  const mask = await shown(trial, 'grep Umask /proc/"$(systemctl show --value --property=MainPID classmind)"/status');
  check(/\b0077$/.test(mask.trim()), "the platform does not run with umask 077");
}

/** What systemd, AppArmor and unified cgroups make of the schools' containers. */
async function confined(trial: Trial): Promise<void> {
  const words = await shown(
    trial,
    'for p in $(pgrep -x postgres); do cat "/proc/$p/attr/current"; grep Seccomp: "/proc/$p/status"; done | sort | uniq -c',
  );
  check(/\(enforce\)/.test(words) && !/unconfined/.test(words), "AppArmor does not confine them");
  check(/Seccomp:\s+2/.test(words) && !/Seccomp:\s+0/.test(words), "they have no seccomp filter");
  const limits = await shown(
    trial,
    'for g in $(find /sys/fs/cgroup -type d -name "libpod-*" ! -name "*conmon*"); do echo "$(cat "$g/memory.max") $(cat "$g/pids.max")"; done 2>/dev/null | sort | uniq -c',
  );
  check(/\d+ \d+ \d+/.test(limits), "their groups have no limits");
}

/** In the machine, by a program that trusts the platform's authority alone; and from outside of it. */
async function page(trial: Trial, visit: Visit): Promise<void> {
  const [host = "", port = "443"] = visit.host.split(":");
  const curl = [
    "curl --fail --silent --show-error --location --cacert /etc/classmind/classmind/ca.pem",
    `--resolve ${host}:${port}:127.0.0.1 --write-out '%{http_code} %{url_effective}, certificate verified: %{ssl_verify_result}\\n'`,
    `--output /dev/null https://${visit.host}/`,
  ].join(" ");
  const answer = await shown(trial, curl);
  check(answer.startsWith("200 "), "no page");
  check(answer.includes("certificate verified: 0"), "the certificate is not valid");
  trial.report.say(`from outside the machine, over TLS by that authority: "${await titleOfPage(trial, visit)}"`);
}

interface Verified {
  readonly tried: number;
  readonly byKind: Readonly<Record<string, number>>;
  readonly holes: ReadonlyArray<{ readonly kind: string; readonly label: string }>;
}

async function verify({ guest, report }: Trial, slug: string): Promise<Verified> {
  const words = `verify isolation ${slug} -o json`;
  const { stdout, stderr } = await guest.run(`cd ${CHECKOUT} && ./classmind ${words}`, SECONDS.isolation);
  check(stdout.startsWith("{"), `verify isolation did not end: ${stderr}`);
  const result = JSON.parse(stdout) as Verified;
  const kinds = Object.entries(result.byKind).map(([kind, count]) => `${count} ${kind}`);
  report.say(
    `verify isolation ${slug}: ${result.tried} targets (${kinds.join(", ")}), ${result.holes.length} reached or changed`,
  );
  for (const hole of result.holes) report.say(`  ${hole.kind}: ${hole.label}`);
  return result;
}

/** Everything that a school must not reach is refused. */
async function walls(trial: Trial): Promise<void> {
  const { holes, byKind } = await verify(trial, "demo");
  check(holes.length === 0, "the walls do not hold");
  for (const kind of ["neighbour", "host-port", "control-plane", "metadata", "internet", "outside-name", "kernel"])
    check((byKind[kind] ?? 0) > 0, `nothing of the kind ${kind} was tried`);
}

/**
 * The same after somebody changed the firewall, which may be told once; what was tried from inside must have been refused even
 * then.
 */
async function wallsAfterChange(trial: Trial): Promise<void> {
  const { holes } = await verify(trial, "demo");
  check(
    holes.every(({ kind }) => kind === "firewall"),
    "the walls do not hold",
  );
  if (holes.length > 0) await walls(trial);
}

async function doctor(trial: Trial): Promise<void> {
  await classmind(trial, "doctor");
}

const TABLES = "for f in inet bridge; do nft list table $f classmind_classmind; done 2>/dev/null | sort";

/**
 * Lines of shell: take the platform's rules away and wait until they are what they were.
 * @param what does it
 */
function flushed(what: string): string {
  return [
    `before=$(${TABLES})`,
    what,
    'echo "$(nft list tables | grep -c classmind_) tables right after it"',
    "start=$(date +%s%N)",
    `until [ "$(${TABLES})" = "$before" ]; do`,
    `  [ $(( ($(date +%s%N) - start) / 1000000000 )) -lt ${SECONDS.walls} ] || { echo "not put back"; nft list ruleset; exit 1; }`,
    "  sleep 0.1; done",
    'echo "the same rules as before after $(( ($(date +%s%N) - start) / 1000000 )) ms"',
  ].join("\n");
}

async function flush(trial: Trial, visit: Visit, what: string): Promise<void> {
  const { code, stdout, stderr } = await trial.guest.run(flushed(what), SECONDS.command);
  trial.report.show(what, `${stdout}${stderr}`);
  check(code === 0, "the firewall's rules do not come back");
  await page(trial, visit);
  await wallsAfterChange(trial);
  await doctor(trial);
}

/** The platform is made to stand still, so that a check that takes seconds here meets a firewall that is gone. */
async function doctorTells(trial: Trial): Promise<void> {
  const still = [
    'main=$(systemctl show --value --property=MainPID classmind); all="$main $(pgrep -P "$main" | tr "\\n" " ")"',
    'trap "kill -CONT $all" EXIT; kill -STOP $all; nft flush ruleset',
    `cd ${CHECKOUT}; ./classmind doctor; echo "exit code $?"; kill -CONT $all`,
  ];
  const { code, stdout, stderr } = await trial.guest.run(flushed(still.join("\n")), SECONDS.command);
  trial.report.show(
    "nft flush ruleset; ./classmind doctor   (the platform stopped by SIGSTOP meanwhile, and then let on)",
    stdout + stderr,
  );
  check(stdout.includes("FAIL firewall") && stdout.includes("exit code 7"), "doctor does not tell");
  check(code === 0, "the firewall's rules do not come back");
  await wallsAfterChange(trial);
}

async function upAgain(trial: Trial, visit: Visit): Promise<void> {
  const main = "systemctl show --value --property=MainPID classmind";
  const before = await trial.guest.must(main, SECONDS.command);
  await classmind(trial, "up", SECONDS.quickstart);
  check((await trial.guest.must(main, SECONDS.command)) === before, "the platform was started anew");
  await page(trial, visit);
  await walls(trial);
}

/** Nobody comes in until the page was there. */
async function reboot(trial: Trial, visit: Visit): Promise<void> {
  const { guest, machine, report, signal } = trial;
  const bootId = "cat /proc/sys/kernel/random/boot_id";
  const before = await guest.must(bootId, SECONDS.command);
  await guest.run("systemctl reboot", SECONDS.command).catch(() => undefined);
  const started = performance.now();
  while (await titleOfPage(trial, visit).catch(() => false)) {
    check(performance.now() - started < 5 * MINUTE, "the page does not end");
    await sleep(200, undefined, { signal: trial.signal });
  }
  report.say(`the page is gone after ${inWords(performance.now() - started)}`);
  await untilPage(trial, visit, SECONDS.boot);
  report.say(`the page is there again after ${inWords(performance.now() - started)}, before anybody has come in`);
  await untilReachable(guest, machine, SECONDS.boot, signal);
  check((await guest.must(bootId, SECONDS.command)) !== before, "the machine did not start anew");
  await shown(
    trial,
    "who --boot; systemctl is-active classmind; journalctl --unit ssh --boot --grep Accepted --output cat | wc -l",
  );
}

async function journal(trial: Trial): Promise<void> {
  const words = await shown(
    trial,
    "journalctl --unit classmind --boot --output cat --no-pager | grep -E 'supervisor|route|Start' | cut -c -200",
  );
  check(/"part":"gateway"/.test(words), "the journal has no word of the platform");
}

/** What the school's administrator chose before is still good. */
async function signIn(trial: Trial, visit: Visit): Promise<void> {
  const browser = besucher(trial, visit);
  const { status, location } = await within(trial, browser.meldeAn(visit.admin.benutzername, visit.admin.passwort));
  check(status === 303 && location === "/", `signing in is answered ${status} ${location}`);
  trial.report.say(`${visit.admin.benutzername} signs in with the password chosen before: 303 ${location}`);
}

const LEFT = [
  "ls -d /var/lib/classmind/classmind /etc/classmind/classmind /run/classmind/classmind 2>/dev/null",
  "ls /etc/systemd/system/classmind* /etc/systemd/system/*.wants/classmind* 2>/dev/null",
  "systemctl list-units --all --no-legend --plain 'classmind*'",
  "grep ' /[^ ]*classmind/classmind' /proc/self/mounts",
  "nft list tables | grep 'classmind_'",
  "ip -brief link | grep '^cm'",
  "pgrep --list-full --full '[l]ib/classmind/classmind/'",
  "losetup --list --noheadings --output BACK-FILE | grep 'classmind/'",
  // Podman's own parent of all its groups stays, empty.
  "find /sys/fs/cgroup -type d -name 'libpod-*'",
].join("; ");

async function uninstall(trial: Trial): Promise<void> {
  await classmind(trial, "uninstall --yes", SECONDS.command);
  const { stdout } = await trial.guest.run(`${LEFT}; true`, SECONDS.command);
  check(stdout.trim() === "", `left over:\n${stdout}`);
  trial.report.say(
    "no directory, unit, mount, loop device, firewall table, network interface, cgroup or process of it is left",
  );
}

/** Everything, in the order in which it happens to an operator. */
export async function tryAll(trial: Trial): Promise<void> {
  const { report } = trial;
  const { stage } = report;
  let visit: Visit = { host: "", authority: "", admin: { benutzername: "", passwort: "" } };
  await stage("Debian with systemd, unified cgroups and AppArmor", () => system(trial));
  await stage(
    "quickstart, as the README says",
    async () => {
      visit = await quickstart(trial);
    },
    "needed",
  );
  await stage("the unit is there and the platform runs with umask 077", () => unit(trial));
  await stage("the school's page over verified TLS", () => page(trial, visit), "needed");
  await stage("the printed login; a password of one's own", async () => {
    visit = { ...visit, admin: await within(trial, firstLogin(besucher(trial, visit), visit.admin)) };
    await signIn(trial, visit);
  });
  await stage("a second school, as a neighbour", async () => {
    const { code } = await trial.guest.run(`cd ${CHECKOUT} && ./classmind tenant get nachbar`, SECONDS.command);
    if (code === 0) return;
    await classmind(trial, "tenant create nachbar --name Nachbarschule --contract V-1 --storage 1Gi", SECONDS.school);
  });
  await stage("the schools' processes are confined", () => confined(trial));
  await stage("the walls hold", () => walls(trial));
  await stage("doctor finds nothing", () => doctor(trial));
  await stage("the firewall flushed: the same walls", () => flush(trial, visit, "nft flush ruleset"));
  await stage("Debian's firewall reloaded: the same walls", () => flush(trial, visit, "systemctl reload nftables"));
  await stage("doctor tells of a firewall that is gone", () => doctorTells(trial));
  await stage("up again: page and walls, and nothing is started anew", () => upAgain(trial, visit));
  await stage("a reboot: the page by itself", () => reboot(trial, visit), "needed");
  await stage("after the reboot: the walls hold", () => walls(trial));
  await stage("after the reboot: unit and umask", () => unit(trial));
  await stage("after the reboot: doctor finds nothing", () => doctor(trial));
  await stage("after the reboot: the school's data", () => signIn(trial, visit));
  await stage("the platform's words are in the journal", () => journal(trial));
  await stage("uninstall leaves nothing", () => uninstall(trial));
}
