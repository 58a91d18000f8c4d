import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { freePort } from "../free-port.ts";
import { until } from "../until.ts";

const UP_WITHIN_MS = 20_000;
const LOOK_EVERY_MS = 200;
const PAGES = ["/metrics", "/metrics/per-subscription"];

/** What is scraped under one job. */
export interface ScrapeTarget {
  readonly job: string;
  /** `http://host:port`. It may be absent, or come and go. */
  readonly url: string;
  /** Put on every series that has no such label itself. */
  readonly labels?: Readonly<Record<string, string>>;
}

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A real Prometheus that scrapes both pages of its targets every second. */
export class PrometheusServer {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #folder: string;

  private constructor(url: string, child: ChildProcess, folder: string) {
    this.url = url;
    this.#child = child;
    this.#folder = folder;
    this.#exited = new Promise((done) => child.once("exit", done));
  }

  /** `program` is where it is; `rules` files are evaluated every second. */
  static async start(program: string, targets: readonly ScrapeTarget[], rules: readonly string[]): Promise<PrometheusServer> {
    const folder = mkdtempSync(join(tmpdir(), "postrider-prometheus-"));
    const config = join(folder, "prometheus.yml");
    writeFileSync(
      config,
      stringify({
        global: { scrape_interval: "1s", scrape_timeout: "1s", evaluation_interval: "1s" },
        rule_files: rules,
        scrape_configs: targets.flatMap((target) => PAGES.map((path) => scrapeOf(path, target))),
      }),
    );
    const listen = `127.0.0.1:${await freePort()}`;
    const args = [`--config.file=${config}`, `--storage.tsdb.path=${join(folder, "data")}`, `--web.listen-address=${listen}`];
    const child = spawn(program, [...args, "--log.level=error"], { stdio: "ignore" });
    process.once("exit", () => child.kill("SIGKILL"));
    const server = new PrometheusServer(`http://${listen}`, child, folder);
    await server.#up();
    return server;
  }

  /** An instant query; answers its samples. @throws when Prometheus refuses it. */
  async query(expr: string): Promise<readonly Sample[]> {
    const { result } = (await this.#get(`query?query=${encodeURIComponent(expr)}`)) as {
      result: { metric: Record<string, string>; value: [number, string] }[];
    };
    return result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
  }

  /** Names of all metrics that have been scraped. */
  async names(): Promise<ReadonlySet<string>> {
    return new Set((await this.#get("label/__name__/values")) as string[]);
  }

  /** Every rule with its state and what its evaluation complained of. */
  async rules(): Promise<readonly { readonly name: string; readonly health: string; readonly lastError?: string }[]> {
    const { groups } = (await this.#get("rules")) as { groups: { rules: { name: string; health: string; lastError?: string }[] }[] };
    return groups.flatMap((group) => group.rules);
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #get(path: string): Promise<unknown> {
    const response = await fetch(`${this.url}/api/v1/${path}`);
    const answer = (await response.json()) as { status: string; data: unknown; error?: string };
    if (answer.status !== "success") throw new Error(`${path}: ${answer.error}`);
    return answer.data;
  }

  async #up(): Promise<void> {
    const isReady = (): Promise<boolean> =>
      fetch(`${this.url}/-/ready`).then(
        ({ ok }) => ok,
        () => false,
      );
    await until(isReady, { withinMs: UP_WITHIN_MS, everyMs: LOOK_EVERY_MS, seen: () => "Prometheus is not ready" });
  }
}

/** As docs/metrics.md says it: the same job for both pages, and a label that tells them apart. */
function scrapeOf(path: string, { job, url, labels = {} }: ScrapeTarget): object {
  const { host } = new URL(url);
  return {
    job_name: `${job} ${host} ${path}`,
    honor_labels: true,
    metrics_path: path,
    relabel_configs: [{ source_labels: ["__metrics_path__"], target_label: "metrics_path" }],
    static_configs: [{ targets: [host], labels: { job, ...labels } }],
  };
}
