import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { binaries, unavailable } from "./binaries.ts";
import type { BinaryName } from "./binaries.ts";
import { ControlPlane } from "./control-plane.ts";
import type { ControlPlaneAccess } from "./kubectl.ts";
import { until } from "../until.ts";

/** The CRDs under test: installed once, before any test file runs. */
export const CRD_FOLDER = join(import.meta.dirname, "../../../crds");

const SERVED_TIMEOUT_MS = 30_000;
const SERVED_POLL_MS = 100;

declare module "vitest" {
  interface ProvidedContext {
    /** The shared control plane with the CRDs installed, or why there is none. */
    controlPlane: ControlPlaneAccess | { readonly unavailable: string };
  }
}

/** What every test of the project needs. */
const NEEDED: readonly BinaryName[] = ["etcd", "kube-apiserver", "kubectl"];
/** What some need as well. Built here too, where no test's time limit runs: the first build takes minutes. */
const WANTED: readonly BinaryName[] = ["kube-controller-manager"];

/**
 * One control plane (without the controller manager, which most tests can do without) for all test files of the `kube` project. Where it cannot be built
 * the tests are skipped, loudly; under CI=true that is a failure.
 */
export async function setup(project: TestProject): Promise<(() => Promise<void>) | void> {
  const why = unavailable(NEEDED);
  if (why !== undefined) {
    if (process.env["CI"] === "true") throw new Error(`no control plane to test on: ${why}`);
    process.stderr.write(`\n${"!".repeat(100)}\n!! SKIPPED: every test on the real Kubernetes API server. ${why}\n${"!".repeat(100)}\n\n`);
    project.provide("controlPlane", { unavailable: why });
    return;
  }
  await binaries(unavailable(WANTED) === undefined ? [...NEEDED, ...WANTED] : NEEDED);
  const controlPlane = await ControlPlane.start();
  try {
    await controlPlane.kubectlOutput(["create", "--filename", CRD_FOLDER]);
    await controlPlane.kubectlOutput(["wait", "--for=condition=Established", "--timeout=30s", "--filename", CRD_FOLDER]);
    await served(controlPlane);
  } catch (error) {
    await controlPlane.stop();
    throw error;
  }
  process.stderr.write(`kubernetes: API server ready in ${controlPlane.startedInMs} ms at ${controlPlane.access.url}\n`);
  project.provide("controlPlane", controlPlane.access);
  return () => controlPlane.stop();
}

/** Established is not yet served: the paths of a new group appear a moment later, and until then answer 404. */
async function served(controlPlane: ControlPlane): Promise<void> {
  let complaint = "";
  const isServed = async (): Promise<boolean> => {
    const { code, stderr } = await controlPlane.kubectl(["get", "whsub,dpol,cdpol,dreplay"]);
    complaint = stderr;
    return code === 0;
  };
  await until(isServed, {
    withinMs: SERVED_TIMEOUT_MS,
    everyMs: SERVED_POLL_MS,
    seen: () => `the CRDs are not served: ${complaint}`,
  });
}
