import { describe, inject } from "vitest";
import { unavailable } from "./binaries.ts";
import type { BinaryName } from "./binaries.ts";
import { kubectl, kubectlOutput } from "./kubectl.ts";
import type { ControlPlaneAccess, KubectlOptions } from "./kubectl.ts";
import type { CommandResult } from "../node/command.ts";

/** The control plane that global-setup.ts started, as seen from one test file. */
export interface SharedControlPlane extends ControlPlaneAccess {
  kubectl(args: readonly string[], options?: KubectlOptions): Promise<CommandResult>;
  kubectlOutput(args: readonly string[], options?: KubectlOptions): Promise<string>;
}

/**
 * A suite on the shared control plane, with our CRDs installed; skipped as a whole where there is none. Other files run beside it:
 * use namespaces and cluster-scoped names of your own. `needs`: further programs, without which it is skipped too (under CI=true a failure).
 */
export function describeOnControlPlane(
  name: string,
  suite: (controlPlane: SharedControlPlane) => void,
  needs: readonly BinaryName[] = [],
): void {
  const access = inject("controlPlane");
  if ("unavailable" in access) {
    describe.skip(`${name} (skipped: ${access.unavailable})`, () => suite(undefined as never));
    return;
  }
  const lacking = unavailable(needs);
  if (lacking !== undefined) {
    if (process.env["CI"] === "true") throw new Error(`${name}: ${lacking}`);
    process.stderr.write(`!! SKIPPED: ${name}. ${lacking}\n`);
    describe.skip(`${name} (skipped: ${lacking})`, () => suite(undefined as never));
    return;
  }
  describe(name, () => {
    suite({
      ...access,
      kubectl: (args, options) => kubectl(access, args, options),
      kubectlOutput: (args, options) => kubectlOutput(access, args, options),
    });
  });
}
