import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeOwnFiles } from "../../../control-plane/images/build.ts";
import { IMAGE_RECIPES } from "../../../control-plane/images/recipes.ts";
import { freePort } from "../../fixtures/free-port.ts";
import { answeredJobs } from "../../fixtures/kube-api/answered-jobs.ts";
import { writeKubeconfig } from "../../fixtures/kube-api/kubeconfig.ts";
import { type KubeApi, startKubeApi } from "../../fixtures/kube-api/server.ts";
import { buildKustomization } from "../../fixtures/kustomize.ts";
import { type PlatformDatabase, platformDatabase } from "../../fixtures/platform-database.ts";

/**
 * The control plane as it runs on a cluster: the programs of its image, with the configuration of `k8s/`, the rights of `k8s/` (an
 * API server in this process enforces them) and a real database. No pod runs; jobs are answered as the school's programs would.
 */
const run = promisify(execFile);
const RECIPE = IMAGE_RECIPES.find((recipe) => recipe.name === "control-plane");

let database: PlatformDatabase;
let api: KubeApi;
let kubeconfig: ReturnType<typeof writeKubeconfig>;
let directory: string;
let port: number;
const children: ChildProcess[] = [];
const inTree = (file: string): string => path.join(directory, file);

/** The configuration of k8s/, with this machine's paths in place of a pod's. */
async function configure(): Promise<void> {
  const read = (name: string): Record<string, unknown> =>
    JSON.parse(readFileSync(`k8s/base/config/${name}.json`, "utf8"));
  const write = (name: string, content: unknown): Promise<void> =>
    writeFile(inTree(name), JSON.stringify(content), { mode: 0o600 });
  const here = { platform: inTree("platform.json") };
  await write("platform.json", { ...read("platform"), domain: "classmind.localhost", earlyPurge: "reason" });
  await write("api.json", {
    ...read("api"),
    ...here,
    database: database.database,
    listen: { host: "127.0.0.1", port },
  });
  const reconciler = read("reconciler");
  await write("reconciler.json", {
    ...reconciler,
    ...here,
    database: database.database,
    keyring: database.keyring,
    kekFile: inTree("kek"),
    engine: { ...Object(reconciler.engine), kubeconfig: kubeconfig.file },
    // Both reconcilers of this test are on one machine.
    metrics: { host: "127.0.0.1", port: 0 },
    readyFile: inTree("ready"),
  });
  await writeFile(inTree("kek"), randomBytes(32).toString("base64"), { mode: 0o600 });
}

const environment = (name: string) => ({ PATH: process.env.PATH, CLASSMIND_CONFIG: inTree(`${name}.json`) });

function start(program: string, config: string): { readonly output: () => string } {
  const child = spawn(process.execPath, [inTree(`app/${program}`)], { env: environment(config), cwd: "/" });
  children.push(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  return { output: () => output };
}

function operator(...names: readonly string[]): Promise<{ readonly stdout: string; readonly stderr: string }> {
  return run(process.execPath, [inTree("app/operator.mjs"), ...names], { env: environment("reconciler"), cwd: "/" });
}

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "classmind-on-a-cluster-"));
  const account = { name: "reconciler", namespace: "classmind" };
  [database, api, port] = await Promise.all([
    platformDatabase(),
    startKubeApi(answeredJobs, { objects: buildKustomization("k8s/install"), account }),
    freePort(),
  ]);
  // The reconciler brings the schema up to date itself.
  await database.pool.query("drop schema public cascade");
  await database.pool.query("create schema public");
  kubeconfig = writeKubeconfig(api.url);
  if (RECIPE === undefined) throw new Error("there is no image control-plane");
  await writeOwnFiles(RECIPE, directory);
  await configure();
});
afterAll(async () => {
  const ended = children.map(
    (child) =>
      new Promise<void>((resolve) => {
        if (child.exitCode !== null) resolve();
        child.once("exit", () => resolve());
        child.kill("SIGTERM");
      }),
  );
  await Promise.all(ended);
  await api.close();
  kubeconfig.remove();
  await database.drop();
  await rm(directory, { recursive: true, force: true });
});

