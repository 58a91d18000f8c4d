import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { output } from "./command.ts";

/**
 * Builds an image from the project's own Dockerfile with buildah. No registry is reachable in a test, so both base images are made
 * here, in the shape of the Dockerfile's defaults: a shell with Node and npm to build in, and Node with its shared libraries, users
 * and certificates (as the distroless images have them) to run on.
 */

const ROOT = join(import.meta.dirname, "../../..");
const BUILD_BASE = "localhost/postrider-test-build:24";
const RUN_BASE = "localhost/postrider-test-run:24";
const CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt";
const NONROOT = 65_532;
const BUILD_TIMEOUT_MS = 300_000;

export interface ImageBuild {
  /** A directory of ours: buildah's storage, root file systems, archives. */
  readonly directory: string;
  /** Full name and tag, with the registry. */
  readonly reference: string;
  /** What is built; this checkout unless it is another version's. */
  readonly source?: string;
  readonly log: (line: string) => void;
}

/** Builds the Dockerfile and gives the path of a docker archive that holds the image. The base images of one directory are made once. */
export async function buildImage({ directory, reference, source = ROOT, log }: ImageBuild): Promise<string> {
  const buildah = buildahIn(directory);
  if (!existsSync(directory)) {
    mkdirSync(directory, { recursive: true });
    log("image: making the two base images");
    await commitBase(buildah, runRootfs(join(directory, "run-rootfs")), RUN_BASE);
    await commitBase(buildah, buildRootfs(join(directory, "build-rootfs")), BUILD_BASE);
  }
  log(`image: building the Dockerfile for ${reference} (npm ci inside)`);
  await buildah([
    "build",
    "--isolation=chroot",
    "--layers=false",
    "--pull-never",
    `--build-arg=BUILD_IMAGE=${BUILD_BASE}`,
    `--build-arg=BASE_IMAGE=${RUN_BASE}`,
    `--tag=${reference}`,
    source,
  ]);
  const archive = join(directory, "postrider.tar");
  rmSync(archive, { force: true });
  await buildah(["push", "--quiet", reference, `docker-archive:${archive}:${reference}`]);
  log(`image: ${reference} is in ${archive} (${Math.round(statSync(archive).size / 1_048_576)} MiB)`);
  return archive;
}

type Buildah = (args: readonly string[]) => Promise<string>;

function buildahIn(directory: string): Buildah {
  const storage = ["--root", join(directory, "storage"), "--runroot", join(directory, "storage-run"), "--storage-driver", "vfs"];
  return (args) => output(["buildah", ...storage, ...args], { timeoutMs: BUILD_TIMEOUT_MS, env: { BUILDAH_FORMAT: "docker" } });
}

async function commitBase(buildah: Buildah, rootfs: string, tag: string): Promise<void> {
  const container = (await buildah(["from", "scratch"])).trim();
  await buildah(["add", "--quiet", container, rootfs, "/"]);
  await buildah(["config", `--env=NODE_EXTRA_CA_CERTS=${CERTIFICATES}`, "--env=PATH=/nodejs/bin:/usr/bin:/bin", container]);
  await buildah(["commit", "--quiet", "--rm", container, tag]);
}

/** What gcr.io/distroless/nodejs24 holds: Node under /nodejs, glibc and friends, two users, certificates; no shell. */
function runRootfs(rootfs: string): string {
  rmSync(rootfs, { recursive: true, force: true });
  for (const folder of ["nodejs/bin", "etc/ssl/certs", "home/nonroot", "tmp", "root"]) mkdirSync(join(rootfs, folder), { recursive: true });
  copyProgram(rootfs, realpathSync(process.execPath), "/nodejs/bin/node");
  cpSync(CERTIFICATES, join(rootfs, CERTIFICATES), { dereference: true });
  writeFileSync(
    join(rootfs, "etc/passwd"),
    "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
  );
  writeFileSync(join(rootfs, "etc/group"), "root:x:0:\nnonroot:x:65532:\n");
  writeFileSync(join(rootfs, "etc/nsswitch.conf"), "hosts: files dns\n");
  chmodSync(join(rootfs, "tmp"), 0o1777);
  chownSync(join(rootfs, "home/nonroot"), NONROOT, NONROOT);
  return rootfs;
}

/** The same with a shell and npm: npm's own files are those of this machine. */
function buildRootfs(rootfs: string): string {
  runRootfs(rootfs);
  copyProgram(rootfs, realpathSync("/bin/sh"), "/bin/sh");
  const npmCli = process.env["npm_execpath"] ?? "/usr/lib/node_modules/npm/bin/npm-cli.js";
  cpSync(join(dirname(realpathSync(npmCli)), ".."), join(rootfs, "usr/lib/npm"), { recursive: true });
  mkdirSync(join(rootfs, "usr/bin"), { recursive: true });
  writeFileSync(join(rootfs, "usr/bin/npm"), '#!/bin/sh\nexec node /usr/lib/npm/bin/npm-cli.js "$@"\n', { mode: 0o755 });
  return rootfs;
}

/** Copies a program to `target` inside the root file system, and the shared libraries it names to where it looks for them. */
function copyProgram(rootfs: string, program: string, target: string): void {
  mkdirSync(dirname(join(rootfs, target)), { recursive: true });
  cpSync(program, join(rootfs, target));
  for (const [library] of execFileSync("ldd", [program], { encoding: "utf8" }).matchAll(/\/\S+(?= \(0x)/g)) {
    mkdirSync(dirname(join(rootfs, library)), { recursive: true });
    cpSync(realpathSync(library), join(rootfs, library));
  }
}

interface ScratchImage {
  readonly rootfs: string;
  readonly archive: string;
  readonly reference: string;
  readonly entrypoint: readonly string[];
}

/** One layer, no base: what `FROM scratch` would make. */
export async function writeScratchImage({ rootfs, archive, reference, entrypoint }: ScratchImage): Promise<void> {
  const storage = join(dirname(rootfs), "buildah");
  const buildah = (...args: string[]): Promise<string> =>
    output(["buildah", "--root", storage, "--runroot", `${storage}-run`, "--storage-driver", "vfs", ...args]);
  const container = (await buildah("from", "scratch")).trim();
  await buildah("add", "--quiet", container, rootfs, "/");
  await buildah("config", `--entrypoint=${JSON.stringify(entrypoint)}`, container);
  await buildah("commit", "--quiet", "--rm", container, reference);
  await buildah("push", "--quiet", reference, `docker-archive:${archive}:${reference}`);
}
