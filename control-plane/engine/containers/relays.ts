import { createServer, connect as dial, type Server, type Socket } from "node:net";
import { messageOf } from "../../errors.ts";
import { listensEverywhere } from "../../host/listening.ts";
import type { Log } from "../../log.ts";
import { EngineError } from "../engine.ts";
import type { Outside } from "./translate/policies.ts";

/**
 * Ways out of a school for the time of a job: a school's network leads nowhere, so the host takes its connections to one
 * address and port and makes them itself. What goes through is the job's own affair (TLS or SSH from end to end). The firewall
 * lets in the job's address alone, and so does the relay.
 */
export interface Relays {
  /**
   * Opens a way to each of the given addresses, at its own port on the host's side of the school's bridge.
   * @param gateway the host's address on that bridge
   * @param from the job's address
   * @returns what closes them again; once is enough, more does no harm
   * @throws EngineError `RelayTaken` or `RelayFailed`, saying why and what to do
   */
  open(gateway: string, from: string, targets: readonly Outside[]): Promise<() => void>;
  close(): void;
}

const CONNECT_MS = 15_000;
/** restic holds five at a time; a job gone wild must not use up what the host may open. */
const MOST_CONNECTIONS = 32;

/** One job's use of relays. Its own object, for an address may be another job's by the time it is given back. */
interface Use {
  readonly from: string;
}

interface Relay {
  readonly key: string;
  readonly server: Server;
  readonly target: Outside;
  readonly uses: Set<Use>;
  readonly sockets: Set<Socket>;
  /** Settled once it listens, or cannot. Shared by all who want it meanwhile. */
  listening: Promise<void>;
}

function place({ address, port }: Outside): string {
  return `${address}:${port}`;
}

/** Why a port could not be taken and what to do, in words for whoever runs the host. */
function explain(error: unknown, gateway: string, target: Outside): string {
  const { port } = target;
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "EADDRINUSE" && listensEverywhere(port)) {
    return `a program of this host listens at port ${port} on every address, so none is left for the way to it; let that program listen on the host's own address alone (sshd: ListenAddress), or let what is to be reached have another port`;
  }
  if (code === "EADDRINUSE") {
    return `another program listens at ${gateway}:${port}; end it (ss -ltnp 'sport = :${port}' names it)`;
  }
  if (code === "EADDRNOTAVAIL")
    return `the host has lost its address ${gateway} on the school's network; it is tried again`;
  if (code === "EACCES") return `this process may not listen at port ${port}; it must run as root`;
  if (code === "EMFILE" || code === "ENFILE") return "too many files are open on this host; it is tried again";
  return messageOf(error);
}

function pass(client: Socket, relay: Relay, log: Pick<Log, "warn">): void {
  const from = client.remoteAddress;
  // Without a listener, an error of a socket that is turned away would end the process.
  client.on("error", () => client.destroy());
  if (![...relay.uses].some((use) => use.from === from)) {
    client.destroy();
    return;
  }
  const { address: host, port } = relay.target;
  const outside = dial({ host, port, timeout: CONNECT_MS, allowHalfOpen: true });
  const end = () => {
    client.destroy();
    outside.destroy();
  };
  let connected = false;
  const failed = (why: string) => {
    if (!connected)
      log.warn({ target: place(relay.target), error: why }, "what a school may reach outside cannot be reached");
    end();
  };
  for (const socket of [client, outside]) {
    relay.sockets.add(socket);
    socket.on("close", () => {
      relay.sockets.delete(socket);
      end();
    });
  }
  outside.on("error", (error) => failed(messageOf(error)));
  outside.once("timeout", () => failed(`no answer within ${CONNECT_MS / 1000} s`));
  outside.once("connect", () => {
    connected = true;
    outside.setTimeout(0);
  });
  client.pipe(outside);
  outside.pipe(client);
}

export function createRelays(log: Pick<Log, "warn">): Relays {
  const relays = new Map<string, Relay>();

  function end(relay: Relay): void {
    if (relays.get(relay.key) === relay) relays.delete(relay.key);
    relay.server.close();
    for (const socket of relay.sockets) socket.destroy();
  }

  async function listen(relay: Relay, gateway: string): Promise<void> {
    const { server, target } = relay;
    try {
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject).once("close", () => reject(new Error("it was given up before it was open")));
        // What does not listen yet is not kept from it by closing.
        server.once("listening", () => (relays.get(relay.key) === relay ? resolve() : server.close()));
        server.listen(target.port, gateway);
      });
      server.on("error", () => undefined);
    } catch (error) {
      end(relay);
      const message = `no way to ${place(target)} could be opened: ${explain(error, gateway, target)}`;
      throw new EngineError("RelayFailed", message, { cause: error });
    }
  }

  function ensure(gateway: string, target: Outside): Relay {
    const key = `${gateway} ${target.port}`;
    const known = relays.get(key);
    if (known !== undefined) {
      if (known.target.address === target.address) return known;
      const message = `port ${target.port} leads to ${known.target.address} already, for a job that has not ended; it is tried again`;
      throw new EngineError("RelayTaken", message);
    }
    const relay: Relay = {
      key,
      server: createServer({ allowHalfOpen: true }, (client) => pass(client, relay, log)),
      target,
      uses: new Set(),
      sockets: new Set(),
      listening: Promise.resolve(),
    };
    relay.server.maxConnections = MOST_CONNECTIONS;
    relays.set(key, relay);
    relay.listening = listen(relay, gateway);
    return relay;
  }

  function release(use: Use, opened: readonly Relay[]): void {
    for (const relay of opened) {
      if (relay.uses.delete(use) && relay.uses.size === 0) end(relay);
    }
  }

  return {
    async open(gateway, from, targets) {
      const use: Use = { from };
      const opened: Relay[] = [];
      try {
        for (const target of targets) {
          const relay = ensure(gateway, target);
          // Before it listens: whoever gives it back meanwhile must not end what another waits for.
          relay.uses.add(use);
          opened.push(relay);
          await relay.listening;
        }
      } catch (error) {
        release(use, opened);
        throw error;
      }
      return () => release(use, opened);
    },
    close() {
      for (const relay of [...relays.values()]) end(relay);
    },
  };
}
