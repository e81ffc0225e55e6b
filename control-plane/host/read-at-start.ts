import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { canonicalJson } from "../canonical-json.ts";
import type { Instance } from "./instance.ts";
import { layoutOf } from "./layout.ts";
import type { Settings } from "./settings-schema.ts";

/** Files that the platform's processes read at their start, beside the settings. */
export function filesReadAtStart(instance: Instance, value: Settings): readonly string[] {
  const layout = layoutOf(instance);
  const { backupEnvironmentFile, backupAuthorityFile, backupKeyFile, backupKnownHostsFile } = value;
  const former = value.backupFormer;
  const named = [
    backupEnvironmentFile,
    backupAuthorityFile,
    backupKeyFile,
    backupKnownHostsFile,
    former?.environmentFile,
    former?.authorityFile,
    former?.keyFile,
    former?.knownHostsFile,
    value.mail?.passwordFile,
    value.mail?.authorityFile,
    value.apiListener?.certificateFile,
    value.apiListener?.keyFile,
  ];
  const clusters = Object.values(value.engines ?? {}).flatMap((site) => [
    site.engine.kind === "kubernetes" ? site.engine.kubeconfig : undefined,
    site.repositoryEnvironmentFile,
    site.repositoryAuthorityFile,
    site.repositoryKeyFile,
    site.repositoryKnownHostsFile,
    site.mailPasswordFile,
    site.mailAuthorityFile,
  ]);
  return [layout.apiConfigFile, layout.reconcilerConfigFile, ...named, ...clusters].filter(
    (file) => file !== undefined,
  );
}

/**
 * A digest of all that a platform reads when it starts: one that runs is outdated when it started with another. Over what is in
 * the files, not their age or how they are laid out: what says the same is the same.
 * @param program directory that its program lies in
 */
export function digestReadAtStart(instance: Instance, value: Settings, program: string): string {
  const hash = createHash("sha256").update(canonicalJson({ program, settings: value }));
  for (const file of filesReadAtStart(instance, value)) {
    const content = existsSync(file) ? createHash("sha256").update(readFileSync(file)).digest("hex") : "absent";
    hash.update(`\n${JSON.stringify(file)} ${content}`);
  }
  return hash.digest("hex");
}
