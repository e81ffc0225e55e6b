import type { IncomingMessage } from "node:http";
import { describe, expect, it } from "vitest";
import { markRelayed, sourceOf } from "../../../control-plane/api/source.ts";

const request = (headers: Record<string, string>, remoteAddress?: string) =>
  ({ headers, socket: { remoteAddress } }) as unknown as IncomingMessage;

describe("where a request came from", () => {
  it("is not what a client says", () => {
    expect(sourceOf(request({ "x-classmind-source": "203.0.113.9" }))).toBe("unix");
    expect(sourceOf(request({ "x-classmind-source": "203.0.113.9" }, "10.1.2.3"))).toBe("10.1.2.3");
  });

  it("is what the listener says, if that is an address", () => {
    for (const [said, heard] of [
      ["203.0.113.9", "203.0.113.9"],
      ["2001:db8::9", "2001:db8::9"],
      ["root", "elsewhere"],
    ] as const) {
      const relayed = request({ "x-classmind-source": said });
      markRelayed(relayed);
      expect(sourceOf(relayed)).toBe(heard);
    }
  });
});
