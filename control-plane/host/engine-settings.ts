import { existsSync, statSync } from "node:fs";
import { isAbsolute } from "node:path";
import { ClassmindError } from "../errors.ts";
import { readEnvironment } from "../written/environment.ts";
import type { Settings } from "./settings-schema.ts";

/** A cluster has nothing of this machine's: what a school there is made from has to be said. */
const NEEDED = ["storageClass", "ingressClass", "gatewayPeers"] as const;

/** A kubeconfig lets its holder do what its account may: nobody else may read it. */
function kubeconfigProblem(file: string | undefined): readonly [message: string, remedy: string] | undefined {
  if (file === undefined) return ["names no kubeconfig", "Give the absolute path of one, root's, mode 0600."];
  if (!isAbsolute(file) || !existsSync(file) || !statSync(file).isFile())
    return [`${file} is not the absolute path of a file`, "Name one that is there."];
  if ((statSync(file).mode & 0o077) !== 0) return [`${file} can be read by others`, `Run: chmod 600 ${file}`];
  return undefined;
}

/**
 * The clusters beside this machine: each says how it is reached and what its schools are made from.
 * @param file the settings' own, for messages
 * @throws ClassmindError `Invalid` naming the field
 */
export function checkEngines(file: string, { engines = {} }: Pick<Settings, "engines">): void {
  for (const [name, site] of Object.entries(engines)) {
    const { engine, platform, repositoryEnvironmentFile } = site;
    const refuse = (field: string, message: string, remedy: string): never => {
      throw new ClassmindError("Invalid", `${file}: ${message}`, { field: `engines.${name}.${field}`, remedy });
    };
    if (name === "containers" || name === "simulated")
      refuse("", `the name ${name} is this machine's own engine's`, "Call the cluster something else, e.g. fsn1.");
    if (engine.kind !== "kubernetes") {
      refuse("engine.kind", "beside this machine there can be clusters alone", 'Give kind "kubernetes".');
      continue;
    }
    const problem = kubeconfigProblem(engine.kubeconfig);
    if (problem !== undefined) refuse("engine.kubeconfig", ...problem);
    if (repositoryEnvironmentFile !== undefined && existsSync(repositoryEnvironmentFile))
      readEnvironment(repositoryEnvironmentFile, `engines.${name}.repositoryEnvironmentFile`);
    for (const field of NEEDED)
      if (platform[field] === undefined)
        refuse(`platform.${field}`, `what ${name} has for ${field} is missing`, "See docs/move.md for an example.");
  }
}
