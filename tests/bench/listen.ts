import type { Server } from "node:net";

/** Listens on a free port of this machine alone, and tells it to the process that started this one. */
export function listenAndTell(server: Server): void {
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    process.send?.(typeof address === "object" ? address?.port : 0);
  });
}
