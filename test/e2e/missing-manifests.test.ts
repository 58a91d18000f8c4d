import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const ROOT = resolve(import.meta.dirname, "../..");
const PORTS = ["--ingest-listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];

// With `memory:` the folder was made for the generated keys, and events were answered 202, matched 0.
it.concurrent.each(["memory", "sqlite"])("refuses a folder of manifests that is not there, and makes none: store %s", async (kind) => {
  const home = mkdtempSync(join(tmpdir(), "postrider-misspelt-"));
  const manifests = join(home, "manifets");
  const store = kind === "memory" ? "memory:" : `sqlite:${join(home, "store")}`;
  const args = ["src/main.ts", "run", "--provider", "file", "--manifests", manifests, "--store", store, ...PORTS];
  await expect(promisify(execFile)(process.execPath, args, { cwd: ROOT, timeout: 20_000 })).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining(`--manifests ${manifests}: no such folder`) as string,
  });
  expect(existsSync(manifests)).toBe(false);
  rmSync(home, { recursive: true });
});
