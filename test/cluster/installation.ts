import { chownSync, mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { binaries } from "../support/kube/binaries.ts";
import { containerdBinaries, installPackages, missingPackages } from "../support/node/binaries.ts";
import { buildImage } from "../support/node/image.ts";
import { NAME_PREFIX } from "../support/node/machine.ts";
import { NODE_BINARIES, RealNode } from "../support/node/node.ts";
import { CHART } from "../support/chart/rendered-chart.ts";
import { CHART_0_1_0, sourcesOf010 } from "../support/upgrade-fixture.ts";
import { RELEASE, SYSTEM } from "./manifests.ts";

export const IMAGE = "docker.io/library/postrider:test";
/** The same image under another name: what an upgrade rolls out. */
export const IMAGE_AFTER_UPGRADE_TAG = "test-upgraded";
const TAG_0_1_0 = "0.1.0";
const NONROOT = 65_532;

export interface Installation {
  readonly node: RealNode;
  /** The folder behind the operator's volume. */
  readonly data: string;
  /** Whether the node has the image of 0.1.0: a checkout without its history cannot build it. */
  readonly has010: boolean;
  stop(): Promise<void>;
}

/** Builds the image, starts the node and gives it the image; nothing is installed yet. */
export async function prepareNode(log: (line: string) => void): Promise<Installation> {
  await installPackages(missingPackages(), log);
  const directory = join(tmpdir(), `${NAME_PREFIX}${process.pid}-image`);
  mkdirSync(directory);
  const [kube, containerd] = [await binaries(NODE_BINARIES, log), await containerdBinaries(log)];
  const build = { directory: join(directory, "image"), log };
  const archive = await buildImage({ ...build, reference: IMAGE });
  const node = await RealNode.start({ kube, containerd }, log);
  const stop = async (): Promise<void> => {
    await node.stop();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await node.importImage(archive);
    await node.tagImage(IMAGE, IMAGE.replace(/:.*$/, `:${IMAGE_AFTER_UPGRADE_TAG}`));
    const source = sourcesOf010(join(directory, "source-0.1.0"));
    if (source === undefined) log("\n*** SKIPPED: this checkout has no history, so there is no image of 0.1.0 to upgrade from ***\n");
    else await node.importImage(await buildImage({ ...build, source, reference: IMAGE.replace(/:.*$/, `:${TAG_0_1_0}`) }));
    const data = join(directory, "data");
    emptyVolume(data);
    return { node, data, has010: source !== undefined, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A folder as a volume's provisioner would make it: empty, and the operator's. */
export function emptyVolume(data: string): void {
  rmSync(data, { recursive: true, force: true });
  mkdirSync(data);
  chownSync(data, NONROOT, NONROOT);
}

/** 0.1.0 as its install page said it, where a mirror is named: the registry alone. */
export function helmInstall010(node: RealNode): Promise<string> {
  const values = ["--set=image.registry=docker.io/library", "--set=image.pullPolicy=Never"];
  return node.helm(["install", RELEASE, CHART_0_1_0, "--namespace", SYSTEM, ...values, "--wait", "--timeout", "150s"]);
}

/** The command of docs/upgrading.md for an installation that named the registry alone. */
export function helmUpgradeFrom010(node: RealNode, ...set: string[]): Promise<string> {
  const command = ["upgrade", RELEASE, CHART, "--namespace", SYSTEM, "--reset-then-reuse-values"];
  return node.helm([...command, ...set, "--wait", "--timeout", "180s"]);
}

/** What every install and upgrade in this suite sets; all else is the chart's default. */
const VALUES = ["--set=image.repository=docker.io/library/postrider", "--set=image.tag=test", "--set=image.pullPolicy=Never"];

export function helmInstall(node: RealNode, ...set: string[]): Promise<string> {
  return node.helm(["install", RELEASE, CHART, "--namespace", SYSTEM, ...VALUES, ...set, "--wait", "--timeout", "150s"]);
}

export function helmUpgrade(node: RealNode, ...set: string[]): Promise<string> {
  return node.helm(["upgrade", RELEASE, CHART, "--namespace", SYSTEM, ...VALUES, ...set, "--wait", "--timeout", "180s"]);
}

export function helmUninstall(node: RealNode): Promise<string> {
  return node.helm(["uninstall", RELEASE, "--namespace", SYSTEM, "--wait", "--timeout", "180s"]);
}

export function applyAll(node: RealNode, objects: readonly object[]): Promise<string> {
  const list = { apiVersion: "v1", kind: "List", items: objects };
  return node.kubectl(["apply", "-f", "-"], { stdin: JSON.stringify(list) });
}

export async function getObject<T>(node: RealNode, ...args: string[]): Promise<T> {
  return JSON.parse(await node.kubectl(["get", ...args, "-o", "json"])) as T;
}

/** All that helps to see what went wrong, as text. */
export async function diagnosis(node: RealNode): Promise<string> {
  const parts = [
    ["get", "pods", "--all-namespaces", "-o", "wide"],
    ["get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"],
    ["-n", SYSTEM, "logs", `statefulset/${RELEASE}`, "--tail=60"],
    ["-n", SYSTEM, "logs", `statefulset/${RELEASE}`, "--tail=40", "--previous"],
    ["get", "whsub", "--all-namespaces", "-o", "yaml"],
  ];
  const texts = await Promise.all(
    parts.map(async (args) => {
      const { stdout, stderr } = await node.tryKubectl(args);
      return `--- kubectl ${args.join(" ")}\n${stdout}${stderr}`;
    }),
  );
  return texts.join("\n");
}
