import { Socket } from "node:net";
import pg from "pg";
import type { Clock } from "../clock.ts";

export type Channel = "classmind_work" | "classmind_changed";

/**
 * Listens for wake-ups of the store. They carry at most the name of what changed; whoever hears one reads the state itself.
 * A lost connection is made anew with backoff, and `onGap` says that wake-ups may have been missed.
 * @returns a function that stops listening
 */
export function listen(
  connection: pg.ClientConfig,
  channel: Channel,
  handlers: { readonly onWake: (payload: string) => void; readonly onGap: () => void },
  clock: Clock,
): () => Promise<void> {
  const stop = new AbortController();
  let current: Socket | undefined;

  async function session(): Promise<void> {
    // A socket of our own: `end` of a client that still connects waits for an answer that may never come.
    const socket = new Socket();
    current = socket;
    const client = new pg.Client({ ...connection, keepAlive: true, stream: () => socket });
    const ended = new Promise<void>((resolve) => {
      client.on("end", () => resolve());
      // Not `once`: a server that shuts down says so, and then closes, which is a second error.
      client.on("error", () => resolve());
    });
    client.on("notification", (message) => handlers.onWake(message.payload ?? ""));
    try {
      await Promise.race([
        client.connect().then(() => client.query(`listen ${channel}`)),
        ended.then(() => Promise.reject(new Error("the connection ended before anything was listened to"))),
      ]);
      handlers.onGap();
      await ended;
    } finally {
      socket.destroy();
    }
  }

  const running = (async () => {
    let delay = 100;
    while (!stop.signal.aborted) {
      const started = clock.now().getTime();
      // A failure to connect and a connection that ends are the same to us: wait and try again.
      await session().catch(() => undefined);
      delay = clock.now().getTime() - started > 10_000 ? 100 : Math.min(delay * 2, 5_000);
      await clock.sleep(delay * (0.5 + Math.random() / 2), stop.signal);
    }
  })();

  return async () => {
    stop.abort();
    current?.destroy();
    await running;
  };
}
