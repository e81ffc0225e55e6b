import { describe, expect, test } from "vitest";
import {
  connectionsInAll,
  connectionsOutOf,
  limitsFor,
  renderConfig,
  renderPages,
  TLS12_CIPHERS,
  TLS13_SUITES,
} from "../../../control-plane/gateway/config.ts";
import { ERROR_PAGES, PAGES, renderPage } from "../../../control-plane/gateway/pages.ts";
import { PATHS_INSIDE } from "../../../control-plane/gateway/paths.ts";

const config = {
  httpPort: 8080,
  httpsPort: 8443,
  addresses: ["0.0.0.0", "::"],
  paths: PATHS_INSIDE,
  user: { uid: 10002, gid: 10002 },
  limits: limitsFor(2000),
};

describe("the configuration", () => {
  const text = renderConfig(config);

  test("R1 allows TLS 1.2 and later with authenticated encryption and forward secrecy only", () => {
    expect(text).toContain("ssl-min-ver TLSv1.2");
    for (const suite of TLS12_CIPHERS) expect(suite).toMatch(/^ECDHE-.*(GCM|POLY1305)/);
    for (const suite of TLS13_SUITES) expect(suite).toMatch(/GCM|POLY1305/);
  });

  test("R54 R56 writes no log", () => {
    expect(text).not.toMatch(/^\s*(log|option httplog|log-format|capture)\b/m);
  });

  test("R11 refuses unknown names in the handshake, on every address", () => {
    const binds = text.match(/^ {4}bind .*ssl.*$/gm);
    expect(binds).toHaveLength(2);
    for (const bind of binds ?? []) expect(bind).toMatch(/strict-sni alpn h2,http\/1\.1$/);
    expect(text).toContain("bind [::]:8443 v6only ssl");
  });

  test("shares no connection to a school", () => {
    expect(text).toContain("http-reuse never");
    expect(text).toContain("option http-server-close");
  });

  test("in a pod: no user to become, threads as told, and a probe's port that full doors do not close", () => {
    const { user: _user, ...rest } = config;
    const pod = renderConfig({ ...rest, metricsPort: 9464, threads: 2 });
    expect(pod).not.toMatch(/^\s*[ug]id /m);
    expect(pod).toContain("    nbthread 2\n");
    expect(pod).toContain("    bind :9464\n");
    const [all = 0, http = 0, https = 0] = [...pod.matchAll(/^ {4}maxconn ([0-9]+)$/gm)].map(([, n]) => Number(n));
    expect([http, https]).toEqual([500, 2000]);
    expect(all).toBeGreaterThan(http + https + 50);
    expect(text).not.toMatch(/nbthread|bind :9464/);
  });

  test("one source has less than a school, one school less than all, and a building of 1,200 its place", () => {
    // What 20,000 open files give, which most hosts grant a container.
    const limits = limitsFor(connectionsOutOf(Math.floor((20_000 - 256) / 2)));
    expect(connectionsInAll(limits.connections) * 2).toBeLessThanOrEqual(20_000);
    expect(limits.connectionsPerSource).toBeLessThanOrEqual(limits.connectionsPerSchool / 2);
    for (const school of [limits.connectionsPerSchool, limits.requestsPerSchool]) {
      expect(school).toBeLessThanOrEqual(limits.connections / 2);
    }
    // All of the building wait for their password's turn at once, and the school answers others meanwhile.
    expect(limits.requestsPerSource).toBeGreaterThan(1200);
    expect(limits.requestsPerSource).toBeLessThanOrEqual(limits.requestsPerSchool * 0.7);
    expect(limits.connectionsPerSource).toBeGreaterThan(1200 * 1.5);
    // A page and what belongs to it, for everybody within ten seconds.
    expect(limits.newRequestsPerSource).toBeGreaterThan(1200 * 3);
    expect(limits.newConnectionsPerSource).toBeGreaterThan(1200 * 2);
    // A school's own server takes 4,000 connections; two gateways may stand before it.
    expect(limits.requestsPerSchool * 2).toBeLessThanOrEqual(4000);
  });

  test("names each refusal that it answers, and answers each that it names", () => {
    for (const door of text.split(/^frontend /m).slice(1, 3)) {
      const named = new Set([...door.matchAll(/set-var\(txn\.refusal\) str\(([a-z-]+)\)/g)].map(([, name]) => name));
      const answered = new Set([...door.matchAll(/var\(txn\.refusal\) -m str ([a-z-]+)/g)].map(([, name]) => name));
      expect(named).toEqual(answered);
      expect(named.size).toBeGreaterThan(3);
    }
  });

  test("sends people to the port they use", () => {
    expect(text).toContain("https://%[var(txn.host)]:8443%[pathq]");
    expect(renderConfig({ ...config, publicHttpsPort: 443 })).toContain("https://%[var(txn.host)]%[pathq]");
    expect(renderConfig({ ...config, httpsPort: 443 })).toContain("https://%[var(txn.host)]%[pathq]");
  });

  test("names only pages that exist", () => {
    const pages = renderPages();
    const named = [...text.matchAll(/pages\/(\S+\.http)/g)].map(([, name]) => name ?? "");
    expect(named.length).toBeGreaterThan(10);
    for (const name of named) expect(pages.has(name), name).toBe(true);
  });
});

describe("the gateway's own pages", () => {
  test.each(Object.entries(PAGES))("%s is a whole German response that fits HAProxy's buffer", (_, page) => {
    const text = renderPage(page);
    const [head = "", body = ""] = text.split("\r\n\r\n");
    expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${page.status} `));
    expect(head).toContain(`Content-Length: ${Buffer.byteLength(body)}`);
    expect(head).toContain("default-src 'none'");
    expect(body).toContain('<html lang="de">');
    expect(text.length).toBeLessThan(8000);
  });

  test("answer each of HAProxy's own errors with its own status", () => {
    for (const [status, name] of ERROR_PAGES) expect(PAGES[name].status).toBe(status);
  });
});
