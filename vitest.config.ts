import { defineConfig } from "vitest/config";

const SUITES_ON_THE_CONTROL_PLANE = "test/integration/control-plane/**/*.test.ts";

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/unit/**/*.test.ts", "test/house*.test.ts", "test/conformance/**/*.test.ts", "test/sim/**/*.test.ts"],
          // Some start the generator or a store in a process of their own; a machine that is busy elsewhere must not fail them.
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts", "test/fields/**/*.test.ts"],
          exclude: [SUITES_ON_THE_CONTROL_PLANE],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "kube",
          include: [SUITES_ON_THE_CONTROL_PLANE],
          globalSetup: ["test/support/kube/global-setup.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        // The real binary as a child process, from outside.
        test: { name: "e2e", include: ["test/e2e/**/*.test.ts"], testTimeout: 60_000, fileParallelism: false },
      },
      {
        // Real Pods on a real node: root and Linux, see test/support/node. Not part of `npm test`.
        test: {
          name: "cluster",
          include: ["test/cluster/**/*.test.ts"],
          bail: 1,
          testTimeout: 240_000,
          hookTimeout: 1_200_000,
        },
      },
    ],
  },
});
