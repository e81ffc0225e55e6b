import type { Keys } from "./person.ts";

/** The two cookies of the platform (R57). `__Host-`: only over HTTPS, only this host, never set by another. */
export const sessionCookie = "__Host-sitzung";
export const securityCookie = "__Host-sicherheit";

/** Keys are 32 random bytes in base64url; anything else in the cookie is ignored. */
const keyForm = /^[A-Za-z0-9_-]{43}$/;

/** The two keys that a request carries. Of a repeated name only the first counts. */
export function readKeys(header: string | undefined): Partial<Keys> {
  const found = new Map<string, string>();
  for (const part of (header ?? "").split(";").slice(0, 50)) {
    const at = part.indexOf("=");
    const name = part.slice(0, at).trim();
    const value = part.slice(at + 1).trim();
    if (at > 0 && !found.has(name) && keyForm.test(value)) {
      found.set(name, value);
    }
  }
  const sitzung = found.get(sessionCookie);
  const sicherheit = found.get(securityCookie);
  return { ...(sitzung ? { sitzung } : {}), ...(sicherheit ? { sicherheit } : {}) };
}

const attributes = "Path=/; Secure; HttpOnly; SameSite=Lax";

/** Set-Cookie for a key; ends with the browser, the server's own limits are shorter. */
export function setKey(name: string, value: string): string {
  return `${name}=${value}; ${attributes}`;
}

/** Set-Cookie that removes a key. */
export function dropKey(name: string): string {
  return `${name}=; ${attributes}; Max-Age=0`;
}
