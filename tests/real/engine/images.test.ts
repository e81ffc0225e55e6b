import { execFile } from "node:child_process";
import { createReadStream } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import Dockerode from "dockerode";
import pg from "pg";
import { beforeAll, describe, expect, inject, it } from "vitest";
import { buildImages } from "../../../control-plane/images/build.ts";
import { IMAGE_RECIPES } from "../../../control-plane/images/recipes.ts";
import { saveImages } from "../../../control-plane/images/save.ts";
import { testInstance } from "../test-host.ts";

const run = promisify(execFile);
const docker = new Dockerode({ socketPath: inject("engineSocket") });

describe("images", () => {
  // The first call in a process loads the bundler.
  beforeAll(() => buildImages(docker, testInstance()));

  it("nothing is made again when nothing changed", async () => {
    const said: string[] = [];
    const again = await buildImages(docker, testInstance(), { onProgress: (message) => said.push(message) });
    expect(again).toEqual(inject("images"));
    expect(said).toEqual([]);
  });

  it("tags are digests of content, never latest", () => {
    for (const reference of Object.values(inject("images")))
      expect(reference).toMatch(/^localhost\/classmind\/[a-z-]+:[0-9a-f]{16}$/);
  });

  it("app and control plane share all layers but the last", async () => {
    const layersOf = async (reference: string) => (await docker.getImage(reference).inspect()).RootFS.Layers ?? [];
    const app = await layersOf(inject("images").app);
    const controlPlane = await layersOf(inject("images").controlPlane);
    expect(app.slice(0, 2)).toEqual(controlPlane.slice(0, 2));
  });

  it("R40 programs in an image run as user 10001", async () => {
    for (const reference of Object.values(inject("images"))) {
      expect((await docker.getImage(reference).inspect()).Config.User).toBe("10001:10001");
    }
  });
});

describe("images for a cluster", () => {
  it("are written as archives that any engine loads, without one taking part", async () => {
    const directory = await mkdtemp(join(tmpdir(), "classmind-images-"));
    try {
      const [saved, ...others] = await saveImages(testInstance(), directory, ["control-plane"]);
      expect(others).toEqual([]);
      expect(saved?.reference).toBe(inject("images").controlPlane);
      const { stdout } = await run("tar", ["-xOf", saved?.file ?? "", "manifest.json"]);
      expect(JSON.parse(stdout)[0].RepoTags).toEqual([saved?.reference]);
      const answer = await docker.loadImage(createReadStream(saved?.file ?? ""), { quiet: true });
      let said = "";
      for await (const chunk of answer) said += String(chunk);
      expect(said).toContain(saved?.reference);
      expect(await readdir(directory)).toEqual(["control-plane.tar"]);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  it("the control plane's holds both processes, the gateway's controller, the first operator's program, the migrations and the chart", async () => {
    const recipe = IMAGE_RECIPES.find(({ name }) => name === "control-plane");
    const targets = [...(recipe?.bundles ?? []), ...(recipe?.directories ?? [])].map(({ target }) => target);
    expect(targets.sort()).toEqual([
      "/app/charts/tenant",
      "/app/gateway.mjs",
      "/app/main.mjs",
      "/app/migrations",
      "/app/operator.mjs",
      "/app/reconciler.mjs",
    ]);
  });
});

describe("PostgreSQL out of the image", () => {
  it("answers over its socket with the password of a file, in UTF-8 and with checksums", async () => {
    const client = new pg.Client({
      host: inject("postgresHost"),
      port: inject("postgresPort"),
      user: "postgres",
      password: await readFile(inject("postgresPasswordFile"), "utf8"),
      database: "controlplane",
    });
    await client.connect();
    const { rows } = await client.query(
      `SELECT current_setting('data_checksums') AS checksums, current_setting('server_encoding') AS encoding,
              current_setting('listen_addresses') AS listen, upper('straße ä') AS upper, 
              -- Other test files have databases of their own on this server.
              array(SELECT datname::text FROM pg_database WHERE datname !~ '^(school|controlplane|keyring)_' ORDER BY 1) AS databases`,
    );
    expect(rows[0]).toEqual({
      checksums: "on",
      encoding: "UTF8",
      listen: "",
      upper: "STRASSE Ä".replace("SS", "ß"),
      databases: ["controlplane", "keyring", "postgres", "template0", "template1"],
    });
    await client.end();
  });

  it("lets no role into a database of another", async () => {
    const { stdout } = await run("ls", [inject("postgresHost"), "-A"]);
    expect(stdout).toContain(".s.PGSQL.5432");
    const password = (await readFile(inject("postgresPasswordFile").replace(/postgres$/, "keyring"), "utf8")).trim();
    const client = new pg.Client({ host: inject("postgresHost"), user: "keyring", password, database: "controlplane" });
    await expect(client.connect()).rejects.toThrow(/permission denied/);
  });
});
