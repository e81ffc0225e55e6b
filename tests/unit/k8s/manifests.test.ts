import { readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { readApiConfig, readReconcilerConfig } from "../../../control-plane/config.ts";
import { MANAGED_BY, MARK } from "../../../control-plane/engine/kubernetes/kinds.ts";
import type { LiveObject } from "../../../control-plane/engine/kubernetes/live.ts";
import { encryptionOf } from "../../../control-plane/engine/kubernetes/preflight.ts";
import { IMAGE_RECIPES } from "../../../control-plane/images/recipes.ts";
import { loadChart } from "../../../control-plane/render/render.ts";
import { schemaProblems } from "../../../control-plane/render/schema.ts";
import { at, containersOf, hasPods, listAt, podOf, textAt } from "../../fixtures/hardening/objects.ts";
import { kubectlKustomize, sortedKeys } from "../../fixtures/kubectl.ts";
import { buildKustomization, type KubeObject } from "../../fixtures/kustomize.ts";
import { tenantValues } from "../../fixtures/tenant-values.ts";
import { inDirectory } from "./in-directory.ts";

const FOLDERS = ["k8s/base", "k8s/components/database", "k8s/components/api-ingress", "k8s/install"];
const KINDS: Readonly<Record<string, string>> = {
  "v1/ConfigMap": "V1ConfigMap",
  "policy/v1/PodDisruptionBudget": "V1PodDisruptionBudget",
  "rbac.authorization.k8s.io/v1/ClusterRole": "V1ClusterRole",
  "rbac.authorization.k8s.io/v1/ClusterRoleBinding": "V1ClusterRoleBinding",
  "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy": "V1ValidatingAdmissionPolicy",
  "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicyBinding": "V1ValidatingAdmissionPolicyBinding",
};
const OUTSIDE = new Set([
  "Namespace",
  "ClusterRole",
  "ClusterRoleBinding",
  "ValidatingAdmissionPolicy",
  "ValidatingAdmissionPolicyBinding",
]);

const installed = buildKustomization("k8s/install");
const titleOf = (object: KubeObject): string => `${object.kind}/${object.metadata.name}`;
const find = (title: string): KubeObject => {
  const found = installed.find((object) => titleOf(object) === title);
  if (found === undefined) throw new Error(`no ${title}`);
  return found;
};
/** Content of a generated ConfigMap. */
const config = (name: string): string => {
  const found = installed.find((object) => object.kind === "ConfigMap" && object.metadata.name.startsWith(`${name}-`));
  return textAt(found, "data", `${name}.json`);
};

describe("k8s/", () => {
  it.each(FOLDERS)("%s: every object is of a published type, with no field that it has not", (folder) => {
    const objects = buildKustomization(folder);
    expect(objects.length).toBeGreaterThan(0);
    for (const object of objects) expect(schemaProblems(object, KINDS), titleOf(object)).toEqual([]);
  });

  it("makes each object once, all in its own namespace", () => {
    expect(new Set(installed.map(titleOf)).size).toBe(installed.length);
    const astray = installed.filter(
      (object) => object.metadata.namespace !== (OUTSIDE.has(object.kind) ? undefined : "classmind"),
    );
    expect(astray.map(titleOf)).toEqual([]);
  });

  it("holds no Secret, and names none that the script does not make", () => {
    expect(installed.filter((object) => object.kind === "Secret")).toEqual([]);
    const script = readFileSync("k8s/install/make-secrets", "utf8");
    const secrets = installed
      .filter(hasPods)
      .flatMap((object) => listAt(podOf(object), "volumes"))
      .flatMap((volume) =>
        at(volume, "secret") === undefined || at(volume, "secret", "optional") === true ? [] : [volume],
      );
    expect(secrets.length).toBe(4);
    for (const volume of secrets) {
      expect(script).toContain(`create secret generic ${textAt(volume, "secret", "secretName")}`);
      for (const item of listAt(volume, "secret", "items"))
        expect(script).toMatch(new RegExp(`\\b${textAt(item, "key")}\\b`));
    }
  });

  it("marks nothing as the engine's own, which it would change or remove", () => {
    const marked = installed.filter((object) => object.metadata.labels?.[MARK.managedBy] === MANAGED_BY);
    expect(marked.map(titleOf)).toEqual([]);
  });

  it("gives the API no right and no token", () => {
    const subjects = installed.flatMap((object) => listAt(object, "subjects"));
    expect(subjects.map((subject) => textAt(subject, "name"))).toEqual(["reconciler", "reconciler"]);
    expect(at(podOf(find("Deployment/api")), "automountServiceAccountToken")).toBe(false);
    expect(at(podOf(find("Deployment/api")), "serviceAccountName")).toBe("api");
  });

  it("gives each process its own passwords alone, and the key-encryption key to the reconciler alone", () => {
    const keys = (title: string): readonly string[] =>
      listAt(podOf(find(title)), "volumes")
        .flatMap((volume) => listAt(volume, "secret", "items"))
        .map((item) => textAt(item, "key"));
    expect(keys("Deployment/api")).toEqual(["controlplane_api"]);
    expect(keys("Deployment/reconciler")).toEqual(["controlplane_reconciler", "keyring", "kek"]);
  });

  it.each([
    ["api", readApiConfig],
    ["reconciler", readReconcilerConfig],
  ] as const)("the configuration of %s is read, and its files are where the pod has them", (name, read) => {
    const text = config(name);
    const mounted = listAt(containersOf(find(`Deployment/${name}`))[0], "volumeMounts").map((mount) =>
      textAt(mount, "mountPath"),
    );
    const files = [...text.matchAll(/"(\/[^"]+)"/g)].map(([, file = ""]) => file);
    expect(files.length).toBeGreaterThan(1);
    for (const file of files) expect(mounted, file).toContain(path.dirname(file));
    inDirectory((directory, write) => {
      const platform = write("platform.json", config("platform"));
      const parsed = read(write(`${name}.json`, text.replace(/"platform": "[^"]+"/, `"platform": "${platform}"`)));
      expect(parsed.platform.domain).toBe("schools.example");
      expect(directory).toContain(tmpdir());
    });
  });

  it("with backups elsewhere the reconciler's settings are the same, and name the login's files besides", () => {
    const read = (file: string): Record<string, unknown> => JSON.parse(readFileSync(file, "utf8"));
    const { repositoryEnvironmentFile, repositoryAuthorityFile, repositoryKeyFile, repositoryKnownHostsFile, ...rest } =
      read("k8s/components/remote-repository/reconciler.json");
    expect(rest).toEqual(read("k8s/base/config/reconciler.json"));
    const mounts = listAt(containersOf(find("Deployment/reconciler"))[0], "volumeMounts");
    const mount = mounts.find((candidate) => textAt(candidate, "name") === "backup-repository");
    const files = [repositoryEnvironmentFile, repositoryAuthorityFile, repositoryKeyFile, repositoryKnownHostsFile];
    expect(files.map((file) => path.dirname(String(file)))).toEqual(files.map(() => textAt(mount, "mountPath")));
    inDirectory((_, write) => {
      const text = readFileSync("k8s/components/remote-repository/reconciler.json", "utf8");
      const platform = write("platform.json", config("platform"));
      const file = write("reconciler.json", text.replace(/"platform": "[^"]+"/, `"platform": "${platform}"`));
      expect(readReconcilerConfig(file).repositoryAuthorityFile).toBe(repositoryAuthorityFile);
    });
  });

  it("two reconcilers with different settings never work side by side", () => {
    expect(at(find("Deployment/reconciler"), "spec", "strategy")).toEqual({ type: "Recreate" });
  });

  it("the engine takes the role that k8s/ has, for the account that k8s/ has", () => {
    const { engine } = JSON.parse(config("reconciler"));
    expect(engine.grant).toEqual({ role: "classmind-school", account: "reconciler", namespace: "classmind" });
    find(`ClusterRole/${engine.grant.role}`);
    find(`ServiceAccount/${engine.grant.account}`);
    const policy = JSON.stringify(find("ValidatingAdmissionPolicy/classmind-reconciler"));
    expect(policy).toContain("system:serviceaccount:classmind:reconciler");
    expect(policy).toContain(engine.grant.role);
  });

  it("starts programs that the images hold", () => {
    const holds = new Set(
      IMAGE_RECIPES.flatMap((recipe) => [
        ...recipe.bundles.map((bundle) => bundle.target),
        ...recipe.files.map((file) => file.target),
      ]),
    );
    const programs = installed
      .filter(hasPods)
      .flatMap(containersOf)
      .map((container) => listAt(container, "command").find((word) => String(word).startsWith("/")));
    expect(programs).toHaveLength(3);
    for (const program of programs) expect(holds).toContain(program);
  });

  // kubectl is not part of what the tests bring along; where it is, it has the last word.
  it("is what kubectl makes of it", (context) => {
    const theirs = kubectlKustomize("k8s/install");
    if (theirs === undefined) return context.skip("no kubectl on this machine");
    const withoutSuffix = (value: unknown): string =>
      JSON.stringify(sortedKeys(value)).replace(/"(platform|api|reconciler)-[a-z0-9]{10}"/g, '"$1-x"');
    expect(theirs.map(withoutSuffix).sort()).toEqual(installed.map(withoutSuffix).sort());
  });

  it("an example of a storage opens each school's volume with the Secret that the school has, and counts as encrypting", () => {
    const text = readFileSync("k8s/examples/storageclass-longhorn.yaml", "utf8");
    const [document] = parseAllDocuments(text);
    const storageClass = document?.toJS() as LiveObject & { readonly parameters: Readonly<Record<string, string>> };
    expect(encryptionOf(storageClass)).toBe("by its parameter encrypted");
    expect(storageClass).toMatchObject({ allowVolumeExpansion: true, reclaimPolicy: "Delete" });
    const secrets = Object.entries(storageClass.parameters).filter(([name]) => name.endsWith("-secret-name"));
    expect(secrets.map(([name]) => name.replace(/^csi\.storage\.k8s\.io\/|-secret-name$/g, "")).sort()).toEqual([
      "node-expand",
      "node-publish",
      "node-stage",
      "provisioner",
    ]);
    const made = loadChart("charts/tenant")
      .renderTenant(tenantValues())
      .find(({ kind, metadata }) => kind === "Secret" && metadata.name === "volume-key");
    for (const [name, secret] of secrets) {
      expect(secret).toBe(made?.metadata.name);
      expect(storageClass.parameters[`${name}space`]).toMatch(/^\$\{pvc\.namespace\}$/);
    }
    const data = made?.data as Record<string, string>;
    const clear = (name: string) => Buffer.from(data[name] ?? "", "base64").toString();
    expect(clear("CRYPTO_KEY_PROVIDER")).toBe("secret");
    // Read from a file by a program that stops at a line break.
    expect(clear("CRYPTO_KEY_VALUE")).toMatch(/^[0-9a-f]{64}$/);
  });

  it("has no file that nothing uses", () => {
    const used = readdirSync("k8s", { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith("kustomization.yaml"))
      .map((file) => readFileSync(path.join("k8s", file), "utf8"))
      .join();
    // Examples are for administrators to apply by hand.
    const files = readdirSync("k8s", { recursive: true, encoding: "utf8" }).filter(
      (file) => /\.(yaml|json)$/.test(file) && !file.startsWith("examples/"),
    );
    const unused = files.filter(
      (file) => path.basename(file) !== "kustomization.yaml" && !used.includes(path.basename(file)),
    );
    expect(unused).toEqual(["exceptions.yaml"]);
  });
});
