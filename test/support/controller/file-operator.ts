import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { AcceptedSpec } from "../../../src/controller/subscription/accepted-specs.ts";
import type { ObjectRef } from "../../../src/controller/objects.ts";
import type { WebhookSubscriptionStatus } from "../../../src/api/generated/custom-resources.ts";
import type { Route } from "../../../src/core/route-table.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { FileProvider } from "../../../src/provider/file.ts";
import { silentLog } from "../silent-log.ts";
import { Operator } from "./operator.ts";

const WAIT_MS = 8_000;

/** On a directory of its own, with last accepted specs that outlive it as in a store. */
export class FileOperator extends Operator<FileProvider> {
  readonly directory: string;

  constructor(directory: string, stored = new Map<string, AcceptedSpec>()) {
    const clock = new SystemClock();
    const [manifests, secretsDirectory] = [join(directory, "manifests"), join(directory, "secrets")];
    const provider = new FileProvider({ directory: manifests, secretsDirectory, clock, log: silentLog });
    super({ provider, clock, stored, waitMs: WAIT_MS });
    this.directory = directory;
  }

  static async start(files: Readonly<Record<string, string>>): Promise<FileOperator> {
    const operator = new FileOperator(await FileOperator.prepare(files));
    operator.run();
    await operator.until(() => operator.controller.ready);
    return operator;
  }

  /** A directory with manifests, nothing running. */
  static async prepare(files: Readonly<Record<string, string>>): Promise<string> {
    const directory = await mkdtemp(join(tmpdir(), "postrider-files-"));
    for (const [file, text] of Object.entries(files)) await writeManifest(directory, file, text);
    return directory;
  }

  /** A new process on the same directory and store. */
  async restart(): Promise<FileOperator> {
    await this.stop();
    const next = new FileOperator(this.directory, this.stored);
    next.run();
    await next.until(() => next.controller.ready && next.provider.synced);
    return next;
  }

  async end(): Promise<void> {
    await this.stop();
    await rm(this.directory, { recursive: true, force: true });
  }

  write(file: string, text: string): Promise<void> {
    return writeManifest(this.directory, file, text);
  }

  remove(file: string): Promise<void> {
    return rm(join(this.directory, "manifests", file));
  }

  route(name: string, namespace = "shop"): Route | undefined {
    return this.find(namespace, name);
  }

  status(name: string, namespace = "shop"): WebhookSubscriptionStatus | undefined {
    return this.provider.statusOf({ kind: "WebhookSubscription", namespace, name });
  }

  condition(
    name: string,
    type: string,
    kind: ObjectRef["kind"] = "WebhookSubscription",
  ): { status: string; reason: string; message: string } | undefined {
    const namespace = kind === "ClusterDeliveryPolicy" ? "" : "shop";
    const status: WebhookSubscriptionStatus | undefined = this.provider.statusOf({ kind, namespace, name });
    return status?.conditions?.find((condition) => condition.type === type);
  }
}

async function writeManifest(directory: string, file: string, text: string): Promise<void> {
  const path = join(directory, "manifests", file);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}
