import { globSync, readFileSync } from "node:fs";
import { defineConfig } from "vitest/config";

/**
 * V8 ends the process now and then when thousands of threads, each with the type stripper's WebAssembly in it, come and go ("Check failed:
 * jit_page.has_value()", in the tier-up of the wrappers that WebAssembly calls JavaScript through). Stores are opened so often in no other place.
 */
const EXEC_ARGV = ["--wasm-wrapper-tiering-budget=2000000000"];

const ATTACKS = "test/e2e/fence*.test.ts";
/** What waits more than it works and measures no pace: two at a time. */
const WAITING = ["wall-clock", "hanging-disk", "pipeforce-results", "backup", "tls", "aioz-stream", "examples", "upgrade", "hooks"].map(
  (name) => `test/e2e/${name}.test.ts`,
);
const SUITES_ON_THE_CONTROL_PLANE = "test/integration/control-plane/**/*.test.ts";
/** Measure how soon something is seen: alone on the machine. */
const PACED = ["secret-access", "cluster-operator", "cluster-scale", "class-lease", "forged-tokens"];
/** Suites that start a control plane of their own cannot meet another's objects: two at a time. */
const WITH_THEIR_OWN = globSync(SUITES_ON_THE_CONTROL_PLANE, { cwd: import.meta.dirname }).filter(
  (path) =>
    !PACED.some((name) => path.endsWith(`/${name}.test.ts`)) &&
    readFileSync(new URL(path, import.meta.url), "utf8").includes("ControlPlane.start("),
);
const KUBE = { globalSetup: ["test/support/kube/global-setup.ts"], testTimeout: 60_000, hookTimeout: 60_000 };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          execArgv: EXEC_ARGV,
          include: ["test/unit/**/*.test.ts", "test/house*.test.ts", "test/conformance/**/*.test.ts", "test/sim/**/*.test.ts"],
          // Some start the generator or a store in a process of their own; a machine that is busy elsewhere must not fail them.
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "integration",
          execArgv: EXEC_ARGV,
          include: ["test/integration/**/*.test.ts", "test/fields/**/*.test.ts"],
          maxWorkers: 2,
          exclude: [SUITES_ON_THE_CONTROL_PLANE],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          ...KUBE,
          name: "kube",
          include: [SUITES_ON_THE_CONTROL_PLANE],
          exclude: WITH_THEIR_OWN,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: { ...KUBE, name: "kube-own", include: WITH_THEIR_OWN, maxWorkers: 2 },
      },
      {
        // One file at a time: the real binary as a child process, from outside; and what measures processor time.
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts", "test/pace/**/*.test.ts"],
          exclude: [ATTACKS, ...WAITING],
          testTimeout: 60_000,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      { test: { name: "e2e-waiting", include: WAITING, testTimeout: 60_000, maxWorkers: 2 } },
      {
        // The real binary under attack: minutes, so not part of `npm test`. .ci/run and `npm run test:full` have it.
        test: { name: "fence", include: [ATTACKS], testTimeout: 60_000, fileParallelism: false },
      },
      {
        // Every trouble beside a real Prometheus: minutes, so not part of `npm test`, which has a smaller table (test/e2e/trouble.test.ts).
        test: { name: "trouble", include: ["test/trouble/**/*.test.ts"], testTimeout: 60_000, fileParallelism: false },
      },
      {
        // Real Pods on a real node: root and Linux, see test/support/node. Not part of `npm test`.
        test: {
          name: "cluster",
          include: ["test/cluster/**/*.test.ts"],
          // One node at a time.
          fileParallelism: false,
          bail: 1,
          testTimeout: 240_000,
          hookTimeout: 1_200_000,
        },
      },
    ],
  },
});
