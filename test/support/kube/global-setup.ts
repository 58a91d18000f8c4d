import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { unavailable } from "./binaries.ts";
import { ControlPlane } from "./control-plane.ts";
import type { ControlPlaneAccess } from "./kubectl.ts";

/** The CRDs under test: installed once, before any test file runs. */
export const CRD_FOLDER = join(import.meta.dirname, "../../../crds");

declare module "vitest" {
  interface ProvidedContext {
    /** The shared control plane with the CRDs installed, or why there is none. */
    controlPlane: ControlPlaneAccess | { readonly unavailable: string };
  }
}

/**
 * One control plane for all test files of the `kube` project, started before them and stopped after them. Where it cannot be built
 * the tests are skipped, loudly; under CI=true that is a failure.
 */
export async function setup(project: TestProject): Promise<(() => Promise<void>) | void> {
  const why = unavailable(["etcd", "kube-apiserver", "kubectl"]);
  if (why !== undefined) {
    if (process.env["CI"] === "true") throw new Error(`no control plane to test on: ${why}`);
    process.stderr.write(`\n${"!".repeat(100)}\n!! SKIPPED: every test on the real Kubernetes API server. ${why}\n${"!".repeat(100)}\n\n`);
    project.provide("controlPlane", { unavailable: why });
    return;
  }
  const controlPlane = await ControlPlane.start({ controllerManager: true });
  try {
    await controlPlane.kubectlOutput(["create", "--filename", CRD_FOLDER]);
    await controlPlane.kubectlOutput(["wait", "--for=condition=Established", "--timeout=30s", "--filename", CRD_FOLDER]);
  } catch (error) {
    await controlPlane.stop();
    throw error;
  }
  process.stderr.write(`kubernetes: API server ready in ${controlPlane.startedInMs} ms at ${controlPlane.access.url}\n`);
  project.provide("controlPlane", controlPlane.access);
  return () => controlPlane.stop();
}
