import { argon2, createHash, randomBytes, randomInt, timingSafeEqual } from "node:crypto";

/** Argon2id (RFC 9106) with OWASP's parameters: 19 MiB, two passes, one lane. */
const current = { memory: 19_456, passes: 2, parallelism: 1 } as const;

interface Parameters {
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
}

/** PHC string of the password: `$argon2id$v=19$m=…,t=…,p=…$salt$hash`. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const hash = await derive(password, salt, current);
  return `$argon2id$v=19$m=${current.memory},t=${current.passes},p=${current.parallelism}$${unpadded(salt)}$${unpadded(hash)}`;
}

/** Whether the password belongs to the PHC string; false for a malformed string. Time does not depend on the password. */
export async function verifyPassword(password: string, phc: string): Promise<boolean> {
  const match = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/.exec(phc);
  if (!match) {
    return false;
  }
  const [, memory, passes, parallelism, salt = "", hash = ""] = match;
  const expected = Buffer.from(hash, "base64");
  const found = await derive(password, Buffer.from(salt, "base64"), {
    memory: Number(memory),
    passes: Number(passes),
    parallelism: Number(parallelism),
  });
  return expected.length === found.length && timingSafeEqual(expected, found);
}

const letters = "abcdefghjkmnpqrstuvwxyz23456789";
const groups = [5, 5, 5];

/**
 * A one-time password that can be read aloud and typed: three groups of five without look-alikes, 74 bits. So it needs no slow hash:
 * at ten thousand million guesses a second it stands for tens of thousands of years.
 */
export function oneTimePassword(): string {
  const group = (length: number) => Array.from({ length }, () => letters.charAt(randomInt(letters.length))).join("");
  return groups.map(group).join("-");
}

const oneTimePrefix = "$einmal$sha256$";

/** What is stored of a one-time password: salted, fast. Only for what `oneTimePassword` made. */
export function hashOneTime(password: string): string {
  const salt = randomBytes(16).toString("hex");
  return `${oneTimePrefix}${salt}$${digest(salt, onlyLetters(password))}`;
}

/** Whether a stored value is one that `hashOneTime` made. */
export function isOneTimeHash(stored: string): boolean {
  return stored.startsWith(oneTimePrefix);
}

/** Whether what was typed is the one-time password; capitals, blanks and dashes of any kind do not count. */
export function verifyOneTime(typed: string, stored: string): boolean {
  const [salt = "", expected = ""] = stored.slice(oneTimePrefix.length).split("$");
  const found = Buffer.from(digest(salt, onlyLetters(typed)));
  const wanted = Buffer.from(expected);
  return found.length === wanted.length && timingSafeEqual(found, wanted);
}

/** A one-time password of an earlier version (three groups of four) as it was made, however it was typed. */
export function oneTimeAsMade(typed: string): string {
  return onlyLetters(typed).replace(/(.{4})(?=.)/g, "$1-");
}

function onlyLetters(typed: string): string {
  return typed
    .normalize("NFKC")
    .toLowerCase()
    .replace(/[\s\p{Pd}\u2212\p{Cf}]+/gu, "");
}

function digest(salt: string, text: string): string {
  return createHash("sha256").update(`${salt}\0${text}`).digest("hex");
}

function derive(password: string, salt: Buffer, parameters: Parameters): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    argon2(
      "argon2id",
      // One spelling for one password, however the keyboard composes umlauts.
      { message: password.normalize("NFC"), nonce: salt, tagLength: 32, ...parameters },
      (error, key) => (error ? reject(error) : resolve(Buffer.from(key))),
    );
  });
}

function unpadded(bytes: Buffer): string {
  return bytes.toString("base64").replace(/=+$/, "");
}
