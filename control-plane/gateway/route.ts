/** A route as one value of HAProxy's map: `open|<address>|<port>|<slug>` or `closed|||<slug>`. */

export type Destination =
  | { readonly state: "open"; readonly address: string; readonly port: number }
  | { readonly state: "closed" };

export interface MappedRoute {
  readonly slug: string;
  readonly destination: Destination;
}

/** Fields of a value in the map, as `field(n,|)` of HAProxy counts them. */
export const ROUTE_FIELDS = { state: 1, address: 2, port: 3, slug: 4 } as const;

export function encodeRoute({ slug, destination }: MappedRoute): string {
  return destination.state === "open" ? `open|${destination.address}|${destination.port}|${slug}` : `closed|||${slug}`;
}

/** The opposite of `encodeRoute`; undefined for anything it would not have written. */
export function decodeRoute(value: string): MappedRoute | undefined {
  const [state, address, port, slug, ...rest] = value.split("|");
  if (slug === undefined || slug === "" || rest.length > 0) return undefined;
  if (state === "closed") return { slug, destination: { state: "closed" } };
  if (state !== "open" || !address || !/^[0-9]{1,5}$/.test(port ?? "")) return undefined;
  return { slug, destination: { state: "open", address, port: Number(port) } };
}
