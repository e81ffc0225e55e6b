import { defineConfig } from "vitest/config";

/**
 * `unit` needs nothing but Node. `real` needs root on Linux: it prepares the host once (packages, images, a container
 * engine and PostgreSQL of a test instance of its own) and runs beside a live platform.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["tests/unit/**/*.test.ts", "tests/unit/**/*.test.tsx"],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: "real",
          include: ["tests/real/**/*.test.ts"],
          globalSetup: ["tests/real/global-setup.ts"],
          testTimeout: 300_000,
          hookTimeout: 180_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
