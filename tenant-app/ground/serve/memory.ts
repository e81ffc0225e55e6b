import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * Collects what starting left behind, once. Node collects when it needs room, and an idle school never does: without
 * this it would keep several megabytes of parsed sources for as long as it idles.
 */
export function releaseStartupMemory(): void {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  setFlagsFromString("--no-expose-gc");
  if (typeof collect === "function") {
    // Only the last resort also gives the emptied pages back to the system.
    collect({ type: "major", execution: "sync", flavor: "last-resort" });
  }
}
