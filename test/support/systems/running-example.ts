import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { writeLocalManifests } from "../../../scripts/example/local-manifests.ts";
import { OperatorProcess } from "../operator/operator-process.ts";

export const EXAMPLES = resolve(import.meta.dirname, "../../../examples");

export interface RunningExampleOptions {
  /** Folder under examples/. */
  readonly name: string;
  /** URL of the customer's receiver. */
  readonly receiver: string;
  /** Default: everybody may publish. */
  readonly auth?: readonly string[];
  /** Last changes to the copied manifests, before the operator reads them. */
  readonly adapt?: (directory: string) => void;
}

export interface Accepted {
  readonly statusCode: number;
  readonly id: string;
  readonly correlationId: string;
  readonly matched: number;
}

/** The real binary on a local copy of an example's manifests. */
export class RunningExample {
  readonly name: string;
  operator: OperatorProcess;
  readonly manifests: string;
  readonly #directory: string;
  readonly #auth: readonly string[] | undefined;

  private constructor(options: RunningExampleOptions, operator: OperatorProcess, directory: string) {
    this.name = options.name;
    this.#auth = options.auth;
    this.operator = operator;
    this.#directory = directory;
    this.manifests = join(directory, "manifests");
  }

  static async start(options: RunningExampleOptions): Promise<RunningExample> {
    const { name, receiver, auth, adapt } = options;
    const directory = mkdtempSync(join(tmpdir(), `postrider-${name}-`));
    const manifests = join(directory, "manifests");
    writeLocalManifests({ from: join(EXAMPLES, name), to: manifests, receiver });
    adapt?.(manifests);
    return new RunningExample(options, await startOn(directory, auth), directory);
  }

  /** Kills the process, unless it has ended, and starts another on the same store, as if so much later. */
  async restart(laterMs?: number): Promise<void> {
    await this.operator.signal("SIGKILL");
    this.operator = await startOn(this.#directory, this.#auth, laterMs);
  }

  async stop(): Promise<void> {
    await this.operator.signal("SIGKILL");
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** A sample of events/, as its file has it. */
  sample(event: string): Buffer {
    return readFileSync(join(EXAMPLES, this.name, "events", event));
  }

  /** POSTs an event in the short form; the namespace is named like the example. */
  async post(body: Buffer | string): Promise<Accepted> {
    const url = `${this.operator.ready.ingest}/v1/namespaces/${this.name}/events`;
    const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: body.toString() });
    if (answer.status !== 202) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
    return (await answer.json()) as Accepted;
  }

  /** The value of a metric per subscription, summed over all series whose labels contain `labels`, each as `name="value"`. */
  async metric(name: string, ...labels: readonly string[]): Promise<number> {
    const text = await (await fetch(`${this.operator.ready.metrics}/metrics/per-subscription`)).text();
    const lines = text.split("\n").filter((line) => line.startsWith(`${name}{`) && labels.every((label) => line.includes(label)));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
  }
}

function startOn(directory: string, auth: readonly string[] | undefined, laterMs?: number): Promise<OperatorProcess> {
  const store = `sqlite:${join(directory, "store")}`;
  const later = laterMs === undefined ? {} : { laterMs };
  return OperatorProcess.start({ manifests: join(directory, "manifests"), store, ...(auth === undefined ? {} : { auth }), ...later });
}
