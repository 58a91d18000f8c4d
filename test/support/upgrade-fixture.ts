import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync, chmodSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

const ARCHIVE_BYTES_MAX = 64 * 1024 * 1024;
const FIXTURE = join(import.meta.dirname, "../fixtures/v0.1.0");

/** The chart of 0.1.0, packaged as it was. */
export const CHART_0_1_0 = join(FIXTURE, "postrider-0.1.0.tgz");

/** What the chart and the store of the fixture were made from. */
const COMMIT_0_1_0 = "232a1221b510ed42374967ad470368d05616a976";

/** The sources of 0.1.0 that its image is built from, written into a new folder; undefined in a checkout without its history. */
export function sourcesOf010(folder: string): string | undefined {
  const root = join(import.meta.dirname, "../..");
  if (spawnSync("git", ["cat-file", "-e", `${COMMIT_0_1_0}^{commit}`], { cwd: root }).status !== 0) return undefined;
  mkdirSync(folder);
  const parts = ["Dockerfile", ".dockerignore", ".npmrc", "LICENSE", "package.json", "package-lock.json", "src"];
  const archive = execFileSync("git", ["archive", COMMIT_0_1_0, ...parts], { cwd: root, maxBuffer: ARCHIVE_BYTES_MAX });
  execFileSync("tar", ["--extract", "--directory", folder], { input: archive });
  return folder;
}

/** When the store of the fixture was closed, ms of the wall's clock. */
export const CLOSED_AT_MS = Date.parse("2026-11-29T06:25:38Z");

/** Manifests as they were written for 0.1.0, with old names. */
export function manifestsOf010(): string {
  return readFileSync(join(FIXTURE, "manifests.yaml"), "utf8");
}

/** What 0.1.0 generated for a subscription of the fixture. */
export function signingKeyOf010(subscription: string): string {
  const { value } = JSON.parse(readFileSync(join(FIXTURE, "keys", `shop.${subscription}-signing.json`), "utf8")) as { value: string };
  return value;
}

/** A copy of the store that 0.1.0 left: 5 delivered, 5 failed and 5 waiting deliveries in namespace shop, and three generated signing keys. */
export function storeOf010(): string {
  const directory = mkdtempSync(join(tmpdir(), "postrider-upgrade-"));
  const keys = join(directory, ".keys");
  mkdirSync(keys, { mode: 0o700 });
  cpSync(join(FIXTURE, "keys"), keys, { recursive: true });
  for (const name of readdirSync(keys)) chmodSync(join(keys, name), 0o600);
  writeFileSync(join(directory, "postrider.db"), gunzipSync(readFileSync(join(FIXTURE, "postrider.db.gz"))), { mode: 0o600 });
  return directory;
}
