import { connect } from "node:net";
import { createServer } from "node:tls";
import { listenAndTell } from "./listen.ts";

/**
 * Ends TLS before a server, as the gateway does before a school: the same before the school and before the bare pages. Started with the
 * port behind it and, in the environment, what it shows of itself; says its own port.
 */

const [behind = ""] = process.argv.slice(2);
const { BENCH_CERTIFICATE: cert, BENCH_KEY: key } = process.env;
const server = createServer({ cert, key, minVersion: "TLSv1.3" }, (client) => {
  const school = connect({ host: "127.0.0.1", port: Number(behind), noDelay: true });
  for (const [one, other] of [
    [client, school],
    [school, client],
  ] as const) {
    one.pipe(other);
    one.once("error", () => other.destroy());
  }
});
listenAndTell(server);
