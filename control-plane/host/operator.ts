import { createFirstOperator } from "../first-operator.ts";
import type { Instance } from "./instance.ts";
import { databaseOf, layoutOf } from "./layout.ts";

/**
 * Makes the operator at the keyboard and a token for them: whoever is root here could do anything anyway.
 * @returns the token's text
 */
export function createLocalOperator(instance: Instance, name: string): Promise<string> {
  const database = databaseOf(layoutOf(instance), "controlplane", "controlplane_reconciler");
  return createFirstOperator(database, name, "root on this machine");
}
