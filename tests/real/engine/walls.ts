import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { firstUid } from "../../../control-plane/engine/containers/identities.ts";
import type { Engine, ObjectRef } from "../../../control-plane/engine/engine.ts";
import { bridgeName, firewallTable, type Instance } from "../../../control-plane/host/instance.ts";
import { smallJob, smallSchool } from "../../fixtures/engine-school.ts";
import { GATEWAY_UID } from "./open.ts";

const run = promisify(execFile);
const A = "school-wall-a";
const B = "school-wall-b";
const DB: ObjectRef = { kind: "StatefulSet", name: "db" };
const APP: ObjectRef = { kind: "Deployment", name: "app" };

/** The containers engine under test, with its instance's names. */
export interface Walled {
  open(): Promise<Engine>;
  readonly instance: Instance;
}

/** What no school may reach, and what none may do, shown from inside of one. */
export function engineWalls(name: string, subject: () => Walled): void {
  describe(`walls of the ${name} engine`, () => {
    let engine: Engine;
    let listener: Server;
    let hostPort: number;

    async function job<T>(namespace: string, input: object): Promise<T> {
      const result = await engine.run(namespace, {
        manifest: smallJob(namespace, inject("images").app),
        input,
        deadline: 30_000,
      });
      expect(result.exitCode, result.logTail.join("\n")).toBe(0);
      return result.output as T;
    }

    async function endpoint(namespace: string, service: string) {
      const found = (await engine.observe(namespace)).endpoints.find((entry) => entry.service === service);
      if (found === undefined) throw new Error(`${namespace} has no endpoint for ${service}`);
      return { host: found.address, port: found.port };
    }

    /** Whether a user of this host can open a connection. */
    async function reaches(uid: number, target: { host: string; port: number }): Promise<boolean> {
      return run("setpriv", [
        `--reuid=${uid}`,
        "--clear-groups",
        "timeout",
        "1",
        "bash",
        "-c",
        `exec 3<>/dev/tcp/${target.host}/${target.port}`,
      ]).then(
        () => true,
        () => false,
      );
    }

    beforeAll(async () => {
      engine = await subject().open();
      for (const namespace of [A, B]) {
        await engine.apply(namespace, smallSchool({ namespace, image: inject("images").app }));
        for (const workload of [DB, APP]) await engine.awaitReady(namespace, workload, 30_000);
      }
      // Something of the host that listens on all addresses, as a forgetful administrator would have it.
      // A visitor that hangs up without reading resets the connection: that is its right, and no error of this test.
      listener = createServer((socket) => socket.on("error", () => undefined).end("host")).listen(0, "0.0.0.0");
      await new Promise((resolve) => listener.once("listening", resolve));
      const address = listener.address();
      hostPort = typeof address === "object" && address !== null ? address.port : 0;
    });

    afterAll(async () => {
      listener.close();
      for (const namespace of [A, B]) await engine.remove(namespace, [{ kind: "Namespace", name: namespace }]);
      await engine.close();
    });

    describe("R2 a school is alone", () => {
      it("its job reaches its own database and nothing else inside", async () => {
        const own = await endpoint(A, "db");
        const app = await endpoint(A, "app");
        expect(await job(A, { action: "connect", targets: [own, { host: "db", port: 5432 }, app] })).toEqual([
          "open",
          "open",
          "timeout",
        ]);
      });

      it("neighbours are unreachable in both directions", async () => {
        for (const [from, to] of [
          [A, B],
          [B, A],
        ] as const) {
          const targets = [await endpoint(to, "db"), await endpoint(to, "app")];
          for (const outcome of await job<string[]>(from, { action: "connect", targets }))
            expect(outcome).not.toBe("open");
        }
      });

      it("no port of the host, no metadata address and no outside address is reachable", async () => {
        const bridge = (await endpoint(A, "db")).host.replace(/\d+$/, (octet) =>
          String(Math.floor(Number(octet) / 16) * 16 + 1),
        );
        const { stdout } = await run("hostname", ["-I"]);
        const hosts = [
          bridge,
          ...stdout
            .trim()
            .split(/\s+/)
            .filter((address) => address.includes(".")),
        ];
        const targets = [
          ...hosts.flatMap((host) => [hostPort, 22, 53, 443].map((port) => ({ host, port }))),
          { host: "169.254.169.254", port: 80 },
          { host: "192.0.2.1", port: 443 },
          { host: "1.1.1.1", port: 53 },
        ];
        for (const outcome of await job<string[]>(A, { action: "connect", targets })) {
          expect(outcome).toMatch(/timeout|ENETUNREACH|EHOSTUNREACH/);
        }
        expect(await reaches(0, { host: "127.0.0.1", port: hostPort })).toBe(true);
      });

      it("names outside are not resolved; only the database has a name", async () => {
        expect(await job(A, { action: "resolve", name: "debian.org" })).toMatch(/EAI_AGAIN|ENOTFOUND/);
        expect(await job(A, { action: "resolve", name: "db" })).toBe((await endpoint(A, "db")).host);
        // Docker has a resolver in each network, which no file names. That a name is unknown would be an answer too.
        for (const server of ["127.0.0.11", "127.0.0.1", "1.1.1.1"])
          expect(await job(A, { action: "ask", server, name: "deb.debian.org" }), server).toMatch(
            /ECONNREFUSED|ETIMEOUT/,
          );
        const facts = await job<{ resolv: string; hosts: string; ipv6: string }>(A, { action: "facts" });
        expect(facts.resolv).toBe("");
        expect(facts.hosts).not.toContain((await run("hostname")).stdout.trim());
        expect(facts.ipv6).toBe("");
      });

      it("of the host's users only root reaches a database, and the gateway only the app", async () => {
        const [db, app] = [await endpoint(A, "db"), await endpoint(A, "app")];
        expect(await reaches(0, db)).toBe(true);
        expect(await reaches(0, app)).toBe(true);
        expect(await reaches(GATEWAY_UID, app)).toBe(true);
        expect(await reaches(GATEWAY_UID, db)).toBe(false);
        for (const stranger of [1, 65534, 10001]) {
          expect(await reaches(stranger, db), `uid ${stranger}`).toBe(false);
          expect(await reaches(stranger, app), `uid ${stranger}`).toBe(false);
        }
      });

      describe("whoever takes its rules away", () => {
        const table = () => firewallTable(subject().instance);
        /** As `nft flush ruleset` does, but for this instance's tables alone. */
        const flush = () =>
          nft(["inet", "bridge"].map((family) => `add table ${family} ${table()}\ndelete table ${family} ${table()}`));
        async function nft(commands: readonly string[]): Promise<void> {
          const running = run("nft", ["-f", "-"]);
          running.child.stdin?.end(`${commands.join("\n")}\n`);
          await running;
        }
        const policies = async (namespace: string) =>
          (await engine.observe(namespace)).objects.filter(({ kind }) => kind === "NetworkPolicy").length;
        const arePut = async () => {
          const began = Date.now();
          while ((await policies(A)) !== 4 || (await policies(B)) !== 4) {
            if (Date.now() - began > 30_000) throw new Error("the rules did not come back");
            await wait(50);
          }
          return Date.now() - began;
        };
        /** Namespaces woken while something is done. */
        async function wokenBy(task: () => Promise<unknown>): Promise<readonly string[]> {
          const ended = new AbortController();
          const woken = new Set<string>();
          const watching = (async () => {
            for await (const wakeup of engine.watch(ended.signal)) woken.add(wakeup.namespace);
          })();
          await wait(50);
          await task();
          ended.abort();
          await watching;
          return [...woken].sort();
        }

        it("finds them put back within seconds, everybody's, and who watches is woken", async () => {
          const woken = await wokenBy(async () => {
            await flush();
            expect(await arePut()).toBeLessThan(5_000);
            await wait(500);
          });
          expect(woken).toEqual(expect.arrayContaining([A, B]));
          expect(await reaches(65534, await endpoint(A, "db"))).toBe(false);
          expect(await job(A, { action: "connect", targets: [await endpoint(B, "db")] })).not.toContain("open");
          expect(await job(A, { action: "connect", targets: [await endpoint(A, "db")] })).toEqual(["open"]);
        });

        it("is named at the next examination, and only then", async () => {
          await engine.examineIsolation?.(A);
          await flush();
          await arePut();
          await wait(500);
          expect(await engine.examineIsolation?.(A)).toContainEqual({
            kind: "firewall",
            where: expect.stringContaining(subject().instance.name),
            label: expect.stringMatching(/changed by someone else at 20.+ and have been put right$/),
          });
          expect(await engine.examineIsolation?.(A)).toEqual([]);
        });

        it("for as long as they go on is seen: the policies are not whole, and the firewall is not fit", async () => {
          let stop = false;
          const flushing = (async () => {
            for (; !stop; await wait(50)) await flush();
          })();
          try {
            const isFit = async () => (await engine.preflight("look")).find(({ check }) => check === "firewall")?.ok;
            for (const end = Date.now() + 60_000; (await policies(A)) !== 0; ) expect(Date.now()).toBeLessThan(end);
            for (const end = Date.now() + 60_000; await isFit(); ) expect(Date.now()).toBeLessThan(end);
          } finally {
            stop = true;
            await flushing;
          }
          await arePut();
          expect((await engine.preflight("look")).find(({ check }) => check === "firewall")).toMatchObject({
            ok: true,
            required: true,
            message: expect.stringContaining("changed by someone else at 20"),
          });
        });

        it("one by one, or puts one of their own among them, is found as well", async () => {
          const listed = async () => (await run("nft", ["--handle", "list", "table", "inet", table()])).stdout;
          const before = await listed();
          const handle = /drop # handle (\d+)/.exec(before.slice(before.indexOf("chain input")))?.[1];
          await nft([`delete rule inet ${table()} input handle ${handle}`]);
          await arePut();
          await nft([`insert rule inet ${table()} input iifname "${bridgeName(subject().instance, A)}" accept`]);
          for (const end = Date.now() + 5_000; Date.now() < end && (await listed()).includes('" accept'); )
            await wait(50);
          expect(await listed()).not.toContain('" accept');
          await arePut();
        });

        it("after killing the program that listens for it is found all the same", async () => {
          const children = await readFile(`/proc/self/task/${process.pid}/children`, "utf8");
          const listening = [];
          for (const child of children.trim().split(" ")) {
            const line = await readFile(`/proc/${child}/cmdline`, "utf8").catch(() => "");
            if (line.includes("nft\0monitor")) listening.push(Number(child));
          }
          expect(listening).toHaveLength(1);
          for (const child of listening) process.kill(child, "SIGKILL");
          await flush();
          expect(await arePut()).toBeLessThan(5_000);
        });
      });

      it("bridges carry the instance's name", async () => {
        const interfaces = await readFile("/proc/net/dev", "utf8");
        expect(interfaces).toContain(bridgeName(subject().instance, A));
        expect(bridgeName(subject().instance, A).length).toBeLessThanOrEqual(15);
      });
    });

    describe("R40 a container holds no rights", () => {
      interface Facts {
        uid: number;
        gid: number;
        status: string;
        mounts: string;
        environment: string[];
        rootWritable: boolean;
        executable: string;
      }

      it("runs as a user of its own without capabilities, with seccomp and without new privileges, on a read-only root", async () => {
        const facts = await job<Facts>(A, { action: "facts" });
        const other = await job<Facts>(B, { action: "facts" });
        const first = firstUid(subject().instance);
        for (const { uid, gid } of [facts, other])
          expect([uid - first < 65_536 && uid >= first, gid]).toEqual([true, 10001]);
        expect(facts.uid).not.toBe(other.uid);
        for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) {
          expect(facts.status).toMatch(new RegExp(`^${set}:\\s+0+$`, "m"));
        }
        expect(facts.status).toMatch(/^NoNewPrivs:\s+1$/m);
        expect(facts.status).toMatch(/^Seccomp:\s+2$/m);
        expect(facts.rootWritable).toBe(false);
      });

      it("nothing written to the volume can be executed, and no mount is writable and executable", async () => {
        const facts = await job<Facts>(A, { action: "facts" });
        expect(facts.executable).toBe("EACCES");
        const writable = facts.mounts
          .split("\n")
          .map((line) => line.split(" "))
          .filter((fields) => fields[5]?.split(",").includes("rw"))
          .filter((fields) => !/^\/(proc|sys|dev)(\/|$)/.test(fields[4] ?? ""))
          // The root's overlay is a read-only mount; what is left must say noexec.
          .filter((fields) => !fields[5]?.split(",").includes("noexec"));
        expect(writable.map((fields) => fields[4])).toEqual([]);
      });

      it("secrets are files, never environment", async () => {
        const facts = await job<Facts>(A, { action: "facts" });
        expect(facts.environment.sort()).toEqual(
          ["HOME", "HOSTNAME", "LANG", "PATH", "TERM", "container"]
            .filter((name) => facts.environment.includes(name))
            .sort(),
        );
      });
    });
  });
}
