import { ClassmindError } from "./errors.ts";

/**
 * Names a school cannot have: host names the platform or the Internet's conventions need (RFC 2142, well-known
 * prefixes), and names that would mislead.
 */
const RESERVED = new Set(
  (
    "www api admin administrator mail smtp imap pop ftp ns ns1 ns2 mx dns autoconfig autodiscover wpad isatap localhost " +
    "classmind platform status support hilfe help info blog docs static assets cdn login account konto root system " +
    "control gateway backup backups metrics internal intern test postmaster hostmaster webmaster abuse security ssl"
  ).split(" "),
);

/** Longest slug: the namespace `school-<slug>` must fit into a DNS label of 63 characters, names derived from it too. */
export const SLUG_MAX_LENGTH = 40;

/**
 * Checks a school's short name before any effect.
 * @param slug the DNS label below the platform's domain
 * @returns the slug, unchanged
 * @throws ClassmindError `Invalid` on field `slug`, saying which rule is broken and what would pass
 */
export function checkSlug(slug: string): string {
  const problem = slugProblem(slug);
  if (problem === undefined) return slug;
  throw new ClassmindError("Invalid", problem, {
    field: "slug",
    remedy:
      "Choose 2 to 40 lower-case letters a–z, digits and single hyphens, beginning with a letter: goethe-gymnasium",
  });
}

/** The rule that a slug breaks, in words; undefined when it breaks none. */
export function slugProblem(slug: string): string | undefined {
  if (slug.length === 0) return "The name is empty.";
  if (slug.length > SLUG_MAX_LENGTH) return `The name has ${slug.length} characters; ${SLUG_MAX_LENGTH} are the most.`;
  if (slug.length < 2) return "The name has one character; two are the least.";
  if (/[A-Z]/.test(slug)) return "The name has upper-case letters; host names are written in lower case.";
  if (/[^\x21-\x7e]/.test(slug))
    return "The name has a blank, a control character or a letter outside a–z (one that looks alike, perhaps).";
  const odd = /[^a-z0-9-]/.exec(slug);
  if (odd !== null)
    return `The name has the character ${JSON.stringify(odd[0])}; only a–z, 0–9 and hyphens can stand in a host name.`;
  if (slug.startsWith("xn--") || slug.slice(2, 4) === "--")
    return "The name looks like an encoded international name (xn--…), which could imitate another school.";
  if (!/^[a-z]/.test(slug)) return "The name must begin with a letter.";
  if (slug.endsWith("-")) return "The name must not end with a hyphen.";
  if (slug.includes("--")) return "The name has two hyphens in a row.";
  if (RESERVED.has(slug)) return `The name ${slug} is reserved.`;
  return undefined;
}
