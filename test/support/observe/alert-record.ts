import type { PrometheusServer } from "./prometheus-server.ts";

const LOOK_EVERY_MS = 500;
/** Labels by which an alert is told from another; what the rules add for readers is left out. */
const NAMED_BY = ["job", "namespace", "subscription"] as const;

/** An alert that was firing at some time: its name, and where. */
export interface Fired {
  readonly alert: string;
  readonly where: string;
}

/** Notes every alert that fires while it runs, however briefly. */
export class AlertRecord {
  readonly #fired = new Map<string, Fired>();
  readonly #timer: NodeJS.Timeout;
  readonly #prometheus: PrometheusServer;
  #looking: Promise<void> = Promise.resolve();

  constructor(prometheus: PrometheusServer) {
    this.#prometheus = prometheus;
    this.#timer = setInterval(() => void (this.#looking = this.#look()), LOOK_EVERY_MS);
  }

  /** Names of the alerts that fired at a place: `job`, `job namespace` or `job namespace/subscription`. */
  at(where: string): string[] {
    return this.all()
      .filter((fired) => fired.where === where)
      .map(({ alert }) => alert)
      .toSorted();
  }

  all(): Fired[] {
    return [...this.#fired.values()];
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  async #look(): Promise<void> {
    const samples = await this.#prometheus.query('ALERTS{alertstate="firing"}').catch(() => []);
    for (const { labels } of samples) {
      const alert = (labels["alertname"] ?? "").replace(/^Postrider/, "");
      const [job = "", namespace = "", subscription = ""] = NAMED_BY.map((label) => labels[label]);
      const where = [job, [namespace, subscription].filter(Boolean).join("/")].filter(Boolean).join(" ");
      this.#fired.set(`${alert} ${where}`, { alert, where });
    }
  }
}
