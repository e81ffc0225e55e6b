import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import { firewallTable, type Instance } from "../../host/instance.ts";
import { runHost } from "../../host/program.ts";
import {
  type FirewalledNetwork,
  type Listing,
  type NamespaceRules,
  namespaceRules,
  readListing,
  rulesIn,
} from "./firewall-rules.ts";
import { watchTable } from "./firewall-watch.ts";
import { createMutex } from "./mutex.ts";
import type { Allowance } from "./translate/policies.ts";

/**
 * The firewall around every namespace, in one nftables table per family and instance:
 *
 *   inet     a school opens no connection to the host (no port, no DNS, no ICMP), but for a running job to the relay that its
 *            policies give it; nothing is forwarded between bridges or to anywhere; from the host only root reaches schools, and
 *            the gateway's user what policies let it
 *   bridge   inside a school only the connections that its NetworkPolicies permit
 *
 * Inside a bridge the rules go by address and know no connections (answers are told by port and flags), because names of
 * bridges and conntrack in this family are kernel modules that hosts may lack. That is enough: a container has no IPv6 at all
 * and lacks the rights for raw sockets or another address. A namespace's rules are a chain of its own, replaced in one
 * transaction.
 */
export interface Firewall {
  /** Loads the frame that holds with no namespace at all. Idempotent; replaces what an older version loaded. */
  open(): Promise<void>;
  /**
   * Makes the rules of namespaces so, in one transaction; no write when they are loaded already.
   * @param read yields them when it is their turn, so that of two calls the later one never loads what is older
   */
  load(read: () => Promise<readonly Walled[]>): Promise<void>;
  /** Whether these very rules are loaded and the frame around them is whole. */
  holds(namespace: string, network: FirewalledNetwork, allowed: readonly Allowance[]): Promise<boolean>;
  /**
   * Whether a namespace's rules are as this process loaded them last, and the frame is whole: else someone else changed them, whatever is
   * about to be loaded. Undefined where it loaded none.
   */
  unchanged(namespace: string): Promise<boolean | undefined>;
  /** Namespaces whose rules this process loaded and which are not so any more; all of them where the frame is not whole. */
  broken(): Promise<readonly string[]>;
  /** Whether the frame is loaded and whole. */
  stands(): Promise<boolean>;
  /** Tells of what someone else changed in the tables, until the signal aborts. While it runs they are read after changes alone. */
  follow(clock: Clock, signal: AbortSignal, onChange: () => void): Promise<void>;
  /** The next question reads the tables, whatever is known of them. */
  distrust(): void;
  remove(namespace: string, network: FirewalledNetwork): Promise<void>;
  /** Removes the instance's tables. */
  close(): Promise<void>;
}

/** A namespace and what may pass its walls. */
export interface Walled {
  readonly namespace: string;
  readonly network: FirewalledNetwork;
  readonly allowed: readonly Allowance[];
}

/** Rules of the frame's chains, without those for the gateway's users. */
const FRAME_RULES = 12;

/** Milliseconds; longer than the kernel's word of a change takes to arrive, much shorter than process ids take to come again. */
const WRITER_REMEMBERED = 2_000;

/** Milliseconds that what was read is believed without a word of a change: a watch that is deaf and does not know it must not hide one. */
const BELIEVED = 60_000;

/**
 * @param hostUids users of the host that may reach what policies open to the gateway (root may reach everything)
 * @param onChanged hears of namespaces whose rules someone else had changed, before a load of ours puts them right unseen
 */
