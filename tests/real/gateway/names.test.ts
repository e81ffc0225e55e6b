import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GATEWAY_ADDRESS, hostOf, openStage, type Stage } from "./stage.ts";
import { answersIn, ask1, ask2, askPlain, converse, openTcp, openTls } from "./wire.ts";

/** Which name leads where, and that every other name leads nowhere. */

let stage: Stage;
const A = hostOf("a");
const B = hostOf("b");

beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

const refusal = { code: expect.stringMatching(/UNRECOGNIZED_NAME|ERR_SSL/) };

describe("the TLS handshake", () => {
  test("R11 refuses unknown names and no name at all, without showing any certificate", async () => {
    for (const name of ["c.schulen.example", "schulen.example", "a.schulen.example.evil.example", "x", undefined]) {
      await expect(openTls(stage, name, { rejectUnauthorized: false })).rejects.toMatchObject(refusal);
    }
  });

  test("R11 a name in capitals is the same name", async () => {
    const socket = await openTls(stage, "A.SCHULEN.EXAMPLE");
    const [answer] = answersIn(
      await converse(socket, `GET / HTTP/1.1\r\nHost: A.Schulen.Example\r\nConnection: close\r\n\r\n`),
    );
    expect(answer?.status).toBe(200);
    expect(answer?.body).toContain('"school":"a"');
  });

  test("R1 speaks TLS 1.2 and 1.3, nothing older", async () => {
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      const socket = await openTls(stage, A, { minVersion: version, maxVersion: version });
      expect(socket.getProtocol()).toBe(version);
      socket.destroy();
    }
    for (const version of ["TLSv1", "TLSv1.1"] as const) {
      const old = openTls(stage, A, { minVersion: version, maxVersion: version, ciphers: "ALL:@SECLEVEL=0" });
      await expect(old).rejects.toMatchObject({ code: expect.stringContaining("ERR_SSL") });
    }
  });

  test("R1 accepts only authenticated encryption with forward secrecy", async () => {
    // Of a pair of either kind: schools' own are ECDSA, uploaded ones and those of before may be RSA.
    await stage.certifyRsa("b");
    for (const [name, kind] of [
      [A, "ECDSA"],
      [B, "RSA"],
    ] as const) {
      const good = ["AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"].map((end) => `ECDHE-${kind}-${end}`);
      const bad = [
        "AES128-GCM-SHA256",
        "AES256-SHA",
        `ECDHE-${kind}-AES128-SHA256`,
        `ECDHE-${kind}-AES256-SHA`,
        "DHE-RSA-AES128-GCM-SHA256",
        `ECDHE-${kind}-AES256-SHA384`,
      ];
      for (const ciphers of good) {
        const socket = await openTls(stage, name, { maxVersion: "TLSv1.2", ciphers });
        expect(socket.getCipher().name).toBe(ciphers);
        socket.destroy();
      }
      for (const ciphers of bad) {
        const weak = openTls(stage, name, { maxVersion: "TLSv1.2", ciphers: `${ciphers}:@SECLEVEL=0` });
        await expect(weak, `${name} ${ciphers}`).rejects.toThrow();
      }
      const modern = await openTls(stage, name, { minVersion: "TLSv1.3" });
      expect(modern.getCipher().name).toMatch(/^TLS_(AES_(128|256)_GCM|CHACHA20_POLY1305)_SHA/);
      modern.destroy();
    }
    // The next certificate of the school is ECDSA, served without a break under the same name.
    await stage.certify("b");
    const renewed = await openTls(stage, B, { maxVersion: "TLSv1.2" });
    expect(renewed.getCipher().name).toMatch(/^ECDHE-ECDSA-/);
    renewed.destroy();
  });

  test("negotiates HTTP/2 and HTTP/1.1, and verifies for curl as well", async () => {
    for (const [offered, chosen] of [
      [["h2", "http/1.1"], "h2"],
      [["http/1.1"], "http/1.1"],
    ] as const) {
      const socket = await openTls(stage, A, { ALPNProtocols: [...offered] });
      expect(socket.alpnProtocol).toBe(chosen);
      socket.destroy();
    }
    const pairs = ["--resolve", `${A}:${stage.httpsPort}:${GATEWAY_ADDRESS}`];
    const file = `${stage.options.configDir}/ca.pem`;
    await writeFile(file, stage.ca);
    const curl = promisify(execFile)("curl", ["-sS", "--cacert", file, ...pairs, `https://${A}:${stage.httpsPort}/x`]);
    expect(JSON.parse((await curl).stdout)).toMatchObject({ school: "a", url: "/x" });
  });

  test("a session of one school is worth nothing at another", async () => {
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      const first = await openTls(stage, A, { maxVersion });
      const session = await new Promise<Buffer>((resolve) => {
        first.once("session", resolve);
        first.write(`GET / HTTP/1.1\r\nHost: ${A}\r\n\r\n`);
        if (maxVersion === "TLSv1.2") resolve(first.getSession() ?? Buffer.alloc(0));
      });
      first.destroy();
      const second = await openTls(stage, B, { maxVersion, session, rejectUnauthorized: false }).catch(() => undefined);
      if (second === undefined) continue;
      const [answer] = answersIn(await converse(second, `GET / HTTP/1.1\r\nHost: ${A}\r\nConnection: close\r\n\r\n`));
      expect(answer?.status).toBe(421);
    }
  });
});

