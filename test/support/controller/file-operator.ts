import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { AcceptedSpec } from "../../../src/controller/subscription/accepted-specs.ts";
import { Controller } from "../../../src/controller/controller.ts";
import type { ObjectRef } from "../../../src/controller/objects.ts";
import type { WebhookSubscriptionStatus } from "../../../src/api/generated/custom-resources.ts";
import { RouteTable } from "../../../src/core/route-table.ts";
import type { Route } from "../../../src/core/route-table.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { createLog } from "../../../src/observe/log.ts";
import { FileProvider } from "../../../src/provider/file.ts";
import { FakeDeliveries } from "./fake-deliveries.ts";

const WAIT_MS = 8_000;

/** File provider and controller on a directory of its own, with last accepted specs that outlive it as in a store. */
export class FileOperator {
  readonly directory: string;
  readonly stored: Map<string, AcceptedSpec>;
  readonly deliveries = new FakeDeliveries();
  readonly provider: FileProvider;
  readonly controller: Controller;
  table = RouteTable.empty;
  #abort = new AbortController();
  #done: Promise<unknown> = Promise.resolve();
  #heard: (() => void)[] = [];

  constructor(directory: string, stored = new Map<string, AcceptedSpec>()) {
    this.directory = directory;
    this.stored = stored;
    const clock = new SystemClock();
    const log = createLog("silent");
    this.provider = new FileProvider({ directory: join(directory, "manifests"), secretsDirectory: join(directory, "secrets"), clock, log });
    const heard = (): void => this.#heard.splice(0).forEach((resolve) => resolve());
    this.controller = new Controller({
      resources: this.provider,
      sink: this.provider,
      deliveries: this.deliveries,
      clock,
      random: systemRandom,
      log,
      className: "postrider",
      systemNamespace: "postrider-system",
      acceptedSpecs: {
        load: () => Promise.resolve([...stored.values()]),
        save: (specs) => Promise.resolve(specs.forEach((spec) => stored.set(spec.uid, JSON.parse(JSON.stringify(spec)) as AcceptedSpec))),
        forget: (uid) => Promise.resolve(void stored.delete(uid)),
      },
      onTable: (table) => {
        this.table = table;
        heard();
      },
      onReady: heard,
    });
    const writeStatus = this.provider.writeStatus.bind(this.provider);
    this.provider.writeStatus = (object, status) => {
      const written = writeStatus(object, status);
      heard();
      return written;
    };
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

  run(): void {
    this.#done = Promise.all([this.provider.run(this.#abort.signal), this.controller.run(this.#abort.signal)]);
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#done;
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
    return [...this.table.routes()].find(({ subscription }) => subscription.name === name && subscription.namespace === namespace);
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

  /** Waits for a table or a status after which `holds` is true. */
  async until(holds: () => boolean, waitMs = WAIT_MS): Promise<void> {
    const timer = setTimeout(() => this.#heard.splice(0).forEach((resolve) => resolve()), waitMs);
    const endMs = performance.now() + waitMs;
    try {
      while (!holds()) {
        if (performance.now() > endMs) throw new Error(`waited ${waitMs} ms for ${holds.toString()}`);
        await new Promise<void>((resolve) => this.#heard.push(resolve));
      }
    } finally {
      clearTimeout(timer);
    }
  }
}

async function writeManifest(directory: string, file: string, text: string): Promise<void> {
  const path = join(directory, "manifests", file);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}
