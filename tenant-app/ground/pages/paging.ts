/** Page of a list that an address asks for; 1 when it names none or nonsense. Bounded, so that no OFFSET grows absurd. */
export function requestedPage(query: URLSearchParams): number {
  return Math.min(10_000, Math.max(1, Number.parseInt(query.get("seite") ?? "1", 10) || 1));
}

/** What a list's page needs to lead to the ones before and after it. */
export interface Paging {
  readonly seite: number;
  /** Whether there is more than this page. */
  readonly mehrere: boolean;
  readonly zurueck: string | undefined;
  readonly weiter: string | undefined;
}

/**
 * @param path address of the list, without query
 * @param weitere whether entries follow this page's
 */
export function paging(path: string, seite: number, weitere: boolean): Paging {
  return {
    seite,
    mehrere: seite > 1 || weitere,
    zurueck: seite > 1 ? `${path}?seite=${seite - 1}` : undefined,
    weiter: weitere ? `${path}?seite=${seite + 1}` : undefined,
  };
}
