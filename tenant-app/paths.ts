import { join } from "node:path";

/**
 * Directory that holds `migrations/`, `assets/` and the features' `views/`: this directory when run from source, the
 * directory of `main.mjs` when bundled.
 */
export const appRoot: string = import.meta.dirname;

/** Absolute path of a file that ships with the app, e.g. `shipped("assets", "stil.css")`. */
export function shipped(...parts: string[]): string {
  return join(appRoot, ...parts);
}
