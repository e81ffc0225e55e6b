import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import {
  type Engine,
  EngineError,
  type Manifest,
  type ObjectRef,
  type Observation,
  TENANT_UID,
} from "../../../control-plane/engine/engine.ts";
import { hashManifest } from "../../../control-plane/render/hash.ts";
import { quantityToBytes } from "../../../control-plane/render/values.ts";
import { type SmallSchool, smallJob, smallSchool } from "../../fixtures/engine-school.ts";

/** What the suite needs of an engine under test. */
export interface Subject {
  /** Opens the engine; opening it again is what a new process would do. */
  open(): Promise<Engine>;
  readonly image: string;
  /** Milliseconds within which a small school is ready. */
  readonly patience: number;
  /** Class of the schools' volumes, where the engine's own is not meant. */
  readonly storageClass?: string;
  /** A cluster's nodes measure volumes from time to time: a young one's fill may not be known yet. */
  readonly usageLater?: boolean;
}

const DB: ObjectRef = { kind: "StatefulSet", name: "db" };
const APP: ObjectRef = { kind: "Deployment", name: "app" };

const claimSpec = z.looseObject({
  storageClassName: z.string().optional(),
  resources: z.looseObject({ requests: z.looseObject({ storage: z.string() }) }),
});

/** A volume that is as it should be. */
const PRESENT = { name: "data", state: "Present", identity: expect.any(String), asked: expect.any(Object) };

function refs(manifests: readonly Manifest[]): readonly (ObjectRef & { hash: string })[] {
  return manifests
    .map((manifest) => ({ kind: manifest.kind, name: manifest.metadata.name, hash: hashManifest(manifest) }))
    .sort(byName);
}

function byName(a: ObjectRef, b: ObjectRef): number {
  return `${a.kind}/${a.name}` < `${b.kind}/${b.name}` ? -1 : 1;
}

function stateOf(observation: Observation, ref: ObjectRef): string | undefined {
  return observation.workloads.find((entry) => entry.ref.kind === ref.kind && entry.ref.name === ref.name)?.state;
}

function withField(
  manifests: readonly Manifest[],
  kind: string,
  edit: (manifest: Manifest) => object,
): readonly Manifest[] {
  return manifests.map((manifest) =>
    manifest.kind === kind ? ({ ...manifest, ...edit(manifest) } as Manifest) : manifest,
  );
}

