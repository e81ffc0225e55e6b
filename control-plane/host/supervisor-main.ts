import { createInstance } from "./instance.ts";
import { readSettings } from "./settings.ts";
import { supervise } from "./supervisor.ts";

/** Process of the supervisor: `node supervisor-main.ts <instance>`. Ends everything it started on SIGTERM. */
const instance = createInstance(process.argv[2]);
const settings = readSettings(instance);
if (settings?.images === undefined) throw new Error("nothing is prepared on this machine; run: classmind up");
const supervision = supervise(instance, settings, settings.images);

function stop(): void {
  void supervision.then(
    (running) => running.stop().then(() => process.exit(0)),
    () => process.exit(1),
  );
}
process.once("SIGTERM", stop);
process.once("SIGINT", stop);
await supervision;
process.send?.("ready");
process.disconnect?.();
