import { createHash } from "node:crypto";
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
  /** Port on all addresses for /healthz and /metrics, sums only; on its socket alone if absent. */
  readonly metricsPort?: number;
  /** Threads; one for each processor that HAProxy sees if absent, whatever share of them it may use. */
  readonly threads?: number;
  readonly limits: GatewayLimits;
}

/**
 * What the gateway gives away, and how much of it one school and one source may hold. A source is an IPv4 address or an IPv6
 * /64. It is not one person: a whole school sits behind one address, and opens the same page at 7:55. So what a source may
 * hold is measured by such a building, of 1,200 people; what one person could need would close every school's own door.
 */
export interface GatewayLimits {
  /** Connections at the door for HTTPS, the scarce thing: each takes a descriptor, its state of TLS, and one more to the school. */
  readonly connections: number;
  /** Connections that all who use one school may hold: less than all, so that a rush on one leaves room for the others. */
  readonly connectionsPerSchool: number;
  /**
   * Connections of one source: less than those of a school, so that nobody takes a school's door alone. A browser that speaks
   * HTTP/2 opens one, now and then a second one.
   */
  readonly connectionsPerSource: number;
  /**
   * Connections with which a source opens no more once three quarters of all, or of its school's, are taken: the last quarter
   * is for those who hold few.
   */
  readonly connectionsWhenCrowded: number;
  /** Connections that one source opens in ten seconds: each costs the processor a handshake. */
  readonly newConnectionsPerSource: number;
  /**
   * Requests in flight of one school. HTTP/2 puts a hundred on a connection, and each takes a connection to the school, which
   * takes 4,000 in all (tenant-app/ground/serve/serve.ts), from two gateways.
   */
  readonly requestsPerSchool: number;
  /**
   * Requests in flight of one source, those among them whose body comes slowly: the school itself ends these after ten seconds.
   * A building that signs in at once waits for each password's turn, and a school has room for 1,500 who wait.
   */
  readonly requestsPerSource: number;
  /** Requests of one source in ten seconds; beyond, 429. A building that opens a page asks for some 2,500. */
  readonly newRequestsPerSource: number;
}

/** Rooms of a gateway with so many connections at its door for HTTPS. */
export function limitsFor(connections: number): GatewayLimits {
  const school = Math.floor(connections / 2);
  const source = Math.floor(connections / 4);
  return {
    connections,
    connectionsPerSchool: school,
    connectionsPerSource: source,
    connectionsWhenCrowded: Math.floor(source / 4),
    newConnectionsPerSource: 3000,
    requestsPerSchool: Math.min(1900, school),
    requestsPerSource: Math.min(1300, source),
    newRequestsPerSource: 5000,
  };
}

/** Connections for probes and scrapes beyond those of the doors: whoever fills a door keeps no probe out. */
const RESERVED_CONNECTIONS = 64;

/** Plain HTTP only says where HTTPS is, on connections that end at once. */
const plainConnections = (connections: number): number => Math.floor(connections / 4);

/** Connections of the whole process for so many at the door for HTTPS; HAProxy wants two descriptors for each. */
export function connectionsInAll(connections: number): number {
  return connections + plainConnections(connections) + RESERVED_CONNECTIONS;
}

/** The opposite: how many connections at the door for HTTPS so many in all leave. */
export function connectionsOutOf(all: number): number {
  return Math.floor(((all - RESERVED_CONNECTIONS) * 4) / 5);
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
  const sections = [
    renderDefaults(config.paths),
    renderHttpFrontend(config),
    renderHttpsFrontend(config),
    renderBackends(config),
    renderHealth(config),
  ].join("\n");
  const global = renderGlobal(config);
  const hash = createHash("sha256").update(JSON.stringify([global, sections, [...renderPages()]]));
  return `${global}    description "${hash.digest("hex").slice(0, REVISION_LENGTH)} \${${GENERATION_VARIABLE}}"\n\n${sections}`;
}

/** In HAProxy's environment, what it says of itself beside the revision of its configuration; may be absent. */
export const GENERATION_VARIABLE = "CLASSMIND_GATEWAY";
const REVISION_LENGTH = 32;

/** Which configuration a rendered one is, pages included; HAProxy says it of what it has loaded (`show info`, Description). */
export function revisionOf(text: string): string {
  return /^ {4}description "([0-9a-f]+) /m.exec(text)?.[1] ?? "";
}

