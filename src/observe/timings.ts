import type { Exemplar } from "./exposition.ts";

/** One sample of the exposition, as prom-client writes it. */
interface Sample {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  readonly exemplar?: Exemplar | undefined;
}

interface Series<E> {
  /** By bucket, not yet summed up; the last one is above all bounds. */
  readonly counts: number[];
  sumSeconds: number;
  /** Of each bucket the last one that said what it was, and how long it took. */
  readonly told: { told: E; seconds: number }[];
}

export interface TimingsOptions<E = undefined> {
  readonly name: string;
  readonly help: string;
  /** At most two. */
  readonly labelNames: readonly string[];
  /** Upper bounds in seconds, ascending. */
  readonly buckets: readonly number[];
  /** Labels of an exemplar for what was told; asked when the page is made. */
  readonly exemplarOf?: ((told: E) => Readonly<Record<string, string>>) | undefined;
}

/**
 * A histogram of durations that every event moves: counting costs two look-ups, and what is shown is put together when it is read. The
 * library's own hashes a label object for each observation and costs ten times as much. Registered like any metric of it.
 */
export class Timings<E = undefined> {
  readonly type = "histogram";
  readonly aggregator = "sum";
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly #buckets: readonly number[];
  readonly #exemplarOf: TimingsOptions<E>["exemplarOf"];
  readonly #series = new Map<string, Map<string, Series<E>>>();

  constructor({ name, help, labelNames, buckets, exemplarOf }: TimingsOptions<E>) {
    this.name = name;
    this.help = help;
    this.labelNames = labelNames;
    this.#buckets = buckets;
    this.#exemplarOf = exemplarOf;
    if (labelNames.length === 0) this.#seriesOf("", "");
  }

  /** One more that took so long, under the values of the labels in their order. */
  observe(seconds: number, first = "", second = ""): void {
    this.#add(this.#seriesOf(first, second), seconds);
  }

  /** One more without labels, and what it was: the last one of each bucket is its exemplar. */
  observeTold(seconds: number, told: E): void {
    const series = this.#seriesOf("", "");
    const at = this.#add(series, seconds);
    const known = series.told[at];
    if (known === undefined) series.told[at] = { told, seconds };
    else {
      known.told = told;
      known.seconds = seconds;
    }
  }

  /** Shown from now on, with nothing counted yet. */
  show(first: string, second = ""): void {
    this.#seriesOf(first, second);
  }

  /** Values of the first label that are shown now. */
  firsts(): Iterable<string> {
    return this.#series.keys();
  }

  forget(first: string, second = ""): void {
    const below = this.#series.get(first);
    below?.delete(second);
    if (below?.size === 0) this.#series.delete(first);
  }

  /** What prom-client's registry asks for. */
  get(): { readonly name: string; readonly help: string; readonly type: string; readonly aggregator: string; readonly values: Sample[] } {
    const { name, help, type, aggregator } = this;
    const values: Sample[] = [];
    for (const [first, below] of this.#series) {
      for (const [second, series] of below) this.#show(series, this.#labelsOf(first, second), values);
    }
    return { name, help, type, aggregator, values };
  }

  /** Answers which bucket it was. */
  #add(series: Series<E>, seconds: number): number {
    let at = 0;
    while (at < this.#buckets.length && seconds > this.#buckets[at]!) at++;
    series.counts[at]! += 1;
    series.sumSeconds += seconds;
    return at;
  }

  #seriesOf(first: string, second: string): Series<E> {
    let below = this.#series.get(first);
    if (below === undefined) {
      below = new Map();
      this.#series.set(first, below);
    }
    let series = below.get(second);
    if (series === undefined) {
      series = { counts: Array.from({ length: this.#buckets.length + 1 }, () => 0), sumSeconds: 0, told: [] };
      below.set(second, series);
    }
    return series;
  }

  #labelsOf(first: string, second: string): Record<string, string> {
    const values = [first, second];
    return Object.fromEntries(this.labelNames.map((label, i) => [label, values[i] ?? ""]));
  }

  #show({ counts, sumSeconds, told }: Series<E>, labels: Readonly<Record<string, string>>, into: Sample[]): void {
    let below = 0;
    for (const [i, count] of counts.entries()) {
      below += count;
      const le = this.#buckets[i] ?? "+Inf";
      into.push({ metricName: `${this.name}_bucket`, labels: { le, ...labels }, value: below, exemplar: this.#exemplar(told[i]) });
    }
    into.push({ metricName: `${this.name}_sum`, labels, value: sumSeconds }, { metricName: `${this.name}_count`, labels, value: below });
  }

  #exemplar(told: Series<E>["told"][number] | undefined): Exemplar | undefined {
    if (told === undefined || this.#exemplarOf === undefined) return undefined;
    return { labels: this.#exemplarOf(told.told), value: told.seconds };
  }
}
