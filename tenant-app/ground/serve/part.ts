import type { Request } from "express";
import { type Reply, text } from "../gate/reply.ts";

/**
 * What of a file is sent (RFC 9110, 14): all of it, or the one part that is asked for, as by a browser whose download broke off. Several
 * parts at once, what is no range, and a part of another content get all; one beyond the end gets 416.
 */
export function partOf(request: Request, reply: Reply): Reply {
  if (reply.kind !== "download") return reply;
  const condition = request.headers["if-range"];
  if (condition !== undefined && condition !== reply.etag) return reply;
  const ranges = request.range(reply.length);
  if (ranges === -1) {
    // The last bytes, more of them than there are: range-parser takes that for one beyond the end.
    const suffix = /^bytes=-/.test(request.headers.range ?? "");
    const headers = { "Content-Range": `bytes */${reply.length}` };
    return suffix ? reply : text(416, "416 Range Not Satisfiable\n", undefined, { headers });
  }
  if (ranges === undefined || ranges === -2 || ranges.type !== "bytes") return reply;
  const [part, more] = ranges;
  if (!part || more) return reply;
  const headers = { ...reply.headers, "Content-Range": `bytes ${part.start}-${part.end}/${reply.length}` };
  return { ...reply, status: 206, part, headers };
}
