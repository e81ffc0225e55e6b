import { readFile } from "node:fs/promises";
import type { Breach } from "../engine.ts";
import type { EngineContext } from "./context.ts";
import { labelsOf, permitted, readNamespace } from "./namespace.ts";
import type { Placed } from "./translate/policies.ts";

/** Interfaces of a process's network namespace but the loopback (proc(5), /proc/pid/net/dev). Pure. */
export function interfacesOf(table: string): readonly string[] {
  return table
    .split("\n")
    .slice(2)
    .map((line) => line.split(":")[0]?.trim() ?? "")
    .filter((name) => name !== "" && name !== "lo");
}

async function containerBreaches(context: EngineContext, namespace: string, home: string): Promise<readonly Breach[]> {
  const containers = (await context.api.list(labelsOf(context, namespace))).filter((container) => container.running);
  const found = await Promise.all(
    containers.map(async ({ id }): Promise<readonly Breach[]> => {
      const { Name, NetworkSettings, State } = await context.api.docker.getContainer(id).inspect();
      const name = Name.replace(/^\//, "");
      const foreign = Object.keys(NetworkSettings.Networks ?? {}).filter((network) => network !== home);
      if (foreign.length > 0)
        return [{ kind: "network", where: name, label: `${name} is connected to ${foreign.join(", ")} too` }];
      // What was put there behind the container engine's back.
      const interfaces = interfacesOf(await readFile(`/proc/${State.Pid}/net/dev`, "utf8").catch(() => ""));
      if (interfaces.length <= 1) return [];
      return [{ kind: "network", where: name, label: `${name} has ${interfaces.length} network interfaces, not one` }];
    }),
  );
  return found.flat();
}

/** What of a namespace's walls is not as it should be, seen from the host, or was not since the last examination. */
export async function examineWalls(
  context: EngineContext,
  namespace: string,
  jobs: readonly Placed[],
): Promise<readonly Breach[]> {
  const network = await context.networks.find(namespace);
  if (network === undefined) return [];
  const { firewall: tables } = context;
  // Who asks for an examination wants the tables looked at, not what is known of them.
  tables.distrust();
  // Compared with what was loaded last: jobs come and go, and what they are permitted is ahead of the tables for a moment.
  const rules =
    (await tables.unchanged(namespace)) ??
    (await tables.holds(namespace, network, await permitted(context, await readNamespace(context, namespace), jobs)));
  const found = context.mended.get(namespace);
  // Told once: the next examination is about what happens from now on.
  context.mended.delete(namespace);
  const changed = "the firewall's rules were changed by someone else";
  const label = rules
    ? found && `${changed} at ${found.toISOString()} and have been put right`
    : `${changed}; they are put right now`;
  const firewall: readonly Breach[] =
    label === undefined ? [] : [{ kind: "firewall", where: `nft table of ${context.instance.name}`, label }];
  return [...firewall, ...(await containerBreaches(context, namespace, network.name))];
}
