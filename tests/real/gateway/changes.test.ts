import { rename, rm, stat, symlink, unlink, writeFile } from "node:fs/promises";
import { createConnection, createServer, type Server } from "node:net";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startGateway } from "../../../control-plane/gateway/container.ts";
import { haproxyGateway } from "../../../control-plane/gateway/haproxy.ts";
import { certificatePath, PATHS_INSIDE } from "../../../control-plane/gateway/paths.ts";
import { runCommand } from "../../../control-plane/gateway/runtime.ts";
import { hostOf, openStage, type Stage } from "./stage.ts";
import { answersIn, ask1, ask2, converse, openTcp, openTls, seenFingerprint } from "./wire.ts";

/** Certificates and routes that change while people are there. */

let stage: Stage;
const A = hostOf("a");
const B = hostOf("b");
const C = hostOf("c");

beforeAll(async () => {
  stage = await openStage();
});
afterEach(async () => {
  stage.a.handler = undefined;
  await stage.gateway.remove("c");
});
afterAll(() => stage.close());

const admin = (command: string) => runCommand(stage.paths.adminSocket, command);

/** Identity of the running worker and of everything it has loaded: unchanged means that nothing was done to it. */
async function traces(): Promise<string> {
  const info = /^Pid: .*$/m.exec(await admin("show info"))?.[0];
  const map = await admin(`show map ${PATHS_INSIDE.routes}`);
  const list = await admin(`show ssl crt-list -n ${PATHS_INSIDE.certificateList}`);
  const files = await Promise.all(
    [stage.paths.routes, stage.paths.certificateList, certificatePath(stage.paths, "a")].map(async (file) => {
      const { ino, mtimeMs } = await stat(file);
      return `${ino} ${mtimeMs}`;
    }),
  );
  return [info, map, list, ...files].join("\n");
}

async function pairFor(slug: string) {
  const issued = await stage.issuer.issue({ hosts: [hostOf(slug)], now: new Date() });
  return { chain: issued.certificatePem, key: issued.privateKeyPem };
}

describe("a certificate that changes", () => {
  test("R1 a download that is under way and a connection kept open live on; new handshakes see the new certificate", async () => {
    const before = await seenFingerprint(stage, A);
    stage.a.handler = (request, response) => {
      if (request.url !== "/slow") return response.end("quick");
      response.setHeader("Content-Length", "20000");
      let sent = 0;
      const timer = setInterval(() => {
        response.write("x".repeat(1000));
        sent += 1000;
        if (sent === 20_000) {
          clearInterval(timer);
          response.end();
        }
      }, 100);
    };
    const keptOpen = await openTls(stage, A);
    const received: string[] = [];
    keptOpen.on("data", (chunk: Buffer) => received.push(chunk.toString("latin1")));
    const request = `GET /quick HTTP/1.1\r\nHost: ${A}\r\n\r\n`;
    keptOpen.write(request);
    const slow1 = ask1(stage, { sni: A, path: "/slow" });
    const slow2 = ask2(stage, A, { ":authority": A, ":path": "/slow" });
    await wait(300);

    const pid = /^Pid: .*$/m.exec(await admin("show info"))?.[0];
    const fingerprint = await stage.certify("a");
    expect(fingerprint).not.toBe(before);
    expect(await seenFingerprint(stage, A)).toBe(fingerprint);
    keptOpen.write(request);

    for (const answer of [await slow1, await slow2]) expect(answer.body.length).toBe(20_000);
    keptOpen.write(request);
    await expect.poll(() => answersIn(received.join("")).length).toBe(3);
    expect(keptOpen.destroyed).toBe(false);
    keptOpen.destroy();
    expect(/^Pid: .*$/m.exec(await admin("show info"))?.[0]).toBe(pid);
  });

  test("twenty changes under load drop no request", async () => {
    let stop = false;
    const failures: unknown[] = [];
    let requests = 0;
    const load = async () => {
      while (!stop) {
        const answer = await ask1(stage, { sni: A }).catch((error: unknown) => ({ status: String(error) }));
        requests += 1;
        if (answer.status !== 200) failures.push(answer.status);
      }
    };
    const running = [load(), load(), load()];
    for (let change = 0; change < 20; change += 1) await stage.certify("a");
    stop = true;
    await Promise.all(running);
    expect(failures).toEqual([]);
    expect(requests).toBeGreaterThan(20);
  });

  test("a key that belongs to another certificate is refused, and the last good pair serves on", async () => {
    const before = await seenFingerprint(stage, A);
    const [one, other, foreign] = [await pairFor("a"), await pairFor("a"), await pairFor("b")];
    const traced = await traces();
    for (const pem of [{ chain: one.chain, key: other.key }, { chain: "", key: one.key }, foreign]) {
      await expect(stage.gateway.setCertificate("a", [A], pem)).rejects.toMatchObject({ code: "Invalid" });
    }
    expect(await traces()).toBe(traced);
    expect(await seenFingerprint(stage, A)).toBe(before);
    expect((await stage.gateway.observe("a")).certificateFingerprint).toBe(before);
  });

  test("another school's host is refused for route and certificate", async () => {
    const issued = await stage.issuer.issue({ hosts: [A, C], now: new Date() });
    const pem = { chain: issued.certificatePem, key: issued.privateKeyPem };
    await expect(stage.gateway.setCertificate("c", [C, A], pem)).rejects.toMatchObject({ code: "Conflict" });
    const open = { state: "open", address: stage.b.address, port: stage.b.port } as const;
    await expect(stage.gateway.setRoute("c", [C, A], open)).rejects.toMatchObject({ code: "Conflict" });
    expect(await stage.gateway.observe("c")).toMatchObject({ route: undefined, certificateFingerprint: undefined });
    expect((await ask1(stage, { sni: A })).body).toContain('"school":"a"');
  });
});

