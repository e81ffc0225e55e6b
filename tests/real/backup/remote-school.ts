import { randomUUID } from "node:crypto";
import path from "node:path";
import { expect, inject } from "vitest";
import { schoolRepository } from "../../../control-plane/backup/repository.ts";
import type { Engine, Manifest } from "../../../control-plane/engine/engine.ts";
import { loadChart } from "../../../control-plane/render/render.ts";
import { tenantValues } from "../../fixtures/tenant-values.ts";
import { testInstance } from "../test-host.ts";

const chart = loadChart(path.join(import.meta.dirname, "../../../charts/tenant"));
export const base64 = (text: string) => Buffer.from(text).toString("base64");

/** A repository on another machine, as the platform's settings have it. Texts are in clear. */
export interface RemoteAddress {
  readonly repository: string;
  readonly host: { readonly name: string; readonly address: string; readonly port: number };
  readonly password: string;
  readonly environment?: string;
  readonly authority?: string;
  readonly key?: string;
  readonly knownHosts?: string;
}

/** A school that backs up to one: the chart's own objects and jobs, without its app, which no backup needs. */
export interface RemoteSchool {
  readonly uid: string;
  /** Where its own backups lie, for a restore into another school. */
  urlAt(remote: RemoteAddress): string;
  /** Brings the school to what this repository asks for. */
  apply(remote: RemoteAddress): Promise<void>;
  job(command: string, remote: RemoteAddress): Manifest;
  run(command: string, input: unknown, remote: RemoteAddress): Promise<RemoteResult>;
  /** The answer of a job that must succeed. */
  succeeded(command: string, input: unknown, remote: RemoteAddress): Promise<unknown>;
}

export interface RemoteResult {
  readonly exitCode: number;
  readonly output: unknown;
  /** All that was said, for when a test fails. */
  readonly words: string;
}

/** The volume that a restore fills. */
const FILLED = "data-2";

/** The input of a school's first backup. */
export const creation = () => ({ runId: randomUUID(), host: "gymnasium", allowInit: true });

export function remoteSchool(engine: Engine, namespace: string): RemoteSchool {
  const slug = namespace.replace("school-", "");
  const plain = tenantValues({ slug });
  const { uid } = plain;
  function values(remote: RemoteAddress) {
    if (plain.secrets === undefined) throw new Error("no secrets");
    const { host } = remote;
    return {
      ...plain,
      images: inject("images"),
      storage: { ...plain.storage, size: "256Mi", more: [FILLED] },
      secrets: {
        ...plain.secrets,
        volumeKey: base64("0123456789abcdef0123456789abcdef"),
        volumePassphrase: base64(Buffer.from("0123456789abcdef0123456789abcdef").toString("hex")),
        repositoryPassword: base64(remote.password),
        repositoryUrl: base64(schoolRepository(remote.repository, uid)),
        repositoryEnvironment: base64(remote.environment ?? ""),
        repositoryAuthority: base64(remote.authority ?? ""),
        repositoryKey: base64(remote.key ?? ""),
        repositoryKnownHosts: base64(remote.knownHosts ?? ""),
      },
      backup: { ...plain.backup, local: false, hosts: [{ name: host.name, address: host.address }] },
      network: {
        ...plain.network,
        gatewayPeers: [{ ipBlock: { cidr: testInstance().addressPool } }],
        repositoryPeers: [{ peers: [{ ipBlock: { cidr: `${host.address}/32` } }], port: host.port }],
      },
    };
  }
  const job = (command: string, remote: RemoteAddress): Manifest =>
    chart.renderJob(command === "restore" ? "restore" : "backup", values(remote), {
      name: `backup-${command}`,
      command,
      deadlineSeconds: 120,
      claim: FILLED,
    });
  async function run(command: string, input: unknown, remote: RemoteAddress): Promise<RemoteResult> {
    const { exitCode, output, logTail } = await engine.run(namespace, {
      manifest: job(command, remote),
      input,
      deadline: 120_000,
    });
    return { exitCode, output, words: [...logTail, JSON.stringify(output)].join("\n") };
  }
  return {
    uid,
    urlAt: (remote) => schoolRepository(remote.repository, uid),
    async apply(remote) {
      const manifests = chart
        .renderTenant(values(remote))
        .filter(({ kind, metadata }) => kind !== "Ingress" && !(kind === "Deployment" && metadata.name === "app"));
      await engine.apply(namespace, manifests);
      await engine.awaitReady(namespace, { kind: "StatefulSet", name: "db" }, 60_000);
    },
    job,
    run,
    async succeeded(command, input, remote) {
      const { exitCode, output, words } = await run(command, input, remote);
      expect(exitCode, words).toBe(0);
      return output;
    },
  };
}
