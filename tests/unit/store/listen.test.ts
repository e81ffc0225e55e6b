import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { expect, it } from "vitest";
import { systemClock } from "../../../control-plane/clock.ts";
import { listen } from "../../../control-plane/store/listen.ts";

it("listening stops at once, also while a connection is being made that nobody answers", async () => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const handlers = { onWake: () => undefined, onGap: () => undefined };
  const stop = listen({ host: "127.0.0.1", port, user: "u", database: "d" }, "classmind_work", handlers, systemClock);
  await expect.poll(() => sockets.length).toBe(1);
  const late = new Promise<string>((resolve) => setTimeout(() => resolve("late"), 3_000).unref());
  expect(await Promise.race([stop().then(() => "stopped"), late])).toBe("stopped");
  for (const socket of sockets) socket.destroy();
  server.close();
});