describe("a Host that differs from the name in the handshake", () => {
  const strangers = [
    B,
    "schulen.example",
    "c.schulen.example",
    "localhost",
    "127.0.0.1",
    `${A}.`,
    `${A}.evil.example`,
    `evil.${A}`,
  ];

  test.each(strangers)("R11 %s gets 421 over HTTP/1.1 and HTTP/2", async (host) => {
    const before = stage.a.requests.length + stage.b.requests.length;
    for (const answer of [await ask1(stage, { sni: A, host }), await ask2(stage, A, { ":authority": host })]) {
      expect(answer.status).toBe(421);
      expect(answer.body).not.toMatch(/schulen\.example/);
      expect(answer.headers["strict-transport-security"]).toContain("max-age");
    }
    expect(stage.a.requests.length + stage.b.requests.length).toBe(before);
  });

  test("R11 a second request on the same connection is judged anew", async () => {
    const socket = await openTls(stage, A);
    const text = await converse(
      socket,
      `GET /1 HTTP/1.1\r\nHost: ${A}\r\n\r\nGET /2 HTTP/1.1\r\nHost: ${B}\r\n\r\nGET /3 HTTP/1.1\r\nHost: ${A}\r\nConnection: close\r\n\r\n`,
    );
    expect(answersIn(text).map(({ status }) => status)).toEqual([200, 421, 200]);
    expect(text).not.toContain('"school":"b"');
  });

  test("R11 of :authority and Host in HTTP/2, neither reaches a neighbour", async () => {
    const before = stage.b.requests.length;
    const both = await ask2(stage, A, { ":authority": A, host: B }).catch(() => undefined);
    if (both !== undefined) expect(both.body).not.toContain('"school":"b"');
    const reversed = await ask2(stage, A, { ":authority": B, host: A }).catch(() => undefined);
    if (reversed !== undefined) expect(reversed.status).toBe(421);
    expect(stage.b.requests.length).toBe(before);
  });

  test("a port behind the name does not matter: people forward ports", async () => {
    for (const host of [`${A}:443`, `${A}:8443`, `${A}:${stage.httpsPort}`]) {
      expect((await ask1(stage, { sni: A, host })).status).toBe(200);
      expect((await ask2(stage, A, { ":authority": host })).status).toBe(200);
    }
  });
});

