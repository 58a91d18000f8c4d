import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory } from "../kube/cache.ts";
import { output } from "./command.ts";

/**
 * The node's own programs. containerd, its shim, ctr and the pause program are built from go.mod beside this file and cached outside
 * the checkout by its content; runc, nft, conntrack, the CNI plugins and buildah are Debian's.
 */

const HERE = import.meta.dirname;
const BUILD_TIMEOUT_MS = 15 * 60_000;
const DEBIAN = { runc: "runc", nft: "nftables", conntrack: "conntrack", buildah: "buildah" } as const;
export const CNI_DIRECTORY = "/usr/lib/cni";
const CNI_PACKAGE = "containernetworking-plugins";

/** Builds containerd, containerd-shim-runc-v2, ctr and pause unless they are cached, and gives their directory. */
export async function containerdBinaries(log: (line: string) => void): Promise<string> {
  const sources = ["go.mod", "go.sum", "pause/main.go"].map((name) => readFileSync(join(HERE, name)));
  const key = createHash("sha256").update(Buffer.concat(sources)).digest("hex").slice(0, 16);
  const directory = join(cacheDirectory(), `containerd-${key}`);
  if (existsSync(directory)) return directory;
  const partial = `${directory}.partial-${process.pid}`;
  mkdirSync(partial, { recursive: true });
  log("containerd: building it with its shim and ctr (about 2 minutes on 2 cores, once)");
  const begun = Date.now();
  const commands = ["containerd", "containerd-shim-runc-v2", "ctr"].map((name) => `github.com/containerd/containerd/v2/cmd/${name}`);
  await output(
    ["go", "build", "-trimpath", "-tags=no_btrfs no_zfs no_devmapper", "-ldflags=-s -w", "-o", `${partial}/`, ...commands, "./pause"],
    { cwd: HERE, timeoutMs: BUILD_TIMEOUT_MS, env: { CGO_ENABLED: "0", GOFLAGS: "-mod=readonly -buildvcs=false", GOWORK: "off" } },
  );
  renameSync(partial, directory);
  log(`containerd: built in ${Math.round((Date.now() - begun) / 1_000)} s`);
  rmSync(partial, { recursive: true, force: true });
  return directory;
}

/** Debian packages still missing on this machine for the node and the image build. */
export function missingPackages(): string[] {
  const missing: string[] = Object.entries(DEBIAN)
    .filter(([program]) => !isOnPath(program))
    .map(([, name]) => name);
  if (!existsSync(join(CNI_DIRECTORY, "ptp"))) missing.push(CNI_PACKAGE);
  return missing;
}

/** Installs what is missing with apt-get; throws with the command to run by hand when that fails. */
export async function installPackages(packages: readonly string[], log: (line: string) => void): Promise<void> {
  if (packages.length === 0) return;
  log(`apt-get: installing ${packages.join(", ")} (needed for the real node only)`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  try {
    await output(["apt-get", "update", "-q"], { env, timeoutMs: BUILD_TIMEOUT_MS });
    await output(["apt-get", "install", "-q", "-y", "--no-install-recommends", ...packages], { env, timeoutMs: BUILD_TIMEOUT_MS });
  } catch (error) {
    throw new Error(`the real node needs Debian packages that could not be installed; run: apt-get install ${packages.join(" ")}`, {
      cause: error,
    });
  }
}

function isOnPath(program: string): boolean {
  try {
    execFileSync("sh", ["-c", `command -v ${program}`], {
      stdio: "ignore",
      env: { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` },
    });
    return true;
  } catch {
    return false;
  }
}
