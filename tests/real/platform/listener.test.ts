import { once } from "node:events";
import { chown, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import type { TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readPair } from "../../../control-plane/gateway/pair.ts";
import { layoutOf } from "../../../control-plane/host/layout.ts";
import { createCertificateAuthority, internalIssuer } from "../../../control-plane/issuer/internal.ts";
import { LISTENER_UID } from "../../../control-plane/listener/places.ts";
import { freePort } from "../../fixtures/free-port.ts";
import { openPlatform, type RealPlatform } from "../../fixtures/real-platform.ts";

/** Operators and programs elsewhere: TLS for the API, off unless it is asked for. Elsewhere is another address of the loopback. */

const ADDRESS = "127.0.77.41";
const ALLOWED = "127.0.77.42";
const STRANGER = "127.0.77.43";

let platform: RealPlatform;
let settings: string;
let port: number;
let name: string;
let directory: string;
let token: string;
const layout = () => layoutOf(platform.instance);

async function apply(change: Record<string, unknown>): Promise<void> {
  await writeFile(layout().settingsFile, JSON.stringify({ ...JSON.parse(settings), ...change }), { mode: 0o600 });
  const { code, stderr } = await platform.classmind("up");
  expect(code, stderr).toBe(0);
}
const listener = () => ({ address: ADDRESS, port, allowedNetworks: [`${ALLOWED}/32`] });

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly serial: string;
}

