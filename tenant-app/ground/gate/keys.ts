import { createHmac, type KeyObject, randomBytes, timingSafeEqual } from "node:crypto";

/** A new session or security key: 32 random bytes, base64url. */
export function newKey(): string {
  return randomBytes(32).toString("base64url");
}

/** What the database stores of a session or security key. */
export function keyHash(sessionKey: KeyObject, purpose: "sitzung" | "sicherheit", value: string): Buffer {
  return createHmac("sha256", sessionKey).update(`${purpose}\0${value}`).digest();
}

/**
 * The hidden field of every form: bound to session and security key, so that one of another session, another person
 * or an earlier login is worthless. Before login there is no session key yet.
 */
export function formKey(
  sessionKey: KeyObject,
  keys: { readonly sitzung?: string; readonly sicherheit: string },
): string {
  return createHmac("sha256", sessionKey)
    .update(`formular\0${keys.sitzung ?? ""}\0${keys.sicherheit}`)
    .digest("base64url");
}

/** Compares two secrets without telling by its duration how much of them agrees. */
export function sameSecret(a: string | Buffer, b: string | Buffer): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}
