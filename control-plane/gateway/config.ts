import { join } from "node:path";
import { ERROR_PAGES, PAGES, type PageName, renderPage } from "./pages.ts";
import type { GatewayPaths } from "./paths.ts";
import { ROUTE_FIELDS } from "./route.ts";

export interface GatewayConfig {
  readonly httpPort: number;
  readonly httpsPort: number;
  /** Port that people use for HTTPS, where it differs (port forwarding). */
  readonly publicHttpsPort?: number;
  /** Addresses to listen on, e.g. `0.0.0.0` and `::`. */
  readonly addresses: readonly string[];
  /** As HAProxy sees them. */
  readonly paths: GatewayPaths;
  /** User and group the workers become; absent where HAProxy is not root to begin with. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /**
   * Port on all addresses for /healthz and /metrics, sums only; on its socket alone if absent. Then both doors have room for
   * `maxConnections` each and the process for some more: whoever fills a door keeps no probe out.
   */
  readonly metricsPort?: number;
  /** Threads; one for each processor that HAProxy sees if absent, whatever share of them it may use. */
  readonly threads?: number;
  /** Connections in all; each takes up to two descriptors. */
  readonly maxConnections: number;
  /** Connections and, apart from those, requests in flight that one school may hold. */
  readonly maxPerSchool: number;
  /** Connections one source (an IPv4 address or an IPv6 /64) may hold: a school often sits behind one address. */
  readonly maxPerSource: number;
  /** Connections one source may open in ten seconds. */
  readonly maxRatePerSource: number;
}

/** What one school and one source may take of so many connections in all. */
export function limitsFor(
  maxConnections: number,
): Pick<GatewayConfig, "maxConnections" | "maxPerSchool" | "maxPerSource" | "maxRatePerSource"> {
  const share = Math.floor(maxConnections * 0.75);
  // A school of 1,200 behind one address, each browser with several connections, within ten seconds.
  return { maxConnections, maxPerSchool: share, maxPerSource: share, maxRatePerSource: 5000 };
}

/** Only suites with forward secrecy and authenticated encryption (BSI TR-02102-2, 3.3.1 and 3.4). */
export const TLS12_CIPHERS = [
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
] as const;
export const TLS13_SUITES = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
] as const;

/** Headers by which a client could lie about where it came from or what it wanted; the gateway sets its own. */
const FORGEABLE_HEADERS = [
  "Forwarded",
  "X-Real-IP",
  "X-Client-IP",
  "X-Cluster-Client-IP",
  "True-Client-IP",
  "CF-Connecting-IP",
  "Fastly-Client-IP",
  "X-Original-URL",
  "X-Rewrite-URL",
  "X-HTTP-Method-Override",
  "X-Method-Override",
  "Proxy",
  "Proxy-Connection",
  "Via",
  // No school speaks anything but HTTP: nothing to upgrade to, and h2c would open a tunnel past these rules.
  "Upgrade",
  "HTTP2-Settings",
  "Connection",
] as const;

/**
 * Renders haproxy.cfg. Schools appear nowhere in it: routes are a map and certificates a list, both changed while running.
 * Logs are off (R54, R56): no line about any request is ever written, so none can hold an address or a path.
 */
export function renderConfig(config: GatewayConfig): string {
  return [
    renderGlobal(config),
    renderDefaults(config.paths),
    renderHttpFrontend(config),
    renderHttpsFrontend(config),
    renderBackends(config),
    renderHealth(config),
  ].join("\n");
}

/** Contents of the pages directory: file name to response. */
export function renderPages(): ReadonlyMap<string, string> {
  return new Map(Object.entries(PAGES).map(([name, page]) => [`${name}.http`, renderPage(page)]));
}

/** Connections for probes and scrapes beyond those of the doors. */
const RESERVED_CONNECTIONS = 256;

