import { existsSync, utimesSync } from "node:fs";

/** A ready file is touched this often: whoever watches over a process sees by its age that it is alive. */
const PULSE_MS = 15_000;

/** Touches a file from time to time, whenever it is there. Without a file nothing happens. @returns what ends it */
export function startPulse(file: string | undefined): () => void {
  if (file === undefined) return () => undefined;
  const timer = setInterval(() => {
    const now = new Date();
    if (existsSync(file)) utimesSync(file, now, now);
  }, PULSE_MS);
  return () => clearInterval(timer);
}
