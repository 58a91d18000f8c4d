import { binaries, unavailable } from "../kube/binaries.ts";
import type { BinaryName } from "../kube/binaries.ts";

/**
 * The paths of programs that `what` is tested with, built on first use; undefined where they cannot be built, with a line that says so.
 * Under CI=true that is a failure. Call it at the top of a file: no test's time limit runs there.
 */
export async function programsFor<N extends BinaryName>(what: string, names: readonly N[]): Promise<Record<N, string> | undefined> {
  const why = unavailable(names);
  if (why === undefined) return binaries(names);
  if (process.env["CI"] === "true") throw new Error(`${what} cannot be tested: ${why}`);
  process.stderr.write(`!! SKIPPED: ${what}. ${why}\n`);
  return undefined;
}
