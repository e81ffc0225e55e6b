import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createInstance, DEFAULT_INSTANCE } from "../../../control-plane/host/instance.ts";
import { runProgram } from "../../../control-plane/images/command.ts";
import { pushImages } from "../../../control-plane/images/push.ts";
import { createCertificateAuthority, internalIssuer } from "../../../control-plane/issuer/internal.ts";

/** `classmind image push` into a real registry over TLS, wherever Debian's `skopeo` and `docker-registry` are installed. */
const onPath = (program: string): boolean =>
  (process.env.PATH ?? "").split(":").some((directory) => existsSync(path.join(directory, program)));
const missing = ["skopeo", "docker-registry", "mmdebstrap"].filter((program) => !onPath(program));

if (missing.length > 0) {
  it("images are pushed to a registry", (context) => context.skip(`not installed: ${missing.join(", ")}`));
} else {
  describe("images are pushed to a registry", () => {
    const NAME = "localhost";
    let directory: string;
    let port: number;
    let registry: ChildProcess;
    const file = (name: string): string => path.join(directory, name);

    beforeAll(async () => {
      directory = await mkdtemp(path.join(tmpdir(), "classmind-registry-"));
      port = await new Promise((resolve, reject) => {
        const server = createServer().listen(0, "127.0.0.1", () => {
          const address = server.address();
          server.close(() =>
            typeof address === "object" && address !== null ? resolve(address.port) : reject(address),
          );
        });
      });
      const authority = await createCertificateAuthority({ domain: "localhost", now: new Date() });
      const issuer = internalIssuer({ caCertificatePem: authority.certificatePem, caKeyPem: authority.keyPem });
      const pair = await issuer.issue({ hosts: [NAME], now: new Date() });
      await writeFile(file("authority.pem"), authority.certificatePem);
      await writeFile(file("tls.pem"), pair.certificatePem + pair.chainPem);
      await writeFile(file("tls.key"), pair.privateKeyPem, { mode: 0o600 });
      const settings = {
        version: 0.1,
        storage: { filesystem: { rootdirectory: file("data") } },
        http: { addr: `127.0.0.1:${port}`, tls: { certificate: file("tls.pem"), key: file("tls.key") } },
      };
      await writeFile(file("config.yml"), JSON.stringify(settings));
      registry = spawn("docker-registry", ["serve", file("config.yml")], { stdio: "ignore" });
      for (const end = Date.now() + 15_000; ; ) {
        const probe = ["--silent", "--cacert", file("authority.pem"), `https://${NAME}:${port}/v2/`];
        if (
          await runProgram("curl", probe).then(
            () => true,
            () => false,
          )
        )
          break;
        if (Date.now() > end) throw new Error("the registry does not start");
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }, 60_000);
    afterAll(async () => {
      registry.kill("SIGTERM");
      await rm(directory, { recursive: true, force: true });
    });

    it("over TLS that is checked, under their own tags", async () => {
      const at = `${NAME}:${port}/schools`;
      const push = (options: { readonly authorityFile?: string }) =>
        pushImages(createInstance(DEFAULT_INSTANCE), at, ["app"], options);
      await expect(push({})).rejects.toThrow(/certificate/);
      const [pushed] = await push({ authorityFile: file("authority.pem") });
      expect(pushed?.reference).toMatch(new RegExp(`^${at}/app:[0-9a-f]{16}$`));
      const tag = pushed?.reference.split(":").at(-1);
      const tags = await runProgram("curl", [
        ...["--silent", "--cacert", file("authority.pem")],
        `https://${NAME}:${port}/v2/schools/app/tags/list`,
      ]);
      expect(JSON.parse(tags)).toEqual({ name: "schools/app", tags: [tag] });
    });
  });
}