describe("a school that comes and goes", () => {
  test("R11 it is reachable without a reload, under several names, and gone without a trace", async () => {
    const pid = /^Pid: .*$/m.exec(await admin("show info"))?.[0];
    const www = `www.${C}`;
    const issued = await stage.issuer.issue({ hosts: [C, www], now: new Date() });
    await stage.gateway.setCertificate("c", [C, www], { chain: issued.certificatePem, key: issued.privateKeyPem });
    await expect(ask1(stage, { sni: C })).resolves.toMatchObject({ status: 0 });
    await stage.gateway.setRoute("c", [C, www], { state: "open", address: stage.a.address, port: stage.a.port });
    for (const host of [C, www]) expect((await ask1(stage, { sni: host })).status).toBe(200);

    await stage.gateway.setCertificate("c", [C], { chain: issued.certificatePem, key: issued.privateKeyPem });
    await stage.gateway.setRoute("c", [C], { state: "open", address: stage.a.address, port: stage.a.port });
    expect((await ask1(stage, { sni: C })).status).toBe(200);
    await expect(openTls(stage, www)).rejects.toThrow();

    await stage.gateway.remove("c");
    await expect(openTls(stage, C)).rejects.toThrow();
    expect(/^Pid: .*$/m.exec(await admin("show info"))?.[0]).toBe(pid);
    expect(await stage.gateway.list()).toEqual(["a", "b"]);
    for (const left of [await admin("show ssl cert"), await admin(`show ssl crt-list ${PATHS_INSIDE.certificateList}`)])
      expect(left).not.toContain("/c.pem");
    expect(await admin(`show map ${PATHS_INSIDE.routes}`)).not.toContain(C);
    await expect(stat(certificatePath(stage.paths, "c"))).rejects.toMatchObject({ code: "ENOENT" });
    await stage.gateway.remove("c");
  });

  test("R11 a connection that is open when its school goes leads nowhere afterwards", async () => {
    await stage.certify("c");
    await stage.gateway.setRoute("c", [C], { state: "open", address: stage.a.address, port: stage.a.port });
    const socket = await openTls(stage, C);
    await stage.gateway.remove("c");
    const [answer] = answersIn(await converse(socket, `GET / HTTP/1.1\r\nHost: ${C}\r\nConnection: close\r\n\r\n`));
    expect(answer?.status).toBe(421);
  });

  test("an address that changes is followed at once", async () => {
    await stage.gateway.setRoute("a", [A], { state: "open", address: stage.b.address, port: stage.b.port });
    expect((await ask1(stage, { sni: A })).body).toContain('"school":"b"');
    await stage.open(stage.a);
    expect((await ask1(stage, { sni: A })).body).toContain('"school":"a"');
  });

  test("fifty schools at once end as fifty schools", async () => {
    const slugs = Array.from({ length: 50 }, (_, index) => `s${index}`);
    const pairs = await Promise.all(slugs.map(pairFor));
    const started = Date.now();
    await Promise.all(
      slugs.flatMap((slug, index) => {
        const pem = pairs[index];
        if (pem === undefined) return [];
        const destination = { state: "open", address: stage.a.address, port: stage.a.port } as const;
        return [
          stage.gateway.setCertificate(slug, [hostOf(slug)], pem),
          stage.gateway.setRoute(slug, [hostOf(slug)], destination),
        ];
      }),
    );
    const milliseconds = Date.now() - started;
    const seen = await stage.gateway.observeAll();
    expect(seen.routes.filter(({ applied }) => applied)).toHaveLength(52);
    expect(seen.certificates.filter(({ applied }) => applied)).toHaveLength(52);
    for (const slug of ["s0", "s25", "s49"]) expect((await ask1(stage, { sni: hostOf(slug) })).status).toBe(200);
    await Promise.all(slugs.map((slug) => stage.gateway.remove(slug)));
    expect(await stage.gateway.list()).toEqual(["a", "b"]);
    expect(milliseconds).toBeLessThan(10_000);
  });
});

