import {
  Counter,
  Gauge,
  Histogram,
  Registry,
  collectDefaultMetrics,
  type Metric,
  type MetricObjectWithValues,
  type MetricValue,
} from "prom-client";
import { PageText, labelText, type Exemplar, type MetricKind, type PageForm } from "./exposition.ts";
import { Tally } from "./tally.ts";
import { Timings } from "./timings.ts";

export interface HistogramGiven<L extends string> {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly L[];
  /** Upper bounds in seconds, ascending. */
  readonly buckets: readonly number[];
}

type Sample = MetricValue<string> & { readonly metricName?: string; readonly exemplar?: Exemplar | null };

/** What a metric is called, which kind it is, and its labels. */
export interface Described {
  readonly name: string;
  readonly kind: string;
  readonly labelNames: readonly string[];
}

/** Makes metrics with the prefix `postrider_`, and the page that shows them. The only place that knows prom-client. */
export class MetricMaker {
  readonly registry = new Registry();
  readonly #tallies = new Map<Tally, (values: readonly string[]) => void>();

  /** Those of the process and of Node.js. */
  nodeMetrics(): void {
    collectDefaultMetrics({ register: this.registry });
  }

  counter<const L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> {
    return new Counter({ name: `postrider_${name}`, help, labelNames: [...labelNames], registers: [this.registry] });
  }

  gauge<const L extends string>(name: string, help: string, labelNames: readonly L[]): Gauge<L> {
    return new Gauge({ name: `postrider_${name}`, help, labelNames: [...labelNames], registers: [this.registry] });
  }

  histogram<const L extends string>({ name, help, labelNames, buckets }: HistogramGiven<L>): Histogram<L> {
    const registers = [this.registry];
    return new Histogram({ name: `postrider_${name}`, help, labelNames: [...labelNames], buckets: [...buckets], registers });
  }

  /** A counter that every event moves: prom-client hears of it only when it is read. */
  tally(name: string, help: string, labelNames: readonly string[]): Tally {
    const tally = new Tally();
    const labelsOf = (values: readonly string[]): Record<string, string> =>
      Object.fromEntries(labelNames.map((label, i) => [label, values[i] ?? ""]));
    const counter: Counter = new Counter({
      name: `postrider_${name}`,
      help,
      labelNames: [...labelNames],
      registers: [this.registry],
      collect: () => tally.drain((values, count) => counter.inc(labelsOf(values), count)),
    });
    this.#tallies.set(tally, (values) => counter.remove(labelsOf(values)));
    return tally;
  }

  /** Forgets the series of a tally whose first labels have these values. */
  forget(tally: Tally, values: readonly string[]): void {
    tally.forget(values, this.#tallies.get(tally) ?? (() => undefined));
  }

  /** A histogram that every event moves. */
  timings<E = undefined>(given: HistogramGiven<string>, exemplarOf?: (told: E) => Readonly<Record<string, string>>): Timings<E> {
    const timings = new Timings<E>({ ...given, name: `postrider_${given.name}`, exemplarOf });
    // The registry asks a metric for no more than its name and its values.
    this.registry.registerMetric(timings as unknown as Metric);
    return timings;
  }

  /** Names, kinds and labels of all metrics, Node's own left out. */
  async described(): Promise<readonly Described[]> {
    const kinds = new Map((await this.#read()).map(({ name, type }) => [name, String(type)]));
    // The library does not type the names of labels, though every metric has them.
    const metrics = this.registry.getMetricsAsArray() as unknown as Omit<Described, "kind">[];
    return metrics.map(({ name, labelNames }) => ({ name, kind: kinds.get(name) ?? "", labelNames }));
  }

  /** The page in a format. */
  async page(form: PageForm): Promise<string> {
    const page = new PageText(form);
    for (const { name, help, type, values } of await this.#read()) {
      page.head({ name, help, kind: String(type) as MetricKind });
      for (const { metricName, labels, value, exemplar } of values as Sample[])
        page.line(metricName ?? name, labelText(labels), value, exemplar ?? undefined);
    }
    return page.end();
  }

  #read(): Promise<MetricObjectWithValues<MetricValue<string>>[]> {
    return this.registry.getMetricsAsJSON();
  }
}
