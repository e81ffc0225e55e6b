import { TLS12_CIPHERS, TLS13_SUITES } from "../gateway/config.ts";
import { LISTENER_MOUNTS, PAIR_NAME, RELAY_SOCKET, SOURCE_HEADER } from "./places.ts";

export interface ListenerConfig {
  readonly address: string;
  readonly port: number;
  /** CIDRs. Whoever comes from elsewhere is refused before a byte is read. */
  readonly allowedNetworks: readonly string[];
}

/** Connections: of all, and of one address. Operators are few; each watching dashboard holds one. */
const MOST = 200;
const MOST_PER_SOURCE = 40;

/**
 * haproxy.cfg of the API's TLS listener: a program of its own, so that whoever breaks it has neither the schools' keys nor the API's
 * rights. Nothing is logged: the API audits what is done, with the source. Pure.
 */
export function renderListenerConfig({ address, port, allowedNetworks }: ListenerConfig): string {
  const isIpv6 = address.includes(":");
  const host = isIpv6 ? `[${address}]` : address;
  return `global
    maxconn ${MOST + 20}
    hard-stop-after 10s
    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
    ssl-default-bind-ciphers ${TLS12_CIPHERS.join(":")}
    ssl-default-bind-ciphersuites ${TLS13_SUITES.join(":")}

defaults
    mode http
    timeout connect 5s
    timeout client-hs 10s
    timeout http-request 10s
    timeout http-keep-alive 30s
    # Longer than the pauses of the events that a dashboard follows.
    timeout client 65s
    timeout server 65s
    timeout client-fin 10s
    timeout server-fin 10s

frontend api
    bind ${host}:${port}${isIpv6 ? " v6only" : ""} ssl crt ${LISTENER_MOUNTS.config}/${PAIR_NAME} alpn http/1.1
    maxconn ${MOST}
    tcp-request connection reject if !{ src ${allowedNetworks.join(" ")} }
    stick-table type ipv6 size 10k expire 1m store conn_cur
    tcp-request connection track-sc0 src
    tcp-request connection reject if { sc0_conn_cur gt ${MOST_PER_SOURCE} }
    http-request set-header ${SOURCE_HEADER} %[src]
    http-response set-header Strict-Transport-Security max-age=31536000
    default_backend api

backend api
    server api unix@${LISTENER_MOUNTS.api}/${RELAY_SOCKET} maxconn ${MOST}
`;
}
