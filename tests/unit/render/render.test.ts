import path from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hashManifest } from "../../../control-plane/render/hash.ts";
import { loadChart } from "../../../control-plane/render/render.ts";
import { schemaProblems } from "../../../control-plane/render/schema.ts";
import { compileTemplate } from "../../../control-plane/render/template.ts";
import { tenantValues } from "../../fixtures/tenant-values.ts";

const chart = loadChart(path.join(import.meta.dirname, "../../../charts/tenant"));

describe("the manifests of a school", () => {
  it("are those on record for a school that runs", async () => {
    const manifests = chart.renderTenant(tenantValues());
    await expect(`${JSON.stringify(manifests, null, 2)}\n`).toMatchFileSnapshot("../../golden/school-running.json");
  });

  it("are read once for the same values, and nobody can change them for others; of secrets nothing is kept", () => {
    const [first, second] = [chart.renderTenant(tenantValues()), chart.renderTenant(tenantValues())];
    expect(second).toEqual(first);
    for (const [index, manifest] of first.entries()) {
      expect(manifest === second[index], manifest.kind).toBe(manifest.kind !== "Secret");
      expect(Object.isFrozen(manifest.metadata), manifest.kind).toBe(true);
    }
  });

  it("are those on record for a suspended school: no secret, no certificate, no pod", async () => {
    const manifests = chart.renderTenant(tenantValues({ replicas: 0, secrets: undefined, certificate: undefined }));
    expect(manifests.filter((manifest) => manifest.kind === "Secret")).toEqual([]);
    await expect(`${JSON.stringify(manifests, null, 2)}\n`).toMatchFileSnapshot("../../golden/school-suspended.json");
  });

  it("are those on record where cert-manager makes the certificate: a Certificate in place of our Secret, and the way to its solver", async () => {
    const values = tenantValues({ clusterIssuer: "letsencrypt", certificate: undefined });
    const plain = new Set(chart.renderTenant(tenantValues({ certificate: undefined })).map(hashManifest));
    const others = chart.renderTenant(values).filter((manifest) => !plain.has(hashManifest(manifest)));
    expect(others.map(({ kind }) => kind)).toEqual(["NetworkPolicy", "Certificate", "Ingress"]);
    await expect(`${JSON.stringify(others, null, 2)}\n`).toMatchFileSnapshot("../../golden/cert-manager.json");
  });

  it("tell a gateway of our own, and nobody else, which certificate to serve and whether the school is closed", () => {
    const { network } = tenantValues();
    const annotations = (gateway: { certificateSerial: string | undefined } | undefined, replicas: 0 | 1 = 1) =>
      chart
        .renderTenant(tenantValues({ replicas, network: { ...network, gateway } }))
        .find(({ kind }) => kind === "Ingress")?.metadata.annotations;
    const told = (state: string, serial: string) => ({
      "classmind.de/state": state,
      "classmind.de/certificate-serial": serial,
    });
    expect(annotations(undefined)).toBeUndefined();
    expect(annotations({ certificateSerial: "0AF3" })).toEqual(told("open", "0AF3"));
    expect(annotations({ certificateSerial: undefined }, 0)).toEqual(told("closed", ""));
  });

  it("keep the Certificate while the school is suspended: it is not ordered again when it comes back", () => {
    const values = { clusterIssuer: "letsencrypt", certificate: undefined };
    const find = (overrides: object) =>
      chart.renderTenant(tenantValues({ ...values, ...overrides })).find(({ kind }) => kind === "Certificate");
    expect(find({ replicas: 0, secrets: undefined })).toEqual(find({}));
  });

  it("serve a pair of ours from its own Secret until cert-manager's can, and never write into that one", () => {
    const manifests = chart.renderTenant(tenantValues({ clusterIssuer: "letsencrypt" }));
    const find = (kind: string, name?: string) =>
      manifests.find(
        (manifest) => manifest.kind === kind && (name ?? manifest.metadata.name) === manifest.metadata.name,
      );
    expect(find("Secret", "tls")).toBeDefined();
    expect(find("Ingress")).toMatchObject({ spec: { tls: [{ secretName: "tls" }] } });
    expect(find("Certificate")).toMatchObject({ spec: { secretName: "tls-issued" } });
    expect(find("Secret", "tls-issued")).toBeUndefined();
  });

  it.each(["admin", "backup", "probe", "restore"] as const)("include the job %s as on record", async (template) => {
    const claim = template === "restore" ? { claim: "data-2" } : {};
    const job = { name: `${template}-1`, command: "create", deadlineSeconds: 60, ...claim };
    const manifest = chart.renderJob(template, tenantValues(), job);
    await expect(`${JSON.stringify(manifest, null, 2)}\n`).toMatchFileSnapshot(`../../golden/job-${template}.json`);
  });

  it("are those on record where backups go to another machine: its address for backup jobs alone, its key in the Secret alone", async () => {
    const key = Buffer.from("the private key").toString("base64");
    const plain = tenantValues();
    if (plain.secrets === undefined) throw new Error("no secrets");
    const values = tenantValues({
      secrets: {
        ...plain.secrets,
        repositoryUrl: Buffer.from(`sftp://me@box.example.org:23//srv/${plain.uid}`).toString("base64"),
        repositoryKey: key,
        repositoryKnownHosts: Buffer.from("[box.example.org]:23 ssh-ed25519 AAAA\n").toString("base64"),
      },
      backup: { ...plain.backup, local: false, hosts: [{ name: "box.example.org", address: "192.0.2.10" }] },
      network: { ...plain.network, repositoryPeers: [{ peers: [{ ipBlock: { cidr: "192.0.2.10/32" } }], port: 23 }] },
    });
    const ofBackups = chart.renderTenant(values).filter(({ metadata }) => metadata.name.includes("repository"));
    const job = { name: "backup-1", command: "create", deadlineSeconds: 60 };
    const manifests = [...ofBackups, chart.renderJob("backup", values, job)];
    const holders = manifests.filter((manifest) => JSON.stringify(manifest).includes(key));
    expect(holders.map(({ kind, metadata }) => `${kind}/${metadata.name}`)).toEqual(["Secret/backup-repository"]);
    const text = `${JSON.stringify(manifests, null, 2)}\n`;
    await expect(text).toMatchFileSnapshot("../../golden/repository-sftp.json");
  });

  it("are those on record where schools may send mail: the app alone reaches the relay, and has its password", async () => {
    const password = Buffer.from("of the relay").toString("base64");
    const plain = tenantValues();
    if (plain.secrets === undefined) throw new Error("no secrets");
    const mail = {
      relay: "smtps://schools@mail.example.org",
      from: "schule@example.org",
      peers: [{ peers: [{ ipBlock: { cidr: "192.0.2.25/32" } }], port: 465 }],
      hosts: [{ name: "mail.example.org", address: "192.0.2.25" }],
    };
    const without = chart.renderTenant(plain).map((manifest) => JSON.stringify(manifest));
    const values = tenantValues({ mail, secrets: { ...plain.secrets, mailPassword: password } });
    const added = chart.renderTenant(values).filter((manifest) => !without.includes(JSON.stringify(manifest)));
    expect(added.map(({ kind, metadata }) => `${kind}/${metadata.name}`)).toEqual([
      "NetworkPolicy/mail",
      "Secret/mail-relay",
      "Deployment/app",
    ]);
    const holders = added.filter((manifest) => JSON.stringify(manifest).includes(password));
    expect(holders.map(({ kind }) => kind)).toEqual(["Secret"]);
    await expect(`${JSON.stringify(added, null, 2)}\n`).toMatchFileSnapshot("../../golden/mail.json");
  });

  it("R62 run on nodes of the school's country alone where a label tells, each of their pods", () => {
    const values = tenantValues({ country: "AT", nodeCountryLabel: "topology.example.org/country" });
    const jobs = (["admin", "backup", "probe", "retention"] as const).map((template) =>
      chart.renderJob(template, values, { name: "j", command: "c", deadlineSeconds: 60 }),
    );
    const pods = [...chart.renderTenant(values), ...jobs].filter(({ kind }) =>
      ["Deployment", "StatefulSet", "Job"].includes(kind),
    );
    expect(pods).toHaveLength(6);
    for (const pod of pods)
      expect(pod, `${pod.kind}/${pod.metadata.name}`).toMatchObject({
        spec: {
          template: {
            spec: {
              affinity: {
                nodeAffinity: {
                  requiredDuringSchedulingIgnoredDuringExecution: {
                    nodeSelectorTerms: [
                      { matchExpressions: [{ key: "topology.example.org/country", operator: "In", values: ["AT"] }] },
                    ],
                  },
                },
              },
            },
          },
        },
      });
  });

  it("have no repository volume when backups go elsewhere", () => {
    const manifests = chart.renderTenant(
      tenantValues({ backup: { local: false, className: "x", size: "1Gi", hosts: [] } }),
    );
    expect(manifests.map((manifest) => `${manifest.kind}/${manifest.metadata.name}`)).not.toContain(
      "PersistentVolumeClaim/repository",
    );
  });

  it("ask a database such that untrue words about it last ten seconds at most, and one that recovers is never ended for it", () => {
    const database = chart.renderTenant(tenantValues()).find(({ kind }) => kind === "StatefulSet");
    const [container] = JSON.parse(JSON.stringify(database)).spec.template.spec.containers;
    const { startupProbe, livenessProbe, readinessProbe } = container;
    expect([startupProbe, livenessProbe, readinessProbe].map(({ exec }) => exec.command.at(-1))).toEqual([
      "alive",
      "alive",
      "ready",
    ]);
    const { periodSeconds, timeoutSeconds, failureThreshold } = readinessProbe;
    expect((periodSeconds + timeoutSeconds) * failureThreshold).toBeLessThan(10);
    // Found dead within a minute or so, and not for one slow answer.
    const dead = (livenessProbe.periodSeconds + livenessProbe.timeoutSeconds) * livenessProbe.failureThreshold;
    expect(dead).toBeGreaterThan(30);
    expect(dead).toBeLessThan(90);
  });

  it("keep any display name a plain value: nothing injected, nothing lost", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "binary" }), (name, other) => {
        const displayName = `${name}\n---\n"}${other}`;
        const manifests = chart.renderTenant(tenantValues({ displayName }));
        expect(manifests).toHaveLength(25);
        expect(manifests[0]?.metadata.annotations?.["classmind.de/display-name"]).toBe(displayName.toWellFormed());
      }),
      { numRuns: 50 },
    );
  });

  it("stay in their namespace: an object of another one is refused", () => {
    expect(() => chart.renderTenant(tenantValues({ namespace: "" }))).toThrow();
  });
});

