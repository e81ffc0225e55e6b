import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, loadavg, tmpdir } from "node:os";
import path from "node:path";
import type { Manifest } from "../../control-plane/engine/engine.ts";
import { createCertificateAuthority, internalIssuer } from "../../control-plane/issuer/internal.ts";
import { loadChart } from "../../control-plane/render/render.ts";
import { type ClusterPlatform, clusterUnderTest, DOMAIN, installOnCluster } from "../fixtures/cluster-platform.ts";
import { tenantValues } from "../fixtures/tenant-values.ts";
import { median } from "./figures.ts";

/**
 * Time to school on a real cluster: `classmind tenant create` against `kubectl apply -f` of the same rendered manifests and
 * `kubectl wait`, interleaved. By hand there is no certificate to issue, no first administrator and no record; to find its database
 * by name, the school by hand is let out to cluster DNS.
 *
 *   the environment of tests/real/cluster/life-of-a-school.test.ts, then: npm run bench:cluster-school -- ROUNDS
 */
const rounds = Number(process.argv[2] ?? 5);
const found = clusterUnderTest();
if (typeof found === "string") throw new Error(found);
const cluster = found;
const print = (text: string): void => void process.stdout.write(`${text}\n`);

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

/** The way to cluster DNS, which schools of the control plane do not need. */
function wayToNames(namespace: string): Manifest {
  const ports = ["UDP", "TCP"].map((protocol) => ({ protocol, port: 53 }));
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name: "names", namespace },
    spec: { podSelector: {}, policyTypes: ["Egress"], egress: [{ to: [{ namespaceSelector: {} }], ports }] },
  };
}

async function manifestsOf(slug: string): Promise<readonly Manifest[]> {
  const authority = await createCertificateAuthority({ domain: DOMAIN, now: new Date() });
  const issuer = internalIssuer({ caCertificatePem: authority.certificatePem, caKeyPem: authority.keyPem });
  const pair = await issuer.issue({ hosts: [`${slug}.${DOMAIN}`], now: new Date() });
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const values = tenantValues({
    slug,
    url: `https://${slug}.${DOMAIN}`,
    hosts: [`${slug}.${DOMAIN}`],
    images: { app: cluster.images.app, postgres: cluster.images.postgres },
    certificate: { chain: base64(pair.certificatePem + pair.chainPem), key: base64(pair.privateKeyPem) },
    storage: { className: cluster.storageClass, size: "1Gi", claim: "data", more: [], others: 0 },
    backup: { local: false, className: cluster.storageClass, size: "1Gi", hosts: [] },
    network: {
      ingressClass: cluster.ingressClass,
      lingerMilliseconds: 1_500,
      gatewayPeers: JSON.parse(JSON.stringify(cluster.gatewayPeers)),
      repositoryPeers: [],
    },
  });
  const rendered = loadChart("charts/tenant").renderTenant(values);
  return [...rendered, wayToNames(`school-${slug}`)];
}

async function byHand(platform: ClusterPlatform, directory: string, slug: string): Promise<number> {
  const file = path.join(directory, `${slug}.json`);
  const items = await manifestsOf(slug);
  await writeFile(file, JSON.stringify({ apiVersion: "v1", kind: "List", items }), { mode: 0o600 });
  const namespace = `school-${slug}`;
  const wait = ["wait", "--for=condition=Available", "deployment/app", "--timeout=180s"];
  const took = await seconds(async () => {
    await platform.kubectl("apply", "--server-side", "-f", file);
    await platform.kubectl("-n", namespace, ...wait);
  });
  await platform.kubectl("delete", "namespace", namespace, "--wait=true");
  return took;
}

interface Made {
  readonly took: number;
  readonly steps: ReadonlyArray<{ readonly name: string; readonly milliseconds: number }>;
}

async function byClassmind(platform: ClusterPlatform, slug: string): Promise<Made> {
  let steps: Made["steps"] = [];
  const words = ["tenant", "create", slug, "--name", slug, "--contract", "V-1", "--storage", "1Gi"];
  const took = await seconds(async () => {
    ({ steps } = await platform.json<Pick<Made, "steps">>(...words));
  });
  await platform.json("tenant", "delete", slug, "--yes", "--reason", "bench");
  await platform.purge(slug);
  return { took, steps };
}

const directory = await mkdtemp(path.join(tmpdir(), "classmind-bench-"));
const before = loadavg()[0] ?? 0;
const backup = { repository: "local", storageClass: cluster.storageClass, repositorySize: "1Gi", peers: [], hosts: [] };
const window = { windowStartHour: 0, windowHours: 5, concurrency: 1 };
const credentials = ["environment", "authority", "ssh-key", "known-hosts"].map((name) => `--from-literal=${name}=`);
const platform = await installOnCluster(
  cluster,
  { backup: { ...backup, ...window } },
  async (kubectl) => {
    await kubectl("-n", "classmind", "create", "secret", "generic", "backup-repository", ...credentials);
    await kubectl("annotate", "storageclass", cluster.storageClass, "classmind.de/encrypts=true", "--overwrite");
  },
  print,
);
try {
  // Before the first school a cluster is tried out with pods, once.
  print(
    `the cluster is fit: tried out in ${(await seconds(() => platform.json("doctor", "--engine", "kubernetes"))).toFixed(1)} s`,
  );
  const made: Made[] = [];
  const hand: number[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    made.push(await byClassmind(platform, `round-${round}`));
    hand.push(await byHand(platform, directory, `hand-${round}`));
    print(`round ${round}: classmind ${made.at(-1)?.took.toFixed(1)} s, by hand ${hand.at(-1)?.toFixed(1)} s`);
  }
  const [ours, theirs] = [median(made.map(({ took }) => took)), median(hand)];
  print(`${cpus().length} × ${cpus()[0]?.model}; load ${before.toFixed(1)} → ${(loadavg()[0] ?? 0).toFixed(1)}`);
  print(`median of ${rounds}: classmind tenant create ${ours.toFixed(2)} s`);
  for (const { name } of made[0]?.steps ?? []) {
    const times = made.flatMap(({ steps }) =>
      steps.filter((step) => step.name === name).map((step) => step.milliseconds),
    );
    print(`    ${name} after ${(median(times) / 1000).toFixed(2)} s`);
  }
  print(`median of ${rounds}: kubectl apply and wait ${theirs.toFixed(2)} s; ratio ${(ours / theirs).toFixed(2)}`);
} finally {
  await platform.remove();
  await rm(directory, { recursive: true, force: true });
}
