import { defineConfig } from "vitest/config";

// As the platform's unit has it, and careful administrators: what is made for others must be theirs all the same. Every test
// process and every program that a test starts inherits it, whichever tests are run.
process.umask(0o077);

const CLUSTER = ["tests/real/engine/kubernetes*.test.ts", "tests/real/cluster/*.test.ts"];

/**
 * `unit` needs nothing but Node. `real` needs root on Linux: it prepares the host once (packages, images, a container
 * engine and PostgreSQL of a test instance of its own) and runs beside a live platform. `store` needs of that host its PostgreSQL
 * alone: the control plane on a database of each test's own and engines in memory, which mostly wait, several files at once. `app` is
 * the school platform, and needs PostgreSQL alone: one that the environment names, or that of the host that `real` prepares.
 * `cluster` needs nothing of this machine; what needs a cluster says so where none is given.
 *
 * Files of `unit`, `store` and `app` share the modules of the process that runs them, which takes a third off their time: what a test
 * needs anew it makes anew (a database, a school, a directory), and none replaces a module.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["tests/unit/**/*.test.ts", "tests/unit/**/*.test.tsx"],
          testTimeout: 20_000,
          isolate: false,
        },
      },
      {
        test: {
          name: "store",
          include: ["tests/store/**/*.test.ts"],
          globalSetup: ["tests/real/global-setup.ts"],
          testTimeout: 300_000,
          hookTimeout: 180_000,
          maxWorkers: 3,
          isolate: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: "app",
          include: ["tests/app/**/*.test.ts"],
          globalSetup: ["tests/app/global-setup.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          maxWorkers: 2,
          isolate: false,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: "real",
          include: ["tests/real/**/*.test.ts"],
          exclude: CLUSTER,
          globalSetup: ["tests/real/global-setup.ts"],
          testTimeout: 300_000,
          hookTimeout: 180_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: "cluster",
          include: CLUSTER,
          testTimeout: 300_000,
          hookTimeout: 180_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