export function openFirewall(
  instance: Instance,
  hostUids: readonly number[],
  onChanged: (namespaces: readonly string[]) => void = () => undefined,
): Firewall {
  const table = firewallTable(instance);
  const bridges = `"cm${instance.short}*"`;
  const mutex = createMutex();
  /** Digest of the listing of a namespace's chains right after they were loaded. */
  const loaded = new Map<string, { digest: string; listing: string }>();
  /** What this process last made so. */
  const wanted = new Map<string, { readonly rules: NamespaceRules; readonly network: FirewalledNetwork }>();
  let frame: string | undefined;

  /** The tables as last read: nobody has changed them since. Kept only while changes are heard of. */
  let known: { readonly listing: Listing; readonly since: number } | undefined;
  let hears = false;
  let changes = 0;
  /** Processes that write for us: their changes are no news. */
  const writers = new Set<number>();

  function distrust(): void {
    changes += 1;
    known = undefined;
  }

  async function transaction(commands: string): Promise<void> {
    let writer = 0;
    try {
      await runHost("nft", ["-f", "-"], commands, {}, (pid) => {
        writer = pid;
        writers.add(pid);
      });
    } finally {
      distrust();
      // Its event may come after its end.
      setTimeout(() => writers.delete(writer), WRITER_REMEMBERED).unref();
    }
  }

  const others = hostUids.filter((uid) => uid !== 0);

  function frameCommands(): string {
    // A rule for each: a listing with sets in it could not be taken apart by its braces.
    const gateway = others.map((uid) => `meta skuid ${uid} oifname vmap @schools`).join("\n    ");
    // The sets of namespaces survive; only the frame's own chains are written anew.
    return `
table inet ${table} {
  map schools { type ifname : verdict; }
  set inside { type ifname . ifname; }
  chain input { type filter hook input priority -10; policy accept; }
  chain forward { type filter hook forward priority -10; policy accept; }
  chain output { type filter hook output priority -10; policy accept; }
}
table bridge ${table} {
  map schools { type ipv4_addr : verdict; flags interval; }
  chain forward { type filter hook forward priority -10; policy accept; }
}
flush chain inet ${table} input
flush chain inet ${table} forward
flush chain inet ${table} output
flush chain bridge ${table} forward
table inet ${table} {
  chain input {
    iifname ${bridges} ct state established,related accept
    iifname vmap @schools
    iifname ${bridges} drop
  }
  chain forward {
    iifname . oifname @inside accept
    iifname ${bridges} drop
    oifname ${bridges} drop
  }
  chain output {
    oifname ${bridges} ct state established,related accept
    oifname ${bridges} meta skuid 0 accept
    ${gateway}
    oifname ${bridges} drop
  }
}
table bridge ${table} {
  chain forward {
    ip saddr vmap @schools
    ip saddr ${instance.addressPool} drop
    ip daddr ${instance.addressPool} drop
  }
}
`;
  }

  /**
   * Both tables; a missing one is empty. One call for each: of two lists of different families in one call nft 1.0.6 finds the
   * second alone.
   */
  async function list(): Promise<Listing> {
    if (known !== undefined && performance.now() - known.since < BELIEVED) return known.listing;
    const before = changes;
    const both = await Promise.all(
      ["inet", "bridge"].map((family) =>
        runHost("nft", ["list", "table", family, table]).catch((error: unknown) => {
          // Any other fault must not look like an empty table: rules would stay behind unseen.
          if (/no such file or directory/i.test(messageOf(error))) return "";
          throw error;
        }),
      ),
    );
    const listing = readListing(both.join("\n"));
    if (hears && changes === before) known = { listing, since: performance.now() };
    return listing;
  }

  /** The parts of a listing that belong to a namespace, and the frame without any of them. */
  function partsOf({ chains, elements }: Listing, rules: NamespaceRules, network: FirewalledNetwork): string {
    const { bridge, subnet } = network;
    const jumps = [`"${bridge}" : jump ${rules.chain}`, `${subnet} : jump ${rules.chain}`].filter((jump) =>
      elements.has(jump),
    ).length;
    return JSON.stringify([chains.get(rules.chain) ?? [], jumps, elements.has(`"${bridge}" . "${bridge}"`)]);
  }

  function frameOf({ chains }: Listing): string {
    return ["input", "forward", "output"].flatMap((name) => chains.get(name) ?? []).join("\n");
  }

  const isFrame = (listing: Listing) => frame !== undefined && frameOf(listing) === frame;

  async function open(): Promise<void> {
    await transaction(frameCommands());
    const listing = frameOf(await list());
    // A rule that someone slipped in between the two must not be taken for ours from then on.
    frame = rulesIn(listing) === FRAME_RULES + others.length ? listing : undefined;
  }

  function loadCommands(rules: NamespaceRules, network: FirewalledNetwork): string {
    const { bridge } = network;
    const { chain, inside, fromHost, toHost, digest } = rules;
    return `
add chain inet ${table} ${chain}
add chain bridge ${table} ${chain}
flush chain inet ${table} ${chain}
flush chain bridge ${table} ${chain}
table inet ${table} {
  chain ${chain} {
    ${[...fromHost, ...toHost].join("\n    ")}
    drop comment "${digest}"
  }
}
table bridge ${table} {
  chain ${chain} {
    ${inside.join("\n    ")}
    drop comment "${digest}"
  }
}
add element inet ${table} schools { "${bridge}" : jump ${chain} }
add element inet ${table} inside { "${bridge}" . "${bridge}" }
add element bridge ${table} schools { ${network.subnet} : jump ${chain} }
`;
  }

  /** Remembers a namespace's rules as listed, if digest and number are right; else nothing, so that they are loaded again. */
  function remember(namespace: string, rules: NamespaceRules, parts: string): boolean {
    const right =
      parts.split(rules.digest).length === 3 &&
      parts.split(" accept").length - 1 === rules.inside.length + rules.fromHost.length + rules.toHost.length &&
      JSON.parse(parts)[1] === 2 &&
      JSON.parse(parts)[2] === true;
    if (right) loaded.set(namespace, { digest: rules.digest, listing: parts });
    else loaded.delete(namespace);
    return right;
  }

  function isWhole(listing: Listing, rules: NamespaceRules, namespace: string, network: FirewalledNetwork): boolean {
    if (!isFrame(listing)) return false;
    const known = loaded.get(namespace);
    const parts = partsOf(listing, rules, network);
    if (known !== undefined) return known.digest === rules.digest && known.listing === parts;
    // Loaded by an earlier process.
    return remember(namespace, rules, parts);
  }

  /** Whether what a namespace has is what was loaded for it last. Undefined where this process loaded nothing. */
  function isAsLoaded(listing: Listing, namespace: string): boolean | undefined {
    const [ours, last] = [loaded.get(namespace), wanted.get(namespace)];
    if (!ours || !last) return undefined;
    return isFrame(listing) && partsOf(listing, last.rules, last.network) === ours.listing;
  }

  return {
    open: () => mutex.run("nft", open),
    load: (read) =>
      mutex.run("nft", async () => {
        const all = (await read()).map(({ namespace, network, allowed }) => {
          const rules = namespaceRules(namespace, network, allowed);
          return { namespace, network, rules };
        });
        const listing = await list();
        // A broken frame is everybody's, and is put right for all of them.
        const touched = isFrame(listing) ? all.map(({ namespace }) => namespace) : [...wanted.keys()];
        const changed = touched.filter((namespace) => isAsLoaded(listing, namespace) === false);
        if (changed.length > 0) onChanged(changed);
        for (const { namespace, rules, network } of all) wanted.set(namespace, { rules, network });
        const due = all.filter(({ namespace, network, rules }) => !isWhole(listing, rules, namespace, network));
        if (due.length === 0) return;
        // With the frame alone nothing passes: what is loaded after it opens, and never closes.
        if (!isFrame(listing)) await open();
        await transaction(due.map(({ rules, network }) => loadCommands(rules, network)).join("\n"));
        const now = await list();
        for (const { namespace, network, rules } of due) remember(namespace, rules, partsOf(now, rules, network));
      }),
    holds: (namespace, network, allowed) =>
      mutex.run("nft", async () =>
        isWhole(await list(), namespaceRules(namespace, network, allowed), namespace, network),
      ),
    unchanged: (namespace) =>
      mutex.run("nft", async () => {
        return isAsLoaded(await list(), namespace);
      }),
    broken: () =>
      mutex.run("nft", async () => {
        if (wanted.size === 0) return [];
        const listing = await list();
        return [...wanted].flatMap(([namespace, { rules, network }]) =>
          isWhole(listing, rules, namespace, network) ? [] : [namespace],
        );
      }),
    stands: () =>
      mutex.run("nft", async () => {
        const listing = await list();
        // Another process loaded it: its rules are counted.
        return frame === undefined ? rulesIn(frameOf(listing)) === FRAME_RULES + others.length : isFrame(listing);
      }),
    follow: (clock, signal, onChange) =>
      watchTable(table, clock, signal, {
        isOurs: (pid) => writers.has(pid),
        hearing: (on) => {
          distrust();
          hears = on;
        },
        changed: () => {
          distrust();
          onChange();
        },
      }),
    distrust,
    remove: (namespace, network) =>
      mutex.run("nft", async () => {
        loaded.delete(namespace);
        wanted.delete(namespace);
        const { bridge } = network;
        const { chain } = namespaceRules(namespace, network, []);
        const listing = await list();
        if (!listing.chains.has(chain)) return;
        // Adding first makes each deletion good, whatever a crash left behind.
        await transaction(`${loadCommands(namespaceRules(namespace, network, []), network)}
delete element inet ${table} schools { "${bridge}" }
delete element inet ${table} inside { "${bridge}" . "${bridge}" }
delete element bridge ${table} schools { ${network.subnet} }
delete chain inet ${table} ${chain}
delete chain bridge ${table} ${chain}
`);
      }),
    close: () =>
      mutex.run("nft", async () => {
        loaded.clear();
        wanted.clear();
        frame = undefined;
        for (const family of ["inet", "bridge"]) {
          await transaction(`add table ${family} ${table}\ndelete table ${family} ${table}\n`);
        }
      }),
  };
}
