import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import { inject } from "vitest";
import { type GatewayOptions, startGateway, stopGateway } from "../../../control-plane/gateway/container.ts";
import type { Gateway } from "../../../control-plane/gateway/gateway.ts";
import { haproxyGateway } from "../../../control-plane/gateway/haproxy.ts";
import { type GatewayPaths, gatewayPaths } from "../../../control-plane/gateway/paths.ts";
import { createCertificateAuthority, internalIssuer } from "../../../control-plane/issuer/internal.ts";
import type { Issuer } from "../../../control-plane/issuer/issuer.ts";
import { freePort } from "../../fixtures/free-port.ts";
import { rsaLeaf } from "../../fixtures/rsa-leaf.ts";
import { testInstance } from "../test-host.ts";

/** A real gateway on a loopback address of its own with two schools, which are plain HTTP servers that say what they were asked. */

export const DOMAIN = "schulen.example";
export const hostOf = (slug: string) => `${slug}.${DOMAIN}`;
/** Loopback addresses need no set-up; these are nobody else's. */
export const GATEWAY_ADDRESS = "127.0.77.1";

export interface Echo {
  readonly school: string;
  readonly method: string;
  readonly url: string;
  /** Lower-case names; values of repeated headers in order. */
  readonly headers: ReadonlyArray<readonly [string, string]>;
  readonly body: string;
  /** Which connection to the school this was, counted from 1, and which request on it. */
  readonly connection: number;
  readonly requestOnConnection: number;
}

export interface School {
  readonly slug: string;
  readonly address: string;
  readonly port: number;
  readonly requests: Echo[];
  /** Answers instead of the echo while set. */
  handler: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  close(): Promise<void>;
}

export interface Stage {
  readonly docker: Docker;
  readonly options: GatewayOptions;
  readonly gateway: Gateway;
  readonly paths: GatewayPaths;
  readonly httpPort: number;
  readonly httpsPort: number;
  readonly ca: string;
  readonly issuer: Issuer;
  readonly a: School;
  readonly b: School;
  /** Issues and publishes a certificate for a slug; yields its fingerprint. */
  certify(slug: string): Promise<string>;
  /** The same with a pair of RSA, as an uploaded one may be. */
  certifyRsa(slug: string): Promise<void>;
  /** Opens the route to a school. */
  open(school: School): Promise<void>;
  /** Containers of the gateway that run; the last was made last. */
  containers(): Promise<readonly Docker.Container[]>;
  /** The one that was made last. */
  container(): Promise<Docker.Container>;
  close(): Promise<void>;
}

export async function openStage(changes: Partial<GatewayOptions> = {}): Promise<Stage> {
  const docker = new Docker({ socketPath: inject("engineSocket") });
  const directory = await mkdtemp(join(tmpdir(), "cmgw-"));
  const directories = { configDir: join(directory, "config"), runDir: join(directory, "run") };
  const options: GatewayOptions = {
    docker,
    image: inject("images").gateway,
    name: `${testInstance().name}-gateway-${randomBytes(4).toString("hex")}`,
    labels: { "classmind.instance": testInstance().name },
    ...directories,
    addresses: [GATEWAY_ADDRESS],
    httpPort: await freeGatewayPort(),
    httpsPort: await freeGatewayPort(),
    ...changes,
  };
  const gateway = haproxyGateway(directories);
  const authority = await createCertificateAuthority({ domain: DOMAIN, now: new Date() });
  const issuer = internalIssuer({ caCertificatePem: authority.certificatePem, caKeyPem: authority.keyPem });
  await startGateway(options);
  const a = await openSchool("a", "127.0.77.11");
  const b = await openSchool("b", "127.0.77.12");
  const stage: Stage = {
    docker,
    options,
    gateway,
    paths: gatewayPaths(directories),
    httpPort: options.httpPort,
    httpsPort: options.httpsPort,
    ca: authority.certificatePem,
    issuer,
    a,
    b,
    async certify(slug) {
      const issued = await issuer.issue({ hosts: [hostOf(slug)], now: new Date() });
      await gateway.setCertificate(slug, [hostOf(slug)], {
        chain: issued.certificatePem + issued.chainPem,
        key: issued.privateKeyPem,
      });
      return (await gateway.observe(slug)).certificateFingerprint ?? "";
    },
    async certifyRsa(slug) {
      const { certificatePem, privateKeyPem } = rsaLeaf(
        authority,
        [{ type: 2, value: hostOf(slug) }],
        new Date(Date.now() - 60_000),
      );
      await gateway.setCertificate(slug, [hostOf(slug)], { chain: certificatePem, key: privateKeyPem });
    },
    open: (school) =>
      gateway.setRoute(school.slug, [hostOf(school.slug)], {
        state: "open",
        address: school.address,
        port: school.port,
      }),
    async containers() {
      const filters = { label: [`classmind.de/gateway=${options.name}`] };
      const listed = await docker.listContainers({ filters: JSON.stringify(filters) });
      return listed.sort((one, other) => one.Created - other.Created).map(({ Id }) => docker.getContainer(Id));
    },
    async container() {
      const container = (await stage.containers()).at(-1);
      if (container === undefined) throw new Error("no gateway runs");
      return container;
    },
    async close() {
      await stopGateway(options);
      await Promise.all([a.close(), b.close()]);
      await rm(directory, { recursive: true, force: true });
    },
  };
  for (const school of [a, b]) {
    await stage.certify(school.slug);
    await stage.open(school);
  }
  return stage;
}

export async function openSchool(slug: string, address: string): Promise<School> {
  const requests: Echo[] = [];
  const connections = new Map<object, { number: number; requests: number }>();
  const school: { -readonly [K in keyof School]: School[K] } = {
    slug,
    address,
    port: 0,
    requests,
    handler: undefined,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  const server: Server = createServer((request, response) => {
    const connection = connections.get(request.socket) ?? { number: connections.size + 1, requests: 0 };
    connection.requests += 1;
    connections.set(request.socket, connection);
    if (school.handler !== undefined) return school.handler(request, response);
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const echo: Echo = {
        school: slug,
        method: request.method ?? "",
        url: request.url ?? "",
        headers: pairsOf(request.rawHeaders),
        body: Buffer.concat(chunks).toString("latin1"),
        connection: connection.number,
        requestOnConnection: connection.requests,
      };
      requests.push(echo);
      response.setHeader("Content-Type", "application/json");
      response.end(JSON.stringify(echo));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("no port");
  school.port = bound.port;
  return school;
}

function pairsOf(raw: readonly string[]): ReadonlyArray<readonly [string, string]> {
  return raw.flatMap((name, index) => (index % 2 === 0 ? [[name.toLowerCase(), raw[index + 1] ?? ""] as const] : []));
}

/** A port of the gateway's address at which nobody listens right now. */
export const freeGatewayPort = (): Promise<number> => freePort(GATEWAY_ADDRESS);
