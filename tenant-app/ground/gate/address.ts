import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";

/**
 * Address of the browser: what the gateway, the one hop before us, wrote into X-Forwarded-For. It overwrites whatever
 * the browser sent, so anything but a single address means that the request did not come through it.
 */
export function addressOf(request: IncomingMessage): string {
  const forwarded = request.headers["x-forwarded-for"];
  if (typeof forwarded === "string" && isIP(forwarded.trim()) !== 0) {
    return forwarded.trim();
  }
  return request.socket.remoteAddress ?? "unknown";
}

/** The network an address belongs to: /24 for IPv4, /64 for IPv6. */
export function networkOf(address: string): string {
  const v4 = /^(?:::ffff:)?(\d+\.\d+\.\d+)\.\d+$/.exec(address);
  if (v4) {
    return `${v4[1]}.0/24`;
  }
  const [head = "", tail = ""] = address.split("%")[0]?.split("::") ?? [];
  const left = head === "" ? [] : head.split(":");
  const right = tail === "" ? [] : tail.split(":");
  const zeros = address.includes("::") ? Math.max(0, 8 - left.length - right.length) : 0;
  const groups = [...left, ...Array.from({ length: zeros }, () => "0"), ...right];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(":")}::/64`;
}
