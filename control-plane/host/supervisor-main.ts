import { chmodSync, existsSync, fstatSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { messageOf } from "../errors.ts";
import { createLog } from "../log.ts";
import { createInstance } from "./instance.ts";
import { layoutOf } from "./layout.ts";
import { holdSupervisorLock } from "./lock.ts";
import { boundLog } from "./log-bound.ts";
import { digestReadAtStart } from "./read-at-start.ts";
import { readSettings } from "./settings.ts";
import { supervise } from "./supervisor.ts";
import { notifyReady } from "./systemd.ts";

/** Process of the supervisor: `node supervisor-main.mjs <instance>`, out of its copy (program-copy.ts). Ends everything it started on SIGTERM. */
const instance = createInstance(process.argv[2]);
const settings = readSettings(instance);
const images = settings?.images;
if (settings === undefined || images === undefined)
  throw new Error("nothing is prepared on this machine; run: classmind up");
const layout = layoutOf(instance);
/** Under systemd our words are in the journal; else `up` gave us a file, which nobody else bounds. */
function boundOwnLog(): void {
  const { supervisorLog } = layout;
  if (!existsSync(supervisorLog) || fstatSync(1).ino !== statSync(supervisorLog).ino) return;
  const log = createLog("supervisor");
  boundLog(supervisorLog, (error) => log.error({ error: messageOf(error) }, "its own log cannot be bounded"));
}

const supervision = holdSupervisorLock(instance).then(() => {
  mkdirSync(instance.runDir, { recursive: true, mode: 0o700 });
  rmSync(layout.supervisorReadyFile, { force: true });
  // Before anything is read: what changes from here on makes us outdated.
  const read = digestReadAtStart(instance, settings, import.meta.dirname);
  writeFileSync(layout.supervisorReadFile, `${read}\n`, { mode: 0o600 });
  writeFileSync(layout.supervisorPidFile, `${process.pid}\n`, { mode: 0o644 });
  // That a platform runs is no secret on its machine, whatever the umask: `status` and `doctor` tell it to everybody.
  chmodSync(layout.supervisorPidFile, 0o644);
  boundOwnLog();
  return supervise(instance, settings, images);
});

function stop(): void {
  void supervision.then(
    (running) => running.stop().then(() => process.exit(0)),
    () => process.exit(1),
  );
}
process.once("SIGTERM", stop);
process.once("SIGINT", stop);
await supervision.catch((error: unknown) => {
  // Whoever waits for us is told why, and the log has the trace.
  if (process.connected) process.send?.({ failed: messageOf(error) });
  throw error;
});
await notifyReady(process.env);
// Whoever waited for us may be gone (Ctrl-C in `up`): that is no reason to end.
if (process.connected) {
  process.send?.("ready");
  process.disconnect?.();
}
