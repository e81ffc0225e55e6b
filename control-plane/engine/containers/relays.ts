import { once } from "node:events";
import { createServer, connect as dial, type Server, type Socket } from "node:net";
import { EngineError } from "../engine.ts";
import type { Outside } from "./translate/policies.ts";

/**
 * Ways out of a school for the time of a job: a school's network leads nowhere, so the host takes its connections to one
 * address and port and makes them itself. What goes through is the job's own affair (TLS from end to end). The firewall lets
 * in the job's address alone, and so does the relay.
 */
export interface Relays {
  /**
   * Opens a way to each of the given addresses, at its own port on the host's side of the school's bridge.
   * @param gateway the host's address on that bridge
   * @param from the job's address
   * @returns what closes them again
   */
  open(gateway: string, from: string, targets: readonly Outside[]): Promise<() => void>;
  close(): void;
}

const CONNECT_MS = 15_000;

interface Relay {
  readonly server: Server;
  readonly target: Outside;
  readonly users: Set<string>;
  readonly sockets: Set<Socket>;
}

function pass(client: Socket, relay: Relay): void {
  if (!relay.users.has(client.remoteAddress ?? "")) {
    client.destroy();
    return;
  }
  const { address: host, port } = relay.target;
  const outside = dial({ host, port, timeout: CONNECT_MS, allowHalfOpen: true });
  const end = () => {
    client.destroy();
    outside.destroy();
  };
  for (const socket of [client, outside]) {
    relay.sockets.add(socket);
    socket.on("close", () => {
      relay.sockets.delete(socket);
      end();
    });
    socket.on("error", end);
  }
  outside.once("timeout", end);
  outside.once("connect", () => outside.setTimeout(0));
  client.pipe(outside);
  outside.pipe(client);
}

export function createRelays(): Relays {
  const relays = new Map<string, Relay>();

  async function ensure(gateway: string, target: Outside): Promise<Relay> {
    const key = `${gateway} ${target.port}`;
    const known = relays.get(key);
    if (known !== undefined) {
      if (known.target.address === target.address) return known;
      throw new EngineError("RelayTaken", `port ${target.port} leads to ${known.target.address} already`);
    }
    const relay: Relay = {
      server: createServer({ allowHalfOpen: true }, (client) => pass(client, relay)),
      target,
      users: new Set(),
      sockets: new Set(),
    };
    relays.set(key, relay);
    try {
      relay.server.listen(target.port, gateway);
      await once(relay.server, "listening");
      relay.server.on("error", () => undefined);
      return relay;
    } catch (error) {
      relays.delete(key);
      throw new EngineError("RelayFailed", `no way to ${target.address}:${target.port} could be opened`, {
        cause: error,
      });
    }
  }

  function release(gateway: string, from: string, targets: readonly Outside[]): void {
    for (const { port } of targets) {
      const key = `${gateway} ${port}`;
      const relay = relays.get(key);
      relay?.users.delete(from);
      if (relay === undefined || relay.users.size > 0) continue;
      relays.delete(key);
      relay.server.close();
      for (const socket of relay.sockets) socket.destroy();
    }
  }

  return {
    async open(gateway, from, targets) {
      const opened: Outside[] = [];
      try {
        for (const target of targets) {
          (await ensure(gateway, target)).users.add(from);
          opened.push(target);
        }
      } catch (error) {
        release(gateway, from, opened);
        throw error;
      }
      return () => release(gateway, from, targets);
    },
    close() {
      for (const relay of relays.values()) {
        relay.server.close();
        for (const socket of relay.sockets) socket.destroy();
      }
      relays.clear();
    },
  };
}
