import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "../../..");

/** A checkout as the Dockerfile makes it: sources without their types, the packages beside. */
export interface StrippedCheckout {
  readonly root: string;
  readonly remove: () => void;
}

export function strippedCheckout(): StrippedCheckout {
  const root = mkdtempSync(join(tmpdir(), "postrider-stripped-"));
  cpSync(join(ROOT, "package.json"), join(root, "package.json"));
  symlinkSync(join(ROOT, "node_modules"), join(root, "node_modules"));
  const script = join(ROOT, "scripts/strip-types.ts");
  execFileSync(process.execPath, ["--disable-warning=ExperimentalWarning", script, join(ROOT, "src"), join(root, "src")]);
  return { root, remove: () => rmSync(root, { recursive: true, force: true }) };
}
