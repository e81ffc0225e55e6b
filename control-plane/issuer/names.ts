/** DNS names as certificates carry them. */

const LABEL = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/;

/** Whether a name is a lower-case ASCII host name of at least one label (RFC 1123, IDNA names in their xn-- form); no wildcard, no address, no trailing dot. */
export function isHostName(name: string): boolean {
  if (name.length === 0 || name.length > 253) return false;
  const labels = name.split(".");
  return labels.every((label) => LABEL.test(label)) && !/^[0-9]+$/.test(labels.at(-1) ?? "");
}

/** Whether `name` is `domain` or lies below it (RFC 5280, 4.2.1.10: any name made by adding labels on the left). */
export function isWithin(name: string, domain: string): boolean {
  return name === domain || name.endsWith(`.${domain}`);
}
