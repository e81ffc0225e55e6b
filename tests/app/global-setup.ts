import type { TestProject } from "vitest/node";

/**
 * The school platform needs PostgreSQL 17 alone. Where `CLASSMIND_TEST_POSTGRES_HOST`, `…_PORT` and `…_PASSWORD` name one (as its
 * superuser `postgres`), nothing is prepared and no root is needed; else the host is prepared as for `real`.
 */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  if (process.env.CLASSMIND_TEST_POSTGRES_HOST !== undefined) {
    return undefined;
  }
  const { default: prepare } = await import("../real/global-setup.ts");
  return prepare(project);
}