/** Lines of a frontend that has room of its own. */
function ownRoom({ metricsPort, maxConnections }: GatewayConfig): string {
  return metricsPort === undefined ? "" : `    maxconn ${maxConnections}\n`;
}

function renderGlobal({ paths, user, metricsPort, threads, maxConnections }: GatewayConfig): string {
  const all = metricsPort === undefined ? maxConnections : 2 * maxConnections + RESERVED_CONNECTIONS;
  return `global${user === undefined ? "" : `\n    uid ${user.uid}\n    gid ${user.gid}`}
    maxconn ${all}${threads === undefined ? "" : `\n    nbthread ${threads}`}
    stats socket ${paths.adminSocket} mode 600 level admin expose-fd listeners
    stats timeout 60s
    # How long connections outlive a reload, which happens only if a change at runtime failed.
    hard-stop-after 30m
    # Another instance's gateway must not share a port with this one; a reload hands the sockets over.
    noreuseport
    ssl-load-extra-files none
    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
    ssl-default-bind-ciphers ${TLS12_CIPHERS.join(":")}
    ssl-default-bind-ciphersuites ${TLS13_SUITES.join(":")}
    tune.h2.fe.max-concurrent-streams 100
    tune.h2.fe.glitches-threshold 1000
`;
}

function renderDefaults(paths: GatewayPaths): string {
  const errors = ERROR_PAGES.map(([status, page]) => `    errorfile ${status} ${pageFile(paths, page)}`);
  // A connection to a school serves one request and is never shared or reused: whatever a client manages to smuggle behind
  // its request, nobody else's can follow on the same connection. On one host a connection costs some 50 microseconds.
  // Who has gone (abortonclose) no longer counts among those who are there.
  return `defaults
    mode http
    http-reuse never
    option http-server-close
    option abortonclose
    retries 3
    timeout connect 5s
    timeout client-hs 10s
    timeout http-request 10s
    timeout http-keep-alive 30s
    timeout client 60s
    timeout client-fin 10s
    timeout server 120s
    timeout server-fin 10s
    timeout tunnel 60s
${errors.join("\n")}
`;
}

function renderHttpFrontend(config: GatewayConfig): string {
  const { paths } = config;
  const port = config.publicHttpsPort ?? config.httpsPort;
  return `# Plain HTTP only ever says where HTTPS is.
frontend http
${ownRoom(config)}${binds(config.addresses, config.httpPort, "")}
${sourceLimits(config)}
${hostRules(paths)}
    http-request return status 404 errorfile ${pageFile(paths, "unknown")} if !{ var(txn.route) -m found }
    http-request redirect location https://%[var(txn.host)]${port === 443 ? "" : `:${port}`}%[pathq] code 308
`;
}

function renderHttpsFrontend(config: GatewayConfig): string {
  const { paths, maxPerSchool } = config;
  const tls = `ssl crt-list ${paths.certificateList} strict-sni alpn h2,http/1.1`;
  return `frontend https
${ownRoom(config)}${binds(config.addresses, config.httpsPort, tls)}
${sourceLimits(config)}
    # strict-sni has refused names without a certificate in the handshake; this refuses a certificate without a route.
    tcp-request session set-var(sess.route) ssl_fc_sni,lower,map(${paths.routes})
    tcp-request session reject if !{ var(sess.route) -m found }
    tcp-request session track-sc1 ${routeField("sess", "slug")} table school_connections
    tcp-request session reject if { sc1_conn_cur gt ${maxPerSchool} }
${hostRules(paths)}
    http-request return status 421 errorfile ${pageFile(paths, "misdirected")} if !{ ssl_fc_sni,lower,strcmp(txn.host) eq 0 } || !{ var(txn.route) -m found }
    http-request return status 503 errorfile ${pageFile(paths, "closed")} if !{ ${routeField("txn", "state")} -m str open }
    http-request track-sc2 ${routeField("txn", "slug")} table school_requests
    http-request return status 503 errorfile ${pageFile(paths, "busy")} if { sc2_conn_cur gt ${maxPerSchool} }
${FORGEABLE_HEADERS.map((name) => `    http-request del-header ${name}`).join("\n")}
    http-request del-header X-Forwarded- -m beg
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto https
    # Absolute-form (RFC 9112, 3.2.2) ends here; the school gets a plain path.
    http-request set-uri %[pathq] unless { url -m beg / }
    http-request set-dst ${routeField("txn", "address")}
    http-request set-dst-port ${routeField("txn", "port")},add(0)
    # Own answers of the gateway too. A school cannot speak for the names beside it: no subdomains.
    http-after-response set-header Strict-Transport-Security max-age=31536000
    default_backend schools
`;
}