describe("the programs of the control plane's image", () => {
  let token: string;
  const call = async (method: string, target: string, body?: unknown): Promise<Record<string, unknown>> => {
    const response = await fetch(`http://127.0.0.1:${port}${target}`, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return (await response.json()) as Record<string, unknown>;
  };
  const patience = { timeout: 60_000, interval: 100 };

  it("two reconcilers start at once: one migrates, both become ready", async () => {
    const [first] = [start("reconciler.mjs", "reconciler"), start("reconciler.mjs", "reconciler")];
    await expect.poll(() => existsSync(inTree("ready")), patience).toBe(true);
    const { rows } = await database.pool.query("select name from migrations order by name");
    expect(rows.length).toBeGreaterThan(1);
    expect(first.output()).not.toMatch(/"level":(50|60)/);
  });

  it("the first operator's token is printed alone, is recorded, and the API knows it", async () => {
    const { stdout, stderr } = await operator("anna");
    expect(stdout).toMatch(/^[A-Za-z0-9_-]+\n$/);
    expect(stderr).toBe("");
    token = stdout.trim();
    start("main.mjs", "api");
    await expect
      .poll(() => fetch(`http://127.0.0.1:${port}/readyz`).then(({ status }) => status, String), patience)
      .toBe(200);
    expect(await call("GET", "/v1/platform")).toMatchObject({ operator: "anna", domain: "classmind.localhost" });
    const { rows } = await database.pool.query("select action from audit");
    expect(rows).toContainEqual({ action: "operator.local-token" });
  });

  it.each([[[]], [["Anna Schmidt"]], [["anna", "bert"]]])(
    "an operator named %j is refused with a remedy",
    async (names) => {
      await expect(operator(...names)).rejects.toMatchObject({
        code: 1,
        stderr: expect.stringContaining("operator.mjs anna"),
      });
    },
  );

  it("preflight says what is there, and with exit code 7 what is missing and what to do", async () => {
    const preflight = () =>
      run(process.execPath, [inTree("app/reconciler.mjs"), "preflight"], { env: environment("reconciler"), cwd: "/" });
    expect((await preflight()).stdout).toMatch(/^ok {3}storage-encryption +classmind-encrypted encrypts/m);
    const classes = api.store.list("StorageClass");
    for (const found of classes) api.store.erase(found);
    const missing = await preflight().catch((error: unknown) => error);
    expect(missing).toMatchObject({ code: 7, stdout: expect.stringContaining("FAIL storage-class") });
    expect(missing).toMatchObject({ stdout: expect.stringContaining("Next: make it, or name another one") });
    for (const found of classes) api.store.put(found, "test");
  });

  it("a school is made, suspended and purged with the rights of k8s/ alone", async () => {
    await call("POST", "/v1/tenants", {
      slug: "goethe",
      displayName: "Goethe-Gymnasium",
      terms: { kind: "contract", reference: "V-1" },
    });
    const phase = async (): Promise<unknown> => (await call("GET", "/v1/tenants/goethe")).phase;
    await expect.poll(phase, patience).toBe("Ready");
    expect(api.store.get("RoleBinding", "school-goethe", "classmind")).toBeDefined();
    await call("POST", "/v1/tenants/goethe/suspend", { reason: "test" });
    await expect.poll(phase, patience).toBe("Suspended");
    await call("POST", "/v1/tenants/goethe/delete", { confirm: "goethe", reason: "test" });
    await call("POST", "/v1/tenants/goethe/purge", { confirm: "goethe", reason: "test" });
    await expect.poll(() => api.store.get("Namespace", undefined, "school-goethe"), patience).toBeUndefined();
    expect([...(api.authorizer?.refused ?? [])].filter((request) => !request.startsWith("get nodes/proxy"))).toEqual(
      [],
    );
  });
});
