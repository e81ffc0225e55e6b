import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { SOURCE_HEADER } from "../listener/places.ts";

/** Where a request came from, for the audit. */

const relayed = new WeakSet<object>();

/** The request came by the listener, whose word on its source is taken. On any other way a client may say what it likes: it is not heard. */
export function markRelayed(request: IncomingMessage): void {
  relayed.add(request);
}

/** Address of the client; `unix` for one of this machine's own socket. */
export function sourceOf(request: IncomingMessage): string {
  if (!relayed.has(request)) return request.socket.remoteAddress ?? "unix";
  const named = request.headers[SOURCE_HEADER];
  return typeof named === "string" && isIP(named) !== 0 ? named : "elsewhere";
}