/** One request on a connection of its own. */
function call(
  at: string,
  options: { method?: string; from?: string; ca?: string; bearer?: string; headers?: object; body?: object } = {},
): Promise<Answer> {
  const { method = "GET", from = ALLOWED, ca, bearer = token, headers = {}, body } = options;
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: ADDRESS,
        port,
        path: at,
        method,
        localAddress: from,
        servername: name,
        ca,
        agent: false,
        headers: { host: name, authorization: `Bearer ${bearer}`, "content-type": "application/json", ...headers },
      },
      async (response) => {
        const serial = (response.socket as TLSSocket).getPeerCertificate().serialNumber;
        let text = "";
        for await (const chunk of response) text += String(chunk);
        resolve({ status: response.statusCode ?? 0, text, serial });
      },
    );
    sent.once("error", reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
const authority = () => readFile(layout().authorityFile, "utf8");
const finding = async () => {
  const { stdout } = await platform.classmind("doctor", "-o", "json");
  const { findings } = JSON.parse(stdout) as { findings: { check: string; ok: boolean; message: string }[] };
  return findings.find(({ check }) => check === "api-listener");
};

beforeAll(async () => {
  platform = await openPlatform();
  settings = await readFile(layout().settingsFile, "utf8");
  name = `api.${JSON.parse(settings).domain}`;
  port = await freePort();
  directory = await mkdtemp(path.join(tmpdir(), "cm-listener-"));
  expect(await finding()).toBeUndefined();
  await apply({ apiListener: listener() });
  await platform.json("operator", "create", "fern").catch(() => undefined);
  token = (await platform.json<{ token: string }>("operator", "token", "fern", "--label", "test")).token;
}, 600_000);
afterAll(async () => {
  await apply({});
  expect(await finding()).toBeUndefined();
  await expect(call("/v1/platform", { ca: await authority() })).rejects.toThrow("ECONNREFUSED");
  await rm(directory, { recursive: true, force: true });
}, 120_000);

describe("the API's listener", () => {
  it("answers operators of the allowed networks, by a name that the platform's authority signed, and audits where they came from", async () => {
    const ca = await authority();
    expect((await call("/v1/platform", { ca })).status).toBe(200);
    expect((await call("/v1/platform", { ca, bearer: "cmo_wrong" })).status).toBe(401);
    const headers = { "x-classmind-source": "203.0.113.9", "x-forwarded-for": "203.0.113.9" };
    const made = await call("/v1/operators", { ca, method: "POST", headers, body: { name: `von.fern${Date.now()}` } });
    expect(made.status, made.text).toBeLessThan(300);
    const { items } = await platform.json<{ items: { action: string; operator: string; source: string }[] }>(
      "audit",
      "list",
      "--limit",
      "5",
    );
    expect(items.find(({ action }) => action === "operator.create")).toMatchObject({
      operator: "fern",
      source: ALLOWED,
    });
    expect(await finding()).toMatchObject({ ok: true, message: expect.stringContaining(`${ADDRESS} port ${port}`) });
  });

  it("refuses everybody else before the first byte", async () => {
    await expect(call("/v1/platform", { ca: await authority(), from: STRANGER })).rejects.toMatchObject({
      code: "ECONNRESET",
    });
  });

  it("gives a program the metrics, with a token that opens nothing else", async () => {
    const ca = await authority();
    const words = ["operator", "token", "fern", "--label", "scrape", "--metrics"];
    const { token: bearer } = await platform.json<{ token: string }>(...words);
    expect((await call("/metrics", { ca, bearer })).text).toContain("classmind_");
    expect((await call("/v1/tenants", { ca, bearer })).status).toBe(403);
  });

  it("takes up another certificate while it listens", async () => {
    const ca = await authority();
    const { serial } = await call("/v1/platform", { ca });
    const other = await createCertificateAuthority({ domain: JSON.parse(settings).domain, now: new Date() });
    const issuer = internalIssuer({ caCertificatePem: other.certificatePem, caKeyPem: other.keyPem });
    const issued = await issuer.issue({ hosts: [name], now: new Date() });
    const file = path.join(layout().listenerDir, "tls.pem");
    const before = await readFile(file, "utf8");
    const put = async (pem: string) => {
      await writeFile(`${file}.new`, pem, { mode: 0o400 });
      await chown(`${file}.new`, LISTENER_UID, LISTENER_UID);
      await rename(`${file}.new`, file);
    };
    await put(readPair(issued.privateKeyPem + issued.certificatePem)?.pem ?? "");
    const both = [ca, other.certificatePem].join("\n");
    // Nobody is refused meanwhile.
    await expect
      .poll(async () => (await call("/v1/platform", { ca: both })).serial, { timeout: 20_000, interval: 20 })
      .not.toBe(serial);
    await put(before);
    await expect
      .poll(async () => (await call("/v1/platform", { ca: both })).serial, { timeout: 20_000, interval: 20 })
      .toBe(serial);
  });

  it("keeps the platform from nothing while another program has its port, and listens once that is gone", async () => {
    const taken = createServer().listen({ host: ADDRESS, port: port + 1 });
    await once(taken, "listening");
    await apply({ apiListener: { ...listener(), port: port + 1 } });
    expect((await platform.classmind("status")).code).toBe(0);
    taken.close();
    port += 1;
    const ca = await authority();
    await expect
      .poll(
        () =>
          call("/v1/platform", { ca }).then(
            ({ status }) => status,
            () => 0,
          ),
        { timeout: 60_000, interval: 250 },
      )
      .toBe(200);
  });

  it("shows an operator's own certificate, and `up` says what is wrong with one before it stops anything", async () => {
    const other = await createCertificateAuthority({ domain: "example.net", now: new Date() });
    const issuer = internalIssuer({ caCertificatePem: other.certificatePem, caKeyPem: other.keyPem });
    const issued = await issuer.issue({ hosts: ["leitstelle.example.net"], now: new Date() });
    const files = { certificateFile: path.join(directory, "own.pem"), keyFile: path.join(directory, "own.key") };
    await writeFile(files.certificateFile, issued.certificatePem);
    await writeFile(files.keyFile, other.keyPem, { mode: 0o600 });
    const wanted = { apiListener: { ...listener(), name: "leitstelle.example.net", ...files } };
    await expect(apply(wanted)).rejects.toThrow(/do not belong together/);
    expect((await call("/v1/platform", { ca: await authority() })).status).toBe(200);
    await writeFile(files.keyFile, issued.privateKeyPem, { mode: 0o600 });
    await apply(wanted);
    name = "leitstelle.example.net";
    expect((await call("/v1/platform", { ca: other.certificatePem })).status).toBe(200);
  });
});
