/** What the API's TLS listener, the API and whoever starts them call the same. */

/** User of the listener: schools' firewalls do not let it in, and of the host's files it reads its own alone. */
export const LISTENER_UID = 10_003;

/** Where the listener finds things inside its container. */
export const LISTENER_MOUNTS = {
  config: "/etc/classmind-listener",
  api: "/run/classmind-relay",
  run: "/run/classmind-listener",
} as const;
export const CONFIG_NAME = "haproxy.cfg";
/** Below the listener's directory: what it writes itself. */
export const RUN_NAME = "run";
/** Its master's: reload with a result. */
export const MASTER_SOCKET = "master.sock";
/** Key, certificate and chain. */
export const PAIR_NAME = "tls.pem";
export const RELAY_SOCKET = "api.sock";

/** Header in which the listener names where a request came from. Whatever a client says in it is overwritten. */
export const SOURCE_HEADER = "x-classmind-source";