/** Contents of the pages directory: file name to response. */
export function renderPages(): ReadonlyMap<string, string> {
  return new Map(Object.entries(PAGES).map(([name, page]) => [`${name}.http`, renderPage(page)]));
}

function renderGlobal({ paths, user, threads, limits }: GatewayConfig): string {
  return `global${user === undefined ? "" : `\n    uid ${user.uid}\n    gid ${user.gid}`}
    maxconn ${connectionsInAll(limits.connections)}${threads === undefined ? "" : `\n    nbthread ${threads}`}
    stats socket ${paths.adminSocket} mode 600 level admin expose-fd listeners
    stats timeout 60s
    # How long connections outlive a reload, or the gateway that replaces this one: as long as a school's longest request.
    hard-stop-after 15m
    # Another instance's gateway must not share a port with this one; to who comes after it, it hands its sockets over.
    noreuseport
    ssl-load-extra-files none
    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
    ssl-default-bind-ciphers ${TLS12_CIPHERS.join(":")}
    ssl-default-bind-ciphersuites ${TLS13_SUITES.join(":")}
    # HAProxy 3.0 stops reading a body that was answered before its end when it forwarded it without a copy (its issue 3316):
    # the client's next request on that connection waits behind it for ever.
    tune.h1.zero-copy-fwd-recv off
    # Source and school of the connection, source and school of the request.
    tune.stick-counters 4
    tune.h2.fe.max-concurrent-streams 100
    tune.h2.fe.glitches-threshold 1000
`;
}

function renderDefaults(paths: GatewayPaths): string {
  const errors = ERROR_PAGES.map(([status, page]) => `    errorfile ${status} ${pageFile(paths, page)}`);
  // A connection to a school serves one request and is never shared or reused: whatever a client manages to smuggle behind
  // its request, nobody else's can follow on the same connection. On one host a connection costs some 50 microseconds.
  // Who has gone (abortonclose) no longer counts among those who are there. Who says nothing for half a minute, in the middle
  // of a body or between two requests, holds no place.
  return `defaults
    mode http
    http-reuse never
    option http-server-close
    option abortonclose
    # At a soft end too, a connection that is kept is closed with the answer that says so, never under a request on its way.
    option idle-close-on-response
    retries 3
    timeout connect 5s
    timeout client-hs 10s
    timeout http-request 10s
    timeout http-keep-alive 30s
    timeout client 30s
    timeout client-fin 10s
    timeout server 120s
    timeout server-fin 10s
    timeout tunnel 60s
${errors.join("\n")}
`;
}

function renderHttpFrontend(config: GatewayConfig): string {
  const { paths, limits } = config;
  const port = config.publicHttpsPort ?? config.httpsPort;
  const room = plainConnections(limits.connections);
  return `# Plain HTTP only ever says where HTTPS is.
frontend http
    maxconn ${room}
${binds(config.addresses, config.httpPort, "")}
${sourceLimits(limits, room)}
${hostRules(config)}
    http-request set-var(txn.refusal) str(unknown) if !refused !{ var(txn.route) -m found }
${refusals(paths, ["bad-request", "bad-method", "too-many", "unknown"])}
    # Nor is anything awaited that somebody sends in the clear.
    http-request reject if unfinished
    http-request redirect location https://%[var(txn.host)]${port === 443 ? "" : `:${port}`}%[pathq] code 308
`;
}

