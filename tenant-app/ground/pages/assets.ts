import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { extname } from "node:path";
import { shipped } from "../paths.ts";
import { monogram } from "./monogram.ts";

export interface Asset {
  readonly path: string;
  readonly type: string;
  readonly body: Buffer;
  /** The same in Brotli (RFC 7932), where that was made ahead. */
  readonly brotli: Buffer | undefined;
}

/** The few files that pages load, each under a name that contains its hash and never changes. */
export interface Assets {
  readonly stylesheet: string;
  readonly icon: string;
  /** For the pages that ask for it; none needs it. */
  readonly script: string;
  readonly all: readonly Asset[];
}

/** Reads stylesheet and script, and draws the school's sign. */
export function loadAssets(schoolName: string): Assets {
  const stylesheet = fromFile("stil", "stylesheet.css", "text/css; charset=utf-8");
  const script = fromFile("skript", "script.js", "text/javascript; charset=utf-8");
  const icon = asset("zeichen", "svg", "image/svg+xml", Buffer.from(sign(monogram(schoolName)), "utf8"), undefined);
  return { stylesheet: stylesheet.path, icon: icon.path, script: script.path, all: [stylesheet, icon, script] };
}

function fromFile(name: string, fileName: string, type: string): Asset {
  const file = shipped("ground", "pages", fileName);
  // Made with the bundle; without it, as in development, it is sent as it is.
  const brotli = existsSync(`${file}.br`) ? readFileSync(`${file}.br`) : undefined;
  return asset(name, extname(file).slice(1), type, readFileSync(file), brotli);
}

function asset(name: string, extension: string, type: string, body: Buffer, brotli: Buffer | undefined): Asset {
  const hash = createHash("sha256").update(body).digest("hex").slice(0, 16);
  return { path: `/assets/${name}.${hash}.${extension}`, type, body, brotli };
}

/** Letters only (see `monogram`), so nothing needs escaping. */
function sign(letters: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><rect width="64" height="64" rx="14" fill="#1d4f8c"/><text x="32" y="33" fill="#fff" font-family="system-ui, sans-serif" font-size="28" font-weight="700" text-anchor="middle" dominant-baseline="central">${letters}</text></svg>\n`;
}
