import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { bridgeName, type Instance } from "../../host/instance.ts";
import { EngineError, type ObjectRef } from "../engine.ts";
import type { ContainerApi } from "./docker.ts";
import { writeWhole } from "./files.ts";
import { createMutex } from "./mutex.ts";
import { LABEL, networkName } from "./names.ts";

/** A namespace's network: a /28 of the instance's pool on a bridge of its own. */
export interface NamespaceNetwork {
  readonly name: string;
  readonly bridge: string;
  readonly subnet: string;
  /** The host's side of the bridge. */
  readonly gateway: string;
}

export interface Networks {
  /** The namespace's network as recorded, whether or not the engine has it. */
  find(namespace: string): Promise<NamespaceNetwork | undefined>;
  exists(namespace: string): Promise<boolean>;
  ensure(namespace: string): Promise<NamespaceNetwork>;
  /** Addresses of a workload, the same for ever: one for a StatefulSet, two (for surge) for a Deployment. */
  addressesOf(namespace: string, workload: ObjectRef): Promise<readonly string[]>;
  /** Addresses that belong to no workload: for jobs. */
  freeAddresses(namespace: string): Promise<readonly string[]>;
  forget(namespace: string, workload: ObjectRef): Promise<void>;
  remove(namespace: string): Promise<void>;
}

const RECORD = z.strictObject({
  index: z.int().min(0).max(4095),
  addresses: z.record(z.string(), z.array(z.int().min(2).max(14))),
});
type Record_ = z.infer<typeof RECORD>;

const HOSTS = Array.from({ length: 13 }, (_, index) => index + 2);

/** @param namespaces lists the namespaces that may hold a record, to find a free subnet */
export function openNetworks(
  instance: Instance,
  api: ContainerApi,
  namespaces: () => Promise<readonly string[]>,
): Networks {
  const mutex = createMutex();
  const cache = new Map<string, Record_>();
  const fileOf = (namespace: string) => join(instance.stateDir, "engine", namespace, "network.json");
  const prefix = instance.addressPool.split(".").slice(0, 2).join(".");

  function addressAt(index: number, host: number): string {
    const number = index * 16 + host;
    return `${prefix}.${number >> 8}.${number & 255}`;
  }

  function describe(namespace: string, record: Record_): NamespaceNetwork {
    return {
      name: networkName(instance, namespace),
      bridge: bridgeName(instance, namespace),
      subnet: `${addressAt(record.index, 0)}/28`,
      gateway: addressAt(record.index, 1),
    };
  }

  async function read(namespace: string): Promise<Record_ | undefined> {
    const known = cache.get(namespace);
    if (known) return known;
    const text = await readFile(fileOf(namespace), "utf8").catch(() => undefined);
    if (text === undefined) return undefined;
    const record = RECORD.parse(JSON.parse(text));
    cache.set(namespace, record);
    return record;
  }

  async function write(namespace: string, record: Record_): Promise<void> {
    await writeWhole(fileOf(namespace), JSON.stringify(record), { mode: 0o600, durable: true });
    cache.set(namespace, record);
  }

  async function allocate(namespace: string): Promise<Record_> {
    const used = new Set<number>();
    for (const other of await namespaces()) {
      const record = await read(other);
      if (record) used.add(record.index);
    }
    for (let index = 0; index < 4096; index += 1) {
      if (used.has(index)) continue;
      const record = { index, addresses: {} };
      await write(namespace, record);
      return record;
    }
    throw new EngineError("AddressesExhausted", `all 4096 networks of ${instance.addressPool} are taken`, {
      retryable: false,
    });
  }

  return {
    async find(namespace) {
      const record = await read(namespace);
      return record && describe(namespace, record);
    },
    async exists(namespace) {
      const record = await read(namespace);
      if (!record) return false;
      const present = await api.networks({ [LABEL.instance]: instance.name, [LABEL.namespace]: namespace });
      return present.includes(networkName(instance, namespace));
    },
    // One key for all: two namespaces must never draw the same subnet.
    ensure: (namespace) =>
      mutex.run("networks", async () => {
        const network = describe(namespace, (await read(namespace)) ?? (await allocate(namespace)));
        await api.createNetwork({
          ...network,
          labels: { [LABEL.instance]: instance.name, [LABEL.namespace]: namespace },
        });
        return network;
      }),
    addressesOf: (namespace, workload) =>
      mutex.run("networks", async () => {
        const record = (await read(namespace)) ?? (await allocate(namespace));
        const key = `${workload.kind}/${workload.name}`;
        const recorded = record.addresses[key];
        if (recorded) return recorded.map((host) => addressAt(record.index, host));
        const taken = new Set(Object.values(record.addresses).flat());
        const wanted = workload.kind === "Deployment" ? 2 : 1;
        const hosts = HOSTS.filter((host) => !taken.has(host)).slice(0, wanted);
        if (hosts.length < wanted) {
          throw new EngineError("AddressesExhausted", `${key}: the namespace has no address left`, {
            retryable: false,
          });
        }
        await write(namespace, { ...record, addresses: { ...record.addresses, [key]: hosts } });
        return hosts.map((host) => addressAt(record.index, host));
      }),
    async freeAddresses(namespace) {
      const record = await read(namespace);
      if (!record) return [];
      const taken = new Set(Object.values(record.addresses).flat());
      return HOSTS.filter((host) => !taken.has(host)).map((host) => addressAt(record.index, host));
    },
    forget: (namespace, workload) =>
      mutex.run("networks", async () => {
        const record = await read(namespace);
        if (!record) return;
        const { [`${workload.kind}/${workload.name}`]: gone, ...addresses } = record.addresses;
        if (gone) await write(namespace, { ...record, addresses });
      }),
    remove: (namespace) =>
      mutex.run("networks", async () => {
        await api.removeNetwork(networkName(instance, namespace));
        cache.delete(namespace);
        await rm(fileOf(namespace), { force: true });
      }),
  };
}
