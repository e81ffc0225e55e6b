import { basename, dirname, join } from "node:path";

const here = import.meta.dirname;

/**
 * Directory that holds `migrations/`, `ground/` and `features/`: the one above this when run from source, that of `main.mjs` when
 * bundled.
 */
export const appRoot: string = basename(here) === "ground" ? dirname(here) : here;

/** Absolute path of a file that ships with the app, e.g. `shipped("ground", "pages", "stylesheet.css")`. */
export function shipped(...parts: string[]): string {
  return join(appRoot, ...parts);
}
