import type { ShapeOf } from "./shapes.ts";
import { refuse } from "./translate.ts";

/** Somebody with an address: a pod of the namespace. */
export interface Placed {
  readonly address: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** A TCP connection that may be opened. `from: "host"` is the gateway on this machine. */
export interface Allowance {
  readonly from: string;
  /** A pod's address, or "host": a relay on this machine (relays.ts). */
  readonly to: string;
  readonly port: number;
}

/** Somebody outside this machine whom a job may reach. */
export interface Outside {
  readonly address: string;
  readonly port: number;
}

type Policy = ShapeOf<"NetworkPolicy">;

function matches(
  selector: Readonly<Record<string, string>> | undefined,
  labels: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(selector ?? {}).every(([key, value]) => labels[key] === value);
}

/** Whether a CIDR covers the whole address pool, i.e. every bridge's host side. */
export function coversPool(cidr: string, pool: string): boolean {
  const [network, length] = parse(cidr);
  const [poolNetwork, poolLength] = parse(pool);
  const mask = length === 0 ? 0 : (0xffff_ffff << (32 - length)) >>> 0;
  return length <= poolLength && (poolNetwork & mask) >>> 0 === (network & mask) >>> 0;
}

function parse(cidr: string): readonly [number, number] {
  const [address = "", length = "32"] = cidr.split("/");
  const number = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  return [number, Number(length)];
}

/** Egress by address: one address outside the pool for each port, for that is what a relay can stand for. */
function checkEgress(policy: Policy, pool: string): void {
  const taken = new Map<number, string>();
  const rules = (policy.spec.egress ?? []).entries();
  const peers = [...rules].flatMap(([rule, { to, ports }]) => to.map((peer, index) => ({ rule, index, peer, ports })));
  for (const { rule, index, peer, ports } of peers) {
    if (!("ipBlock" in peer)) continue;
    const field = `NetworkPolicy/${policy.metadata.name}: spec.egress[${rule}].to[${index}].ipBlock.cidr`;
    const { cidr } = peer.ipBlock;
    if (!cidr.endsWith("/32")) throw refuse(`${field}: must be one address (/32), not ${cidr}`);
    if (coversPool(pool, cidr)) throw refuse(`${field}: is an address of schools (${pool})`);
    for (const { port } of ports) {
      const other = taken.get(port) ?? cidr;
      if (other !== cidr) throw refuse(`${field}: port ${port} leads to ${other} already`);
      taken.set(port, cidr);
    }
  }
}

/**
 * Refuses what one machine cannot keep: by address, only the host itself is known as a peer of ingress.
 * @throws EngineError "ManifestRefused" naming the policy and the field
 */
export function checkPolicy(policy: Policy, pool: string): void {
  checkEgress(policy, pool);
  for (const [rule, { from }] of (policy.spec.ingress ?? []).entries()) {
    for (const [index, peer] of from.entries()) {
      if ("ipBlock" in peer && !coversPool(peer.ipBlock.cidr, pool)) {
        throw refuse(
          `NetworkPolicy/${policy.metadata.name}: spec.ingress[${rule}].from[${index}].ipBlock.cidr: only the host itself can be a peer by address (${pool}), not ${peer.ipBlock.cidr}`,
        );
      }
    }
  }
}

function ingressOf(policies: readonly Policy[], target: Placed, all: readonly Placed[]): readonly Allowance[] {
  return policies
    .filter(
      (policy) =>
        policy.spec.policyTypes.includes("Ingress") && matches(policy.spec.podSelector.matchLabels, target.labels),
    )
    .flatMap((policy) => policy.spec.ingress ?? [])
    .flatMap((rule) => rule.ports.flatMap(({ port }) => rule.from.map((peer) => ({ peer, port }))))
    .flatMap(({ peer, port }) => {
      if ("ipBlock" in peer) return [{ from: "host", to: target.address, port }];
      const sources = all.filter((pod) => pod !== target && matches(peer.podSelector.matchLabels, pod.labels));
      return sources.map((source) => ({ from: source.address, to: target.address, port }));
    });
}

function mayLeave(policies: readonly Policy[], source: Placed, target: Placed, port: number): boolean {
  return policies
    .filter(
      (policy) =>
        policy.spec.policyTypes.includes("Egress") && matches(policy.spec.podSelector.matchLabels, source.labels),
    )
    .flatMap((policy) => policy.spec.egress ?? [])
    .some(
      (rule) =>
        rule.ports.some((allowed) => allowed.port === port) &&
        rule.to.some((peer) => "podSelector" in peer && matches(peer.podSelector.matchLabels, target.labels)),
    );
}

/** Whom outside this machine the policies let a pod reach. */
export function outward(policies: readonly Policy[], labels: Placed["labels"]): readonly Outside[] {
  return policies
    .filter(
      (policy) => policy.spec.policyTypes.includes("Egress") && matches(policy.spec.podSelector.matchLabels, labels),
    )
    .flatMap((policy) => policy.spec.egress ?? [])
    .flatMap((rule) => rule.ports.flatMap(({ port }) => rule.to.map((peer) => ({ peer, port }))))
    .flatMap(({ peer, port }) =>
      "ipBlock" in peer ? [{ address: peer.ipBlock.cidr.replace(/\/32$/, ""), port }] : [],
    );
}

/**
 * The connections that policies permit between placed pods: what the target's policies let in and the source's let out.
 * Stricter than Kubernetes in one way: a pod that no policy selects reaches nobody and is reached by nobody.
 */
export function allowances(policies: readonly Policy[], pods: readonly Placed[]): readonly Allowance[] {
  const found = new Map<string, Allowance>();
  for (const target of pods) {
    for (const allowance of ingressOf(policies, target, pods)) {
      const source = pods.find((pod) => pod.address === allowance.from);
      if (source !== undefined && !mayLeave(policies, source, target, allowance.port)) continue;
      found.set(`${allowance.from} ${allowance.to} ${allowance.port}`, allowance);
    }
  }
  return [...found.keys()].sort().flatMap((key) => found.get(key) ?? []);
}