/** Every sentence of engine.ts, shown on one engine. */
export function engineContract(name: string, subject: () => Subject): void {
  describe(`contract of the ${name} engine`, () => {
    const namespace = "school-contract";
    const other = "school-contract-b";
    let engine: Engine;
    const volume = () => {
      const { storageClass } = subject();
      return storageClass === undefined ? {} : { storageClass };
    };
    const school = (overrides: Partial<SmallSchool> = {}) =>
      smallSchool({ namespace, image: subject().image, ...volume(), ...overrides });
    const ready = async (space = namespace) => {
      await Promise.all([DB, APP].map((ref) => engine.awaitReady(space, ref, subject().patience)));
    };
    const purge = (space: string) => engine.remove(space, [{ kind: "Namespace", name: space }]);
    const job = (
      input: unknown,
      more: { deadline?: number; name?: string; onLog?: (line: string) => void; signal?: AbortSignal } = {},
    ) =>
      engine.run(namespace, {
        manifest: smallJob(namespace, subject().image, more.name),
        input,
        deadline: more.deadline ?? 60_000,
        ...(more.onLog ? { onLog: more.onLog } : {}),
        ...(more.signal ? { signal: more.signal } : {}),
      });

    beforeAll(async () => {
      engine = await subject().open();
      await purge(namespace);
      await purge(other);
    });
    afterAll(async () => {
      await purge(namespace);
      await purge(other);
      await engine.close();
    });

    it("an absent namespace does not exist and holds nothing", async () => {
      expect(await engine.observe("school-nobody")).toEqual({
        namespace: "school-nobody",
        exists: false,
        objects: [],
        workloads: [],
        volumes: [],
        endpoints: [],
      });
      expect(await engine.list()).not.toContain("school-nobody");
    });

    it("preflight names each check, with a remedy for what fails", async () => {
      const findings = await engine.preflight("look");
      expect(findings.length).toBeGreaterThan(0);
      for (const finding of findings) expect(finding.ok || finding.remedy !== undefined, finding.check).toBe(true);
      expect(new Set(findings.map((finding) => finding.check)).size).toBe(findings.length);
    });

    it.each([
      [
        "an unknown kind",
        (all: readonly Manifest[]) => [
          ...all,
          { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "x", namespace } },
        ],
        /ConfigMap/,
      ],
      [
        "an unknown field",
        (all: readonly Manifest[]) =>
          withField(all, "Deployment", (m) => ({ spec: { ...Object(m.spec), surprise: true } })),
        /spec\.surprise/,
      ],
      [
        "an object of another namespace",
        (all: readonly Manifest[]) =>
          withField(all, "ServiceAccount", (m) => ({ metadata: { ...m.metadata, namespace: other } })),
        /school-contract-b/,
      ],
    ])("%s is refused by name before any effect", async (_, edit, message) => {
      const refused = engine.apply(namespace, edit(school()));
      await expect(refused).rejects.toBeInstanceOf(EngineError);
      await expect(refused).rejects.toThrow(message);
      await expect(refused).rejects.toMatchObject({ retryable: false });
      expect((await engine.observe(namespace)).exists).toBe(false);
    });

    it("apply makes objects so; workloads become ready; the observation says what is there", async () => {
      const progress: string[] = [];
      await engine.apply(namespace, school(), { onProgress: (message) => progress.push(message) });
      await ready();
      const seen = await engine.observe(namespace);
      expect(seen.exists).toBe(true);
      expect([...seen.objects].sort(byName)).toEqual(refs(school()));
      expect([stateOf(seen, DB), stateOf(seen, APP)]).toEqual(["Ready", "Ready"]);
      for (const workload of seen.workloads) {
        const manifest = school().find((entry) => entry.kind === workload.ref.kind);
        expect(workload.runningHash).toBe(hashManifest(manifest));
      }
      expect(seen.endpoints).toContainEqual({ service: "app", address: expect.any(String), port: 8080 });
      const [young] = seen.volumes;
      const { usedBytes, inodes } =
        subject().usageLater === true
          ? { usedBytes: young?.usedBytes, inodes: young?.inodes }
          : { usedBytes: expect.any(Number), inodes: { used: expect.any(Number), total: expect.any(Number) } };
      expect(seen.volumes).toEqual([
        { ...PRESENT, capacityBytes: expect.any(Number), usedBytes, inodes, locked: false },
      ]);
      expect(await engine.list()).toContain(namespace);
    });

    it("applying unchanged objects changes nothing", async () => {
      const before = await engine.observe(namespace);
      await engine.apply(namespace, school());
      expect({ ...(await engine.observe(namespace)), volumes: [] }).toEqual({ ...before, volumes: [] });
    });

    it("a new engine object finds everything as it was", async () => {
      const before = await engine.observe(namespace);
      await engine.close();
      engine = await subject().open();
      const after = await engine.observe(namespace);
      expect({ ...after, volumes: [], workloads: [] }).toEqual({ ...before, volumes: [], workloads: [] });
      expect(after.workloads.map((entry) => [entry.ref, entry.state, entry.runningHash])).toEqual(
        before.workloads.map((entry) => [entry.ref, entry.state, entry.runningHash]),
      );
    });

    it("a volume has an identity of its own, which stays while it exists, and which no other has, of its name or of another", async () => {
      const identities = async (space = namespace) =>
        new Map((await engine.observe(space)).volumes.map(({ name, identity }) => [name, identity]));
      const first = await identities();
      const [claim] = school().filter(({ kind }) => kind === "PersistentVolumeClaim");
      if (claim === undefined) throw new Error("the school has no claim");
      const more = { ...claim, metadata: { ...claim.metadata, name: "data-2" } };
      await engine.apply(namespace, [more]);
      const both = await identities();
      expect(both.get("data")).toBe(first.get("data"));
      expect(both.get("data-2")).toEqual(expect.any(String));
      expect(both.get("data-2")).not.toBe(first.get("data"));
      await engine.remove(namespace, [{ kind: "PersistentVolumeClaim", name: "data-2" }]);
      expect((await identities()).has("data-2")).toBe(false);
      await engine.apply(namespace, [more]);
      expect((await identities()).get("data-2")).not.toBe(both.get("data-2"));
      await engine.remove(namespace, [{ kind: "PersistentVolumeClaim", name: "data-2" }]);
      expect(await identities()).toEqual(first);
    });

    it("answers when it is asked whether it does", async () => {
      await engine.answers?.(new AbortController().signal);
    });

    it("a volume tells the class and the size that its claim asked for: neither can be taken back", async () => {
      const [claim] = school().filter(({ kind }) => kind === "PersistentVolumeClaim");
      const { storageClassName, resources } = claimSpec.parse(claim?.spec);
      const [{ asked } = { asked: undefined }] = (await engine.observe(namespace)).volumes;
      expect(asked?.className).toBe(storageClassName);
      expect(quantityToBytes(asked?.size ?? "0")).toBe(quantityToBytes(resources.requests.storage));
    });

    it("a job gets its input as JSON, and its output, exit code and log lines come back", async () => {
      const logged: string[] = [];
      const result = await job({ action: "echo", secret: "geheim" }, { onLog: (line) => logged.push(line) });
      expect(result.exitCode).toBe(0);
      expect(result.output).toEqual({ action: "echo", secret: "geheim" });
      expect(result.logTail).toEqual(logged);
    });

    it("a job leaves nothing behind", async () => {
      const before = await engine.observe(namespace);
      // Not even its input for the next one of its name.
      for (const round of [1, 2])
        expect((await job({ action: "echo", round })).output).toEqual({ action: "echo", round });
      const after = await engine.observe(namespace);
      expect({ ...after, volumes: [] }).toEqual({ ...before, volumes: [] });
    });

    it("a job in a namespace that does not exist is refused", async () => {
      await expect(
        engine.run("school-nobody", {
          manifest: smallJob("school-nobody", subject().image),
          input: {},
          deadline: 1_000,
        }),
      ).rejects.toBeInstanceOf(EngineError);
    });

    it("a changed Deployment is replaced, and the running hash follows", async () => {
      await engine.apply(namespace, school({ version: "two" }));
      await engine.awaitReady(namespace, APP, subject().patience);
      const seen = await engine.observe(namespace);
      const manifest = school({ version: "two" }).find((entry) => entry.kind === "Deployment");
      expect(seen.workloads.find((entry) => entry.ref.kind === "Deployment")?.runningHash).toBe(hashManifest(manifest));
      expect(stateOf(seen, DB)).toBe("Ready");
    });

    it("restart replaces the pods", async () => {
      await engine.restart(namespace, APP);
      await engine.awaitReady(namespace, APP, subject().patience);
      expect(stateOf(await engine.observe(namespace), APP)).toBe("Ready");
      expect(Array.isArray(await engine.logs(namespace, APP, { tail: 5 }))).toBe(true);
    });

    it("watch wakes for a namespace that changes, and ends with its signal", async () => {
      const stop = new AbortController();
      const woken: string[] = [];
      const watching = (async () => {
        for await (const wakeup of engine.watch(stop.signal)) {
          woken.push(wakeup.namespace);
          if (wakeup.namespace === namespace) stop.abort();
        }
      })();
      await engine.apply(namespace, school({ version: "three" }));
      await watching;
      expect(woken).toContain(namespace);
      await engine.awaitReady(namespace, APP, subject().patience);
    });

    it("a volume grows and never shrinks", async () => {
      await engine.apply(namespace, school({ version: "three", storage: "96Mi" }));
      const grown = (await engine.observe(namespace)).volumes[0]?.capacityBytes ?? 0;
      expect(grown).toBeGreaterThan(64 * 1024 * 1024);
      const shrunk = engine.apply(namespace, school({ version: "three", storage: "32Mi" }));
      await expect(shrunk).rejects.toMatchObject({ retryable: false });
      expect((await engine.observe(namespace)).volumes[0]?.capacityBytes).toBe(grown);
      await engine.apply(namespace, school({ version: "three", storage: "96Mi" }));
    });

    it("with no replicas the workloads stop and the volume is locked; with one they run again", async () => {
      const stopped = school({ version: "three", storage: "96Mi", replicas: 0 });
      await engine.apply(namespace, stopped);
      const seen = await engine.observe(namespace);
      expect([stateOf(seen, DB), stateOf(seen, APP)]).toEqual(["Stopped", "Stopped"]);
      expect(seen.volumes).toEqual([
        { ...PRESENT, capacityBytes: expect.any(Number), usedBytes: undefined, locked: true },
      ]);
      expect(seen.endpoints).toEqual([]);
      expect([...seen.objects].sort(byName)).toEqual(refs(stopped));
      await engine.apply(namespace, school({ version: "three", storage: "96Mi" }));
      await ready();
      expect((await engine.observe(namespace)).volumes[0]?.locked).toBe(false);
    });

    it("awaitReady names the reason when the deadline passes, or when nobody ever applied the workload", async () => {
      await expect(engine.awaitReady(namespace, { kind: "Deployment", name: "nobody" }, 50)).rejects.toBeInstanceOf(
        EngineError,
      );
      await engine.apply(
        namespace,
        school({ version: "four", storage: "96Mi", appProgram: "setInterval(() => {}, 1000)" }),
      );
      await expect(engine.awaitReady(namespace, APP, 0)).rejects.toMatchObject({ reason: expect.any(String) });
      await engine.apply(namespace, school({ version: "five", storage: "96Mi" }));
      await engine.awaitReady(namespace, APP, subject().patience);
    });

    it("namespaces do not touch each other", async () => {
      await engine.apply(other, smallSchool({ namespace: other, image: subject().image, ...volume() }));
      await ready(other);
      const addresses = (await Promise.all([namespace, other].map((space) => engine.observe(space)))).flatMap((seen) =>
        seen.endpoints.map((endpoint) => `${endpoint.address}:${endpoint.port}`),
      );
      expect(addresses.length).toBeGreaterThanOrEqual(2);
      await purge(other);
      expect((await engine.observe(other)).exists).toBe(false);
      expect(stateOf(await engine.observe(namespace), APP)).toBe("Ready");
    });

    it("removed objects are gone, and removing absent ones is fine", async () => {
      await engine.remove(namespace, [{ kind: "Secret", name: "nobody" }, APP, { kind: "Service", name: "app" }]);
      await engine.remove(namespace, [APP]);
      const seen = await engine.observe(namespace);
      expect(seen.objects).not.toContainEqual(expect.objectContaining(APP));
      expect(seen.workloads.map((entry) => entry.ref)).toEqual([DB]);
      expect(seen.endpoints.map((endpoint) => endpoint.service)).not.toContain("app");
    });

    it("a namespace of another school is not there for whoever would remove their own", async () => {
      const [space] = school().filter(({ kind }) => kind === "Namespace");
      if (space === undefined) throw new Error("the school has no namespace");
      const whose = (uid: string) => ({
        ...space,
        metadata: { ...space.metadata, annotations: { [TENANT_UID]: uid } },
      });
      const refs = [{ kind: "Namespace", name: namespace }];
      await purge(namespace);
      await engine.apply(namespace, [whose("ours")]);
      await engine.remove(namespace, refs, { tenantUid: "another's" });
      expect((await engine.observe(namespace)).exists).toBe(true);
      await engine.remove(namespace, refs, { tenantUid: "ours" });
      expect((await engine.observe(namespace)).exists).toBe(false);
    });

    it("removing the namespace removes everything in it; the same name begins empty", async () => {
      await purge(namespace);
      await purge(namespace);
      expect((await engine.observe(namespace)).exists).toBe(false);
      expect(await engine.list()).not.toContain(namespace);
      await engine.apply(namespace, school());
      await ready();
      expect([...(await engine.observe(namespace)).objects].sort(byName)).toEqual(refs(school()));
    });
  });
}
