import { connect } from "node:net";
import type { ListenerConfig } from "./config.ts";

/** Whether somebody accepts connections there; also of whom it closes them at once. */
export function answers({ address, port }: Pick<ListenerConfig, "address" | "port">): Promise<boolean> {
  const host = address === "0.0.0.0" ? "127.0.0.1" : address === "::" ? "::1" : address;
  return new Promise((resolve) => {
    const socket = connect({ host, port }, () => {
      socket.destroy();
      resolve(true);
    });
    // Closed at once: from here nobody may come in, but somebody is there.
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNRESET"));
  });
}
