import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../free-port.ts";
import { until } from "../until.ts";

const UP_WITHIN_MS = 20_000;
const LOOK_EVERY_MS = 100;

export type AlertLabels = Readonly<Record<string, string>>;

interface AlertStatus {
  readonly labels: AlertLabels;
  readonly status: { readonly state: string; readonly inhibitedBy: readonly string[] };
}

/** A real Alertmanager with a configuration. */
export class AlertmanagerServer {
  readonly #url: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #folder: string;

  private constructor(url: string, child: ChildProcess, folder: string) {
    this.#url = url;
    this.#child = child;
    this.#folder = folder;
    this.#exited = new Promise((done) => child.once("exit", done));
  }

  /** @throws when it does not accept the configuration */
  static async start(program: string, config: string): Promise<AlertmanagerServer> {
    const folder = mkdtempSync(join(tmpdir(), "postrider-alertmanager-"));
    const listen = `127.0.0.1:${await freePort()}`;
    const args = [`--config.file=${config}`, `--storage.path=${folder}`, `--web.listen-address=${listen}`, "--cluster.listen-address="];
    const child = spawn(program, [...args, "--log.level=error"], { stdio: ["ignore", "inherit", "inherit"] });
    process.once("exit", () => child.kill("SIGKILL"));
    const server = new AlertmanagerServer(`http://${listen}`, child, folder);
    const isReady = (): Promise<boolean> =>
      fetch(`http://${listen}/-/ready`).then(
        ({ ok }) => ok,
        () => false,
      );
    await until(isReady, { withinMs: UP_WITHIN_MS, everyMs: LOOK_EVERY_MS, seen: () => "Alertmanager is not ready" });
    return server;
  }

  /** These fire from now on. */
  async fire(alerts: readonly AlertLabels[]): Promise<void> {
    const body = JSON.stringify(alerts.map((labels) => ({ labels })));
    const response = await fetch(`${this.#url}/api/v2/alerts`, { method: "POST", headers: { "content-type": "application/json" }, body });
    if (!response.ok) throw new Error(`Alertmanager answered ${response.status}: ${await response.text()}`);
  }

  /** Labels of all that fire and are held back because another alert fires. */
  async heldBack(): Promise<AlertLabels[]> {
    const all = (await this.#get("alerts")) as AlertStatus[];
    return all.filter(({ status }) => status.inhibitedBy.length > 0).map(({ labels }) => labels);
  }

  /** How many messages would be sent, to whom, and what each is about. */
  async groups(): Promise<{ readonly receiver: string; readonly labels: AlertLabels; readonly count: number }[]> {
    type Group = { readonly receiver: { readonly name: string }; readonly labels: AlertLabels; readonly alerts: readonly AlertStatus[] };
    const groups = (await this.#get("alerts/groups")) as Group[];
    return groups.map(({ receiver, labels, alerts }) => ({ receiver: receiver.name, labels, count: alerts.length }));
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #get(path: string): Promise<unknown> {
    return (await fetch(`${this.#url}/api/v2/${path}`)).json();
  }
}
