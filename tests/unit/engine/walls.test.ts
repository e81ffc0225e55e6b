import { describe, expect, it } from "vitest";
import { rulesIn } from "../../../control-plane/engine/containers/firewall-rules.ts";
import { interfacesOf } from "../../../control-plane/engine/containers/walls.ts";

const HEAD = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed`;

describe("walls seen from outside", () => {
  it("know a container's interfaces, the loopback left out", () => {
    const line = (name: string) =>
      `${name.padStart(6)}:    1234      12    0    0    0     0          0         0     0 0 0`;
    expect(interfacesOf([HEAD, line("lo"), line("eth0"), ""].join("\n"))).toEqual(["eth0"]);
    expect(interfacesOf([HEAD, line("lo"), line("eth0"), line("eth9")].join("\n"))).toEqual(["eth0", "eth9"]);
    expect(interfacesOf("")).toEqual([]);
  });

  it("count the rules of listed chains, whatever stands around them", () => {
    const chains = `chain input {
    type filter hook input priority filter - 10; policy accept;
    iifname "cm1a2b*" ct state established,related accept
    iifname "cm1a2b*" drop
  }
chain output {
    type filter hook output priority filter - 10; policy accept;
    oifname "cm1a2b*" drop
  }`;
    expect(rulesIn(chains)).toBe(3);
    expect(rulesIn("")).toBe(0);
  });
});
