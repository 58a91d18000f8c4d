import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../free-port.ts";
import { OperatorProcess } from "../operator/operator-process.ts";
import type { ScrapeTarget } from "./prometheus-server.ts";

/** One installation with files of its own, always scraped at the same address: its process may end and begin again. */
export class TroubleInstallation {
  readonly job: string;
  readonly #folder: string;
  readonly #flags: readonly string[];
  readonly #metricsPort: number;
  readonly #ingestPort: number;
  #process: OperatorProcess | undefined;

  private constructor(job: string, folder: string, flags: readonly string[], ports: readonly [metrics: number, ingest: number]) {
    this.job = job;
    this.#folder = folder;
    this.#flags = flags;
    [this.#metricsPort, this.#ingestPort] = ports;
  }

  static async start(job: string, manifests: string, flags: readonly string[] = []): Promise<TroubleInstallation> {
    const folder = mkdtempSync(join(tmpdir(), `postrider-trouble-${job}-`));
    mkdirSync(join(folder, "manifests"));
    const installation = new TroubleInstallation(job, folder, flags, [await freePort(), await freePort()]);
    installation.write("all.yaml", manifests);
    await installation.begin();
    return installation;
  }

  get target(): ScrapeTarget {
    return { job: this.job, url: `http://127.0.0.1:${this.#metricsPort}` };
  }

  get process(): OperatorProcess {
    if (this.#process === undefined) throw new Error(`${this.job} does not run`);
    return this.#process;
  }

  write(file: string, manifests: string): void {
    writeFileSync(join(this.#folder, "manifests", file), manifests);
  }

  async begin(): Promise<void> {
    this.#process = await OperatorProcess.start({
      manifests: join(this.#folder, "manifests"),
      store: `sqlite:${join(this.#folder, "store")}`,
      ingestPort: this.#ingestPort,
      flags: ["--metrics-listen", `127.0.0.1:${this.#metricsPort}`, ...this.#flags],
    });
  }

  /** Publishes events; answers the statuses. What is refused on the way there is 0. */
  async publish(namespace: string, type: string, count = 1, data: unknown = {}): Promise<number[]> {
    const post = (): Promise<number> =>
      fetch(`http://127.0.0.1:${this.#ingestPort}/v1/namespaces/${namespace}/events`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ type, data }),
      }).then(
        async (response) => {
          await response.arrayBuffer();
          return response.status;
        },
        () => 0,
      );
    return Promise.all(Array.from({ length: count }, post));
  }

  async stop(): Promise<void> {
    await this.#process?.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