describe("what is already so", () => {
  test("costs no command and no write", async () => {
    const pem = await pairFor("a");
    await stage.gateway.setCertificate("a", [A], pem);
    const before = await traces();
    await stage.gateway.setCertificate("a", [A], pem);
    await stage.open(stage.a);
    await stage.gateway.remove("nobody");
    expect(await stage.gateway.reconcileAll()).toEqual({ routes: 0, certificates: 0, files: 0 });
    expect(await traces()).toBe(before);
  });

  test("keys on disk are for root only", async () => {
    for (const file of [certificatePath(stage.paths, "a"), stage.paths.routes, stage.paths.certificateList]) {
      expect((await stat(file)).mode & 0o777).toBe(0o600);
    }
    expect((await stat(stage.options.runDir)).mode & 0o777).toBe(0o700);
  });
});

describe("after a crash", () => {
  test("between files and process, reconcileAll mends what differs and nothing else", async () => {
    const fingerprint = await stage.certify("a");
    // The process lost a route, has a stray one, a half-made certificate and lost one that it should have.
    await admin(`del map ${PATHS_INSIDE.routes} ${A}`);
    await admin(`add map ${PATHS_INSIDE.routes} stray.example open|127.0.0.1|1|stray`);
    await admin(`new ssl cert ${PATHS_INSIDE.certificates}/half.pem`);
    await runCommand(
      stage.paths.adminSocket,
      `set ssl cert ${PATHS_INSIDE.certificates}/half.pem`,
      (await pairFor("a")).chain,
    );
    await admin(`del ssl crt-list ${PATHS_INSIDE.certificateList} ${PATHS_INSIDE.certificates}/a.pem`);
    await admin(`del ssl cert ${PATHS_INSIDE.certificates}/a.pem`);
    // The disk has a draft and a key of nobody.
    await writeFile(join(stage.options.runDir, ".new-routes.map"), "x");
    await writeFile(join(stage.paths.certificates, "nobody.pem"), "x");

    expect(await stage.gateway.observe("a")).toMatchObject({ route: undefined, certificateFingerprint: undefined });
    expect(await stage.gateway.reconcileAll()).toEqual({ routes: 2, certificates: 3, files: 2 });
    expect(await stage.gateway.reconcileAll()).toEqual({ routes: 0, certificates: 0, files: 0 });
    expect(await seenFingerprint(stage, A)).toBe(fingerprint);
    expect((await ask1(stage, { sni: A })).status).toBe(200);
    expect(await admin(`show map ${PATHS_INSIDE.routes}`)).not.toContain("stray");
  });

  test("a transaction that a dead caller left open does not stand in the way", async () => {
    const { chain, key } = await pairFor("b");
    await runCommand(stage.paths.adminSocket, `set ssl cert ${PATHS_INSIDE.certificates}/b.pem`, chain + key);
    const fingerprint = await stage.certify("a");
    expect(await seenFingerprint(stage, A)).toBe(fingerprint);
  });

  test("HAProxy killed and started again serves what it served, without its files being touched", async () => {
    const fingerprint = await stage.certify("a");
    await (await stage.container()).kill();
    expect(await stage.gateway.observe("a")).toMatchObject({ route: undefined, certificateFingerprint: undefined });
    expect((await stage.gateway.observeAll()).running).toBe(false);
    // While it is down, a change is refused as unavailable, and kept.
    await expect(stage.gateway.setRoute("b", [B], { state: "closed" })).rejects.toMatchObject({ code: "Unavailable" });
    await expect(stage.certify("c")).rejects.toMatchObject({ code: "Unavailable" });
    await startGateway(stage.options);
    expect(await seenFingerprint(stage, A)).toBe(fingerprint);
    expect((await ask1(stage, { sni: A })).status).toBe(200);
    expect((await ask1(stage, { sni: B })).body).toContain("geschlossen");
    await expect(seenFingerprint(stage, C)).resolves.toMatch(/^[0-9a-f]{64}$/);
    await stage.open(stage.b);
    expect((await stage.gateway.observe("b")).route).toMatchObject({ state: "open" });
  });

  test("a broken pair on disk costs its own school only: everybody else's starts", async () => {
    await stage.certify("c");
    await writeFile(certificatePath(stage.paths, "c"), "broken");
    await (await stage.container()).kill();
    await startGateway(stage.options);
    expect((await ask1(stage, { sni: A })).status).toBe(200);
    await expect(openTls(stage, C)).rejects.toThrow();
    const fingerprint = await stage.certify("c");
    expect(await seenFingerprint(stage, C)).toBe(fingerprint);
  });
});