/** Rules that both frontends share: one well-formed Host, a path, a method that a school could mean. Sets txn.host, txn.route. */
function hostRules(paths: GatewayPaths): string {
  const badRequest = `http-request return status 400 errorfile ${pageFile(paths, "bad-request")}`;
  return `    ${badRequest} unless { req.fhdr_cnt(host) eq 1 } { req.fhdr(host) -m reg -i ^[a-z0-9.-]{1,253}(:[0-9]{1,5})?$ }
    http-request return status 405 errorfile ${pageFile(paths, "bad-method")} unless { method GET HEAD POST PUT PATCH DELETE OPTIONS }
    ${badRequest} unless { pathq -m beg / }
    http-request set-var(txn.host) req.fhdr(host),host_only,lower
    http-request set-var(txn.route) var(txn.host),map(${paths.routes})`;
}

function sourceLimits(config: GatewayConfig): string {
  return `    tcp-request connection track-sc0 src,ipmask(32,64) table sources
    tcp-request connection reject if { sc0_conn_rate gt ${config.maxRatePerSource} } || { sc0_conn_cur gt ${config.maxPerSource} }`;
}

function renderBackends({ maxPerSchool }: GatewayConfig): string {
  return `# The address comes from the route: a new school needs no server line and no reload.
backend schools
    http-response del-header Server
    http-response del-header X-Powered-By
    http-response del-header Alt-Svc
    http-response del-header Keep-Alive
    # A school must not plant cookies on its neighbours through their common domain. The whole cookie goes: of an attribute
    # that is repeated, browsers take the last.
    http-response replace-header Set-Cookie (?i)^.*;\\s*domain\\s*=.*$ refused=;\\ Max-Age=0
    server school 0.0.0.0:0

# Counters only, forgotten within a minute.
backend sources
    stick-table type ipv6 size 100k expire 30s store conn_rate(10s),conn_cur

backend school_connections
    stick-table type string len 64 size 64k expire 60s store conn_cur

# ${maxPerSchool} requests of one school at once; the rest is asked to come back.
backend school_requests
    stick-table type string len 64 size 64k expire 60s store conn_cur
`;
}

function renderHealth({ paths, metricsPort }: GatewayConfig): string {
  return `# Sums only, for the control plane.
frontend health
    bind unix@${paths.healthSocket} mode 600${metricsPort === undefined ? "" : `\n    bind :${metricsPort}`}
    monitor-uri /healthz
    http-request use-service prometheus-exporter if { path /metrics }
    http-request return status 404 errorfile ${pageFile(paths, "unknown")}
`;
}

function binds(addresses: readonly string[], port: number, options: string): string {
  return addresses
    .map((address) => {
      const host = address.includes(":") ? `[${address}]` : address;
      const flags = [address === "::" ? "v6only" : "", options].filter((flag) => flag !== "");
      return ["    bind", `${host}:${port}`, ...flags].join(" ");
    })
    .join("\n");
}

function routeField(scope: "sess" | "txn", field: keyof typeof ROUTE_FIELDS): string {
  return `var(${scope}.route),field(${ROUTE_FIELDS[field]},|)`;
}

function pageFile(paths: GatewayPaths, page: PageName): string {
  return join(paths.pages, `${page}.http`);
}
