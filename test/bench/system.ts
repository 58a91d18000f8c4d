import type { ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultPolicy, loopbackPolicy, manifestFile, subscription } from "../support/manifests.ts";
import type { Certificate } from "../support/delivery/certificates.ts";
import { lineReader, startPinned } from "./machine.ts";
import { until } from "../support/until.ts";
import { tlsFlags } from "../support/operator/tls-flags.ts";
import { NODE_ENVIRONMENT, NODE_FLAGS } from "../support/operator/node-flags.ts";

export interface SystemOptions {
  /** Receiver's address, host:port. */
  readonly receiver: string;
  /** One subscription for each: its name, event type pattern and the path it is sent to. */
  readonly subscriptions: readonly {
    readonly name: string;
    readonly namespace?: string;
    readonly type: string;
    readonly path?: string;
    readonly port?: number;
    readonly host?: string;
    /** CEL. */
    readonly filter?: string;
    readonly body?: string;
  }[];
  readonly maxInFlight?: number;
  readonly timeout?: string;
  readonly initialDelay?: string;
  readonly pinned?: boolean;
  readonly logLevel?: string;
  /** The ingest speaks TLS with it. */
  readonly certificate?: Certificate;
  /** Kept from an earlier run (boot rows). */
  readonly directory?: string;
  /** The checkout that is run; this one if not given. */
  readonly root?: string;
}

const SETTLED_WITHIN_MS = 180_000;
const SETTLED_POLL_MS = 1_000;

/** Postrider itself, as a process on the first core, with files and SQLite. */
export class System {
  readonly #child: ChildProcess;
  readonly directory: string;
  readonly ingest: string;
  readonly metrics: string;
  readonly pid: number;
  /** From the start of the process to its ready line, ms. */
  readonly bootMs: number;

  private constructor(child: ChildProcess, directory: string, ready: Record<string, unknown>, bootMs: number) {
    this.#child = child;
    this.directory = directory;
    this.ingest = String(ready["ingest"]);
    this.metrics = String(ready["metrics"]);
    this.pid = Number(ready["pid"]);
    this.bootMs = bootMs;
  }

  static async start(options: SystemOptions): Promise<System> {
    const directory = options.directory ?? mkdtempSync(join(tmpdir(), "postrider-bench-"));
    mkdirSync(join(directory, "manifests"), { recursive: true });
    writeFileSync(join(directory, "manifests", "bench.yaml"), manifests(options));
    const begin = performance.now();
    const listen = ["--ingest-listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
    const auth = ["--ingest-auth", "none", "--api-auth", "none", "--log-level", options.logLevel ?? "warn"];
    const store = ["--provider", "file", "--manifests", join(directory, "manifests"), "--store", `sqlite:${join(directory, "store")}`];
    const args = [
      ...NODE_FLAGS,
      "src/main.ts",
      "run",
      ...store,
      ...listen,
      ...auth,
      ...(options.certificate === undefined ? [] : tlsFlags("ingest", directory, options.certificate)),
    ];
    const child = startPinned((options.pinned ?? true) ? 0 : undefined, process.execPath, args, {
      environment: NODE_ENVIRONMENT,
      ...(options.root === undefined ? {} : { root: options.root }),
    });
    const ready = await lineReader(child)();
    return new System(child, directory, ready, performance.now() - begin);
  }

  events(namespace = "bench"): string {
    return `${this.ingest}/v1/namespaces/${namespace}/events`;
  }

  /** Waits until every one of `subscriptions` is ready: their keys are generated after the start. @throws after `withinMs`. */
  async settled(subscriptions: number, withinMs = SETTLED_WITHIN_MS): Promise<void> {
    let ready = 0;
    const areReady = async (): Promise<boolean> => {
      const text = await (await fetch(`${this.metrics}/metrics/per-subscription`)).text();
      ready = text.match(/^postrider_subscription_ready\{[^}]*\} 1$/gm)?.length ?? 0;
      return ready >= subscriptions;
    };
    const seen = (): string => `${ready} of ${subscriptions} subscriptions are ready`;
    await until(areReady, { withinMs, everyMs: SETTLED_POLL_MS, seen });
  }

  /** Ends the process; `keep` leaves its files for another start. */
  async stop(signal: NodeJS.Signals = "SIGKILL", keep = false): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill(signal);
    await gone;
    if (!keep) rmSync(this.directory, { recursive: true, force: true });
  }
}

function manifests(options: SystemOptions): string {
  const [host = "127.0.0.1", port = "80"] = options.receiver.split(":");
  const namespaces = [...new Set(options.subscriptions.map((one) => one.namespace ?? "bench"))];
  const delay = options.initialDelay ?? "1h";
  return manifestFile(
    loopbackPolicy(),
    ...namespaces.map((namespace) =>
      defaultPolicy(
        namespace,
        `maxInFlight: ${options.maxInFlight ?? 128}`,
        `timeout: ${options.timeout ?? "15s"}`,
        `retry: {maxAttempts: 100, backoff: {policy: Constant, initialDelay: ${delay}, maxDelay: ${delay}}}`,
      ),
    ),
    ...options.subscriptions.map((one) =>
      subscription({
        name: one.name,
        namespace: one.namespace ?? "bench",
        types: [one.type],
        ...(one.filter === undefined ? {} : { filter: one.filter }),
        url: `http://${one.host ?? host}:${one.port ?? port}${one.path ?? "/hook"}`,
        signing: "{}",
        more: one.body === undefined ? [] : [`payload: {body: ${JSON.stringify(one.body)}}`],
      }),
    ),
  );
}
