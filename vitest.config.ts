import { defineConfig } from "vitest/config";

const SUITES_ON_THE_CONTROL_PLANE = "test/integration/control-plane/**/*.test.ts";

export default defineConfig({
  test: {
    projects: [
      {
        test: { name: "unit", include: ["test/unit/**/*.test.ts", "test/house*.test.ts", "test/conformance/**/*.test.ts"] },
      },
      {
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
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
    ],
  },
});