describe("hostile Host headers", () => {
  const hostile = [
    "",
    " ",
    `${A},${B}`,
    `${A}, ${B}`,
    `${B}\tx`,
    `${A}:`,
    `${A}:0x50`,
    `${A}:80:80`,
    `${A}@${B}`,
    `user@${A}`,
    `${A}/${B}`,
    `${A}#${B}`,
    `${A}?${B}`,
    `${A}\\${B}`,
    `${A}%00${B}`,
    `${A}%2e`,
    `[${A}]`,
    "[::1]",
    "а.schulen.example",
    "*.schulen.example",
    "$(x)",
    "|",
    `${A}|10.0.0.1`,
    "../../etc/passwd",
    "a".repeat(300),
    "__proto__",
    `"${A}"`,
  ];

  test.each(hostile)("R11 %j never reaches another school", async (host) => {
    const before = stage.b.requests.length;
    const answer = await ask1(stage, { sni: A, host });
    expect([400, 421]).toContain(answer.status);
    const plain = await askPlain(stage, `GET / HTTP/1.1\r\nHost: ${host}`);
    expect([400, 404]).toContain(plain.status);
    expect(plain.body + answer.body).not.toMatch(/schulen\.example/);
    expect(stage.b.requests.length).toBe(before);
  });

  test("R11 random bytes, two Hosts and no Host are refused as well", async () => {
    const before = stage.b.requests.length;
    const heads = [
      `GET / HTTP/1.1\r\n`,
      `GET / HTTP/1.0\r\n`,
      `GET / HTTP/1.1\r\nHost: ${A}\r\nHost: ${B}\r\n`,
      `GET / HTTP/1.1\r\nHost: ${B}\r\nHost: ${A}\r\n`,
      `GET / HTTP/1.1\r\nHost : ${B}\r\nHost: ${A}\r\n`,
      `GET / HTTP/1.1\r\nHost:\r\n ${B}\r\n`,
      `GET / HTTP/1.1\r\n Host: ${B}\r\n`,
      ...Array.from({ length: 20 }, () => `GET / HTTP/1.1\r\nHost: ${randomBytes(12).toString("latin1")}\r\n`),
    ];
    for (const head of heads) {
      const text = await converse(await openTls(stage, A), `${head}Connection: close\r\n\r\n`, 1500);
      for (const { status } of answersIn(text)) expect([400, 421], head).toContain(status);
    }
    expect(stage.b.requests.length).toBe(before);
  });
});

describe("plain HTTP", () => {
  test("R1 answers a known host with a redirect to HTTPS only, for every method", async () => {
    for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]) {
      const answer = await askPlain(stage, `${method} /kurse?x=1&y=%2F HTTP/1.1\r\nHost: ${A}:${stage.httpPort}`);
      expect(answer.status).toBe(308);
      expect(answer.headers.location).toBe(`https://${A}:${stage.httpsPort}/kurse?x=1&y=%2F`);
      expect(answer.body).toBe("");
    }
    expect(stage.a.requests.some(({ url }) => url.startsWith("/kurse?x"))).toBe(false);
  });

  test("R11 answers an unknown host with 404 and no name", async () => {
    for (const host of ["c.schulen.example", "schulen.example", "localhost", GATEWAY_ADDRESS]) {
      const answer = await askPlain(stage, `GET / HTTP/1.1\r\nHost: ${host}`);
      expect(answer.status).toBe(404);
      expect(answer.body).not.toMatch(/schulen\.example|"a"|"b"/);
    }
  });

  test("never redirects to where the request wanted", async () => {
    for (const target of ["//evil.example/", `http://evil.example/`, "*", "evil.example:443", "/\\evil.example"]) {
      const method = target === "*" ? "OPTIONS" : "GET";
      const answer = await askPlain(stage, `${method} ${target} HTTP/1.1\r\nHost: ${A}`);
      if (answer.status === 308)
        expect(answer.headers.location).toMatch(new RegExp(`^https://${A}:${stage.httpsPort}/`));
      else expect(answer.status).toBe(400);
    }
  });

  test("does not take TLS for HTTP or HTTP for TLS", async () => {
    const text = await converse(await openTcp(stage.httpsPort), `GET / HTTP/1.1\r\nHost: ${A}\r\n\r\n`);
    expect(text).not.toMatch(/HTTP\/1\.1 200/);
  });
});