describe("the type of a Certificate", () => {
  const certificate = chart
    .renderTenant(tenantValues({ clusterIssuer: "letsencrypt" }))
    .find(({ kind }) => kind === "Certificate");
  const problems = (change: object): readonly string[] =>
    schemaProblems({ ...certificate, spec: { ...Object(certificate?.spec), ...change } });

  it("is what the chart renders", () => {
    expect(schemaProblems(certificate)).toEqual([]);
  });

  it.each([
    ["a field that it has not", { secretname: "x" }, "Certificate.spec.secretname: no such field"],
    [
      "one inside",
      { issuerRef: { group: "cert-manager.io", kind: "ClusterIssuer", name: "x", nam: 1 } },
      "issuerRef.nam",
    ],
    [
      "another kind of issuer",
      { issuerRef: { group: "cert-manager.io", kind: "Issuer", name: "x" } },
      "issuerRef.kind",
    ],
    [
      "a weak key",
      { privateKey: { algorithm: "RSA", encoding: "PKCS8", size: 1024, rotationPolicy: "Always" } },
      "size",
    ],
    [
      "a key for ever",
      { privateKey: { algorithm: "RSA", encoding: "PKCS8", size: 2048, rotationPolicy: "Never" } },
      "rotation",
    ],
    ["no name", { dnsNames: [] }, "dnsNames"],
    ["a certificate that signs others", { usages: ["cert sign"] }, "usages.0"],
  ])("refuses %s by its path", (_title, change, path) => {
    expect(problems(change)).toEqual([expect.stringContaining(path)]);
  });

  it("refuses what is beside spec, and metadata that Kubernetes has not", () => {
    expect(schemaProblems({ ...certificate, status: {} })).toEqual(["Certificate.status: no such field"]);
    expect(schemaProblems({ ...certificate, metadata: { name: "tls", lables: {} } })).toEqual([
      "Certificate.metadata.lables: no such field",
    ]);
  });
});

