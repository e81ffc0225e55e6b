import { join } from "node:path";
import { createFirstOperator } from "../first-operator.ts";
import type { Instance } from "./instance.ts";
import { layoutOf } from "./layout.ts";

/**
 * Makes the operator at the keyboard and a token for them: whoever is root here could do anything anyway.
 * @returns the token's text
 */
export function createLocalOperator(instance: Instance, name: string): Promise<string> {
  const layout = layoutOf(instance);
  const user = "controlplane_reconciler";
  const database = {
    host: layout.databaseSocketDir,
    port: 5432,
    name: "controlplane",
    user,
    passwordFile: join(layout.secretsDir, user),
  };
  return createFirstOperator(database, name, "root on this machine");
}