function renderHttpsFrontend(config: GatewayConfig): string {
  const { paths, limits } = config;
  const tls = `ssl crt-list ${paths.certificateList} strict-sni alpn h2,http/1.1`;
  return `frontend https
    maxconn ${limits.connections}
${binds(config.addresses, config.httpsPort, tls)}
${sourceLimits(limits, limits.connections)}
    # strict-sni has refused names without a certificate in the handshake; this refuses a certificate without a route.
    tcp-request session set-var(sess.route) ssl_fc_sni,lower,map(${paths.routes})
    tcp-request session reject if !{ var(sess.route) -m found }
    tcp-request session track-sc1 ${routeField("sess", "slug")} table school_connections
    tcp-request session reject if { sc1_conn_cur gt ${limits.connectionsPerSchool} }
    tcp-request session reject if { sc1_conn_cur gt ${crowded(limits.connectionsPerSchool)} } { sc0_conn_cur gt ${limits.connectionsWhenCrowded} }
${hostRules(config)}
    http-request set-var(txn.refusal) str(misdirected) if !refused !{ ssl_fc_sni,lower,strcmp(txn.host) eq 0 }
    http-request set-var(txn.refusal) str(misdirected) if !refused !{ var(txn.route) -m found }
    http-request set-var(txn.refusal) str(closed) if !refused !{ ${routeField("txn", "state")} -m str open }
    http-request track-sc2 src,ipmask(32,64) table source_requests if !refused
    http-request set-var(txn.refusal) str(too-many) if !refused { sc2_conn_cur gt ${limits.requestsPerSource} }
    # What is beyond a source's share takes none of its school's.
    http-request track-sc3 ${routeField("txn", "slug")} table school_requests if !refused
    http-request set-var(txn.refusal) str(busy) if !refused { sc_conn_cur(3) gt ${limits.requestsPerSchool} }
    http-request set-var(txn.refusal) str(busy) if !refused { be_conn(schools) ge ${limits.connections} }
${refusals(paths, ["bad-request", "bad-method", "too-many", "misdirected", "closed", "busy"])}
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

/**
 * Rules that both frontends share: one well-formed Host, a path, a method that a school could mean, no flood. Sets txn.host,
 * txn.route, and txn.refusal to the page that answers what is refused.
 */
function hostRules({ paths, limits }: GatewayConfig): string {
  const badRequest = "http-request set-var(txn.refusal) str(bad-request)";
  return `    acl refused var(txn.refusal) -m found
    # Over HTTP/1, a body that did not come with the head, or of which nobody knows.
    http-request set-var(txn.here) req.body_len
    acl unfinished req.body_size,sub(txn.here) gt 0
    acl unfinished req.hdr_cnt(transfer-encoding) gt 0
    acl http1 req.ver -m beg 1
    http-request set-var(txn.refusal) str(too-many) if { sc0_http_req_rate gt ${limits.newRequestsPerSource} }
    ${badRequest} unless { req.fhdr_cnt(host) eq 1 } { req.fhdr(host) -m reg -i ^[a-z0-9.-]{1,253}(:[0-9]{1,5})?$ }
    http-request set-var(txn.refusal) str(bad-method) if !refused !{ method GET HEAD POST PUT PATCH DELETE OPTIONS }
    ${badRequest} if !refused !{ pathq -m beg / }
    http-request set-var(txn.host) req.fhdr(host),host_only,lower
    http-request set-var(txn.route) var(txn.host),map(${paths.routes})`;
}

/**
 * Answers what is refused, at once. HAProxy reads on after an answer of its own until the body is over, however slowly that
 * comes: whoever still has to send one is left without an answer. No browser is: over HTTP/2 it is told to stop.
 */
function refusals(paths: GatewayPaths, pages: readonly PageName[]): string {
  return [
    "    http-request reject if refused http1 unfinished",
    ...pages.map(
      (page) =>
        `    http-request return status ${PAGES[page].status} errorfile ${pageFile(paths, page)} if { var(txn.refusal) -m str ${page} }`,
    ),
  ].join("\n");
}

/** What counts as crowded of so many. */
const crowded = (room: number): number => Math.floor(room * 0.75);

/** @param room connections of the frontend */
function sourceLimits(limits: GatewayLimits, room: number): string {
  return `    tcp-request connection track-sc0 src,ipmask(32,64) table sources
    tcp-request connection reject if { sc0_conn_rate gt ${limits.newConnectionsPerSource} } || { sc0_conn_cur gt ${limits.connectionsPerSource} }
    tcp-request connection reject if { fe_conn gt ${crowded(room)} } { sc0_conn_cur gt ${limits.connectionsWhenCrowded} }`;
}

function renderBackends({ limits }: GatewayConfig): string {
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
    stick-table type ipv6 size 100k expire 30s store conn_rate(10s),conn_cur,http_req_rate(10s)

backend school_connections
    stick-table type string len 64 size 64k expire 60s store conn_cur

# ${limits.requestsPerSchool} requests of one school at once, ${limits.requestsPerSource} of one source; the rest is asked to come back.
backend school_requests
    stick-table type string len 64 size 64k expire 60s store conn_cur

backend source_requests
    stick-table type ipv6 size 100k expire 30s store conn_cur
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