describe("a template", () => {
  it("is refused when it prints raw, includes a partial or calls an unknown helper", () => {
    expect(() => compileTemplate("t", "a: {{{x}}}")).toThrow("t: line 1: raw output");
    expect(() => compileTemplate("t", "a: {{&x}}")).toThrow("raw output");
    expect(() => compileTemplate("t", "{{> x}}")).toThrow("partials");
    expect(() => compileTemplate("t", "a: {{upper x}}")).toThrow("unknown helper");
    expect(() => compileTemplate("t", "{{#with x}}a{{/with}}")).toThrow("only {{#if}} and {{#each}}");
  });

  it("is refused when a variable is unknown, also inside a condition", () => {
    expect(() => compileTemplate("t", "a: {{nope}}")({ x: 1 })).toThrow("nope");
    expect(() => compileTemplate("t", "a: {{x.nope}}")({ x: { y: 1 } })).toThrow("nope");
    expect(() => compileTemplate("t", "{{#if nope}}a{{/if}}")({ x: 1 })).toThrow("unknown");
    expect(() => compileTemplate("t", "a: {{json nope}}")({ x: 1 })).toThrow("undefined");
    expect(() => compileTemplate("t", "a: {{constructor}}")({ x: 1 })).toThrow();
    expect(() => compileTemplate("t", "a: {{x.__proto__}}")({ x: { y: 1 } })).toThrow();
  });

  it("prints a false value as JSON and takes it for false in a condition", () => {
    const template = compileTemplate("t", "a: {{x}}{{#if x}} yes{{else}} no{{/if}}");
    expect(template({ x: false })).toBe("a: false no");
    expect(template({ x: "" })).toBe('a: "" no');
    expect(template({ x: 0 })).toBe("a: 0 no");
  });
});

describe("the check against the published types", () => {
  it("names an unknown field, a wrong type and an unknown kind by path", () => {
    const deployment = { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "x" } };
    expect(schemaProblems({ ...deployment, spec: { replica: 1 } })).toEqual(["Deployment.spec.replica: no such field"]);
    expect(schemaProblems({ ...deployment, spec: { replicas: "1" } })).toEqual([
      "Deployment.spec.replicas: expected number",
    ]);
    expect(schemaProblems({ apiVersion: "v1", kind: "Pod" })).toEqual(["v1/Pod: a school has no such object"]);
  });
});

describe("the hash of a manifest", () => {
  it("does not depend on the order of keys and changes with any value", () => {
    expect(hashManifest({ a: 1, b: { c: 2, d: 3 } })).toBe(hashManifest({ b: { d: 3, c: 2 }, a: 1 }));
    expect(hashManifest({ a: 1 })).not.toBe(hashManifest({ a: 2 }));
  });
});
