import { createHash } from "node:crypto";
import type { Allowance } from "./translate/policies.ts";

export interface FirewalledNetwork {
  readonly bridge: string;
  /** The host's address on the bridge. */
  readonly gateway: string;
  readonly subnet: string;
}

/** Rules of one namespace, as nft commands; the comment carries their digest, by which they are recognised. */
export interface NamespaceRules {
  readonly chain: string;
  readonly inside: readonly string[];
  readonly fromHost: readonly string[];
  readonly toHost: readonly string[];
  readonly digest: string;
}

/** Pure: the rules that allowances mean. */
export function namespaceRules(
  namespace: string,
  network: FirewalledNetwork,
  allowed: readonly Allowance[],
): NamespaceRules {
  const chain = `school_${createHash("sha256").update(namespace).digest("hex").slice(0, 12)}`;
  const inside: string[] = [];
  const fromHost: string[] = [];
  const toHost: string[] = [];
  for (const { from, to, port } of allowed) {
    if (from === "host") fromHost.push(`ip daddr ${to} tcp dport ${port} accept`);
    else if (to === "host") toHost.push(`ip saddr ${from} ip daddr ${network.gateway} tcp dport ${port} accept`);
    else {
      inside.push(`ip saddr ${from} ip daddr ${to} tcp dport ${port} accept`);
      // Answers: never a packet that opens a connection.
      inside.push(`ip saddr ${to} ip daddr ${from} tcp sport ${port} tcp flags & (syn | ack) != syn accept`);
    }
  }
  const digest = createHash("sha256")
    .update(JSON.stringify([network.bridge, network.subnet, inside, fromHost, toHost]))
    .digest("hex")
    .slice(0, 16);
  return { chain, inside, fromHost, toHost, digest };
}

/** Rules in listed chains: every line that is not the chain's own. Pure. */
export function rulesIn(chains: string): number {
  return chains
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && line !== "}" && !line.startsWith("chain ") && !line.startsWith("type ")).length;
}

/** A listing of both tables, taken apart once: it is as long as there are schools. */
export interface Listing {
  /** Chains by their name, as text, one for each family that has it. */
  readonly chains: ReadonlyMap<string, readonly string[]>;
  /** Elements of sets and maps. */
  readonly elements: ReadonlySet<string>;
}

/** Pure. @param text what `nft list table` writes; no chain of ours holds braces */
export function readListing(text: string): Listing {
  const chains = new Map<string, string[]>();
  for (const [chain, name = ""] of text.matchAll(/chain (\w+) \{[^}]*\}/g)) {
    chains.set(name, [...(chains.get(name) ?? []), chain]);
  }
  const elements = new Set<string>();
  for (const [, list = ""] of text.matchAll(/elements = \{([^}]*)\}/g)) {
    for (const element of list.split(",")) elements.add(element.trim());
  }
  return { chains, elements };
}
