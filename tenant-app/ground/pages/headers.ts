import type { ServerResponse } from "node:http";

const allowed = [
  "default-src 'none'",
  "style-src 'self'",
  "img-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
];
const policy = allowed.join("; ");

/** For a page with a script: that one file may run, and speak to this school alone. No other page runs anything. */
export function withScript(address: string): Readonly<Record<string, string>> {
  return { "Content-Security-Policy": [...allowed, `script-src ${address}`, "connect-src 'self'"].join("; ") };
}

const everywhere: Readonly<Record<string, string>> = {
  "Content-Security-Policy": policy,
  "Strict-Transport-Security": "max-age=63072000",
  // Not no-referrer: browsers would then send `Origin: null` with forms, which the gate refuses.
  "Referrer-Policy": "same-origin",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Permissions-Policy":
    "camera=(), microphone=(), geolocation=(), payment=(), usb=(), display-capture=(), browsing-topics=()",
  "X-Robots-Tag": "noindex, nofollow",
  "Cache-Control": "no-store",
};

/** Sets what every answer carries; a reply may replace single values afterwards. */
export function setHeaders(response: ServerResponse): void {
  for (const [name, value] of Object.entries(everywhere)) {
    response.setHeader(name, value);
  }
}

/** For files of users, should a browser ever show one: nothing in it may run. */
export const sandboxed: Readonly<Record<string, string>> = {
  "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
};