describe("a HAProxy that does not do what it is told", () => {
  test("is reloaded from the files, which drops no connection", async () => {
    const stubborn = await refusing(stage, "add map");
    const keptOpen = await openTcp(stage.httpPort);
    keptOpen.write("GET / HTTP/1.1\r\n");
    const pid = /^Pid: .*$/m.exec(await admin("show info"))?.[0];
    try {
      await stage.certify("c");
      await stubborn.gateway.setRoute("c", [C], { state: "open", address: stage.a.address, port: stage.a.port });
      expect((await ask1(stage, { sni: C })).status).toBe(200);
      expect(/^Pid: .*$/m.exec(await admin("show info"))?.[0]).not.toBe(pid);
      const [answer] = answersIn(await converse(keptOpen, `Host: ${A}\r\nConnection: close\r\n\r\n`));
      expect(answer?.status).toBe(308);
    } finally {
      await stubborn.close();
    }
  });

  test("keeps the last good pair when it will not take the new one", async () => {
    const before = await stage.certify("a");
    const stubborn = await refusing(stage, "commit ssl cert");
    try {
      await expect(stubborn.gateway.setCertificate("a", [A], await pairFor("a"))).rejects.toMatchObject({
        code: "Invalid",
      });
      expect(await seenFingerprint(stage, A)).toBe(before);
      expect((await stage.gateway.observe("a")).certificateFingerprint).toBe(before);
      expect(await stage.gateway.reconcileAll()).toMatchObject({ certificates: 0 });
    } finally {
      await stubborn.close();
    }
  });
});

/** The same files and the same HAProxy, behind a socket that answers one command with a refusal. */
async function refusing(of: Stage, refused: string) {
  const runDir = join(of.options.configDir, "refusing");
  await rm(runDir, { recursive: true, force: true });
  await symlink(of.options.runDir, runDir);
  const real = join(of.options.runDir, "real.sock");
  await rm(real, { force: true });
  // The admin socket is moved aside: HAProxy goes on listening on it under its new name.

  await rename(of.paths.adminSocket, real);
  const server: Server = createServer((client) => {
    client.on("error", () => undefined);
    client.once("data", (chunk: Buffer) => {
      if (chunk.toString().startsWith(refused)) return client.end("not today\n\n");
      const upstream = createConnection(real);
      upstream.on("error", () => client.destroy());
      upstream.pipe(client);
      upstream.write(chunk);
      client.pipe(upstream);
    });
  });
  await new Promise<void>((resolve) => server.listen(of.paths.adminSocket, resolve));
  return {
    gateway: haproxyGateway({ configDir: of.options.configDir, runDir }),
    async close() {
      await new Promise((resolve) => server.close(resolve));
      // A reload has made a new socket of the proper name; otherwise the old one goes back.
      const replaced = await stat(of.paths.adminSocket).then(
        () => true,
        () => false,
      );
      if (replaced) await unlink(real);
      else await rename(real, of.paths.adminSocket);
      await unlink(runDir);
    },
  };
}
