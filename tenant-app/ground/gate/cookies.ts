import type { Keys } from "./person.ts";

/** The two cookies of the platform (R57). `__Host-`: only over HTTPS, only this host, never set by another. */
export const sessionCookie = "__Host-sitzung";
export const securityCookie = "__Host-sicherheit";

/** Keys are 32 random bytes in base64url; anything else in the cookie is ignored. */
const keyForm = /^[A-Za-z0-9_-]{43}$/;

/** Around names and values only these two are blank (RFC 6265bis, 5.6): with any other one before it, a name is another name. */
const blanks = /^[ \t]+|[ \t]+$/g;

/**
 * The two keys that a request carries. Of a repeated name only the first counts. All cookies are looked at, however many there are: another
 * host of the same domain may have set as many as a browser keeps, before ours. The size of a request's head bounds them.
 */
export function readKeys(header: string | undefined): Partial<Keys> {
  const sitzung = first(header ?? "", sessionCookie);
  const sicherheit = first(header ?? "", securityCookie);
  return { ...(sitzung ? { sitzung } : {}), ...(sicherheit ? { sicherheit } : {}) };
}

function first(header: string, wanted: string): string | undefined {
  for (const part of header.split(";")) {
    const at = part.indexOf("=");
    if (at > 0 && part.slice(0, at).replace(blanks, "") === wanted) {
      const value = part.slice(at + 1).replace(blanks, "");
      if (keyForm.test(value)) {
        return value;
      }
    }
  }
  return undefined;
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
