import { configFile, readReconcilerConfig } from "./config.ts";
import { ClassmindError, messageOf } from "./errors.ts";
import { createFirstOperator } from "./first-operator.ts";

/**
 * Makes an operator and prints a token for them, where the reconciler runs and nobody has a token yet:
 *   kubectl --namespace classmind exec deployment/reconciler -- node /app/operator.mjs NAME
 * The token is all that goes to standard output.
 */
const NAME = /^[a-z][a-z0-9.-]{0,39}$/;

async function main([name, ...others]: readonly string[]): Promise<void> {
  if (name === undefined || others.length > 0 || !NAME.test(name))
    throw new ClassmindError("Invalid", "This takes one operator's name: small letters, digits, dots and hyphens.", {
      field: "name",
      remedy: "Run: node /app/operator.mjs anna",
    });
  const { database } = readReconcilerConfig(configFile(process.env));
  process.stdout.write(`${await createFirstOperator(database, name, "made on the cluster")}\n`);
}

await main(process.argv.slice(2)).catch((error: unknown) => {
  const remedy = error instanceof ClassmindError && error.remedy !== undefined ? ` ${error.remedy}` : "";
  process.stderr.write(`${messageOf(error)}${remedy}\n`);
  process.exitCode = 1;
});
