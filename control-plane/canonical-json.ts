function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
    return Object.fromEntries(
      entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, canonical(inner)]),
    );
  }
  return value;
}

/** JSON in which equal values are equal text: keys sorted at every depth, absent fields left out. What hashes are taken over. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(canonical(value));
}
