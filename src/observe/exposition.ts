export type MetricKind = "counter" | "gauge" | "histogram";
/** The two formats that are spoken: Prometheus text 0.0.4, and OpenMetrics 1.0.0, which alone has exemplars. */
export type PageForm = "text" | "openmetrics";

export const CONTENT_TYPES: Readonly<Record<PageForm, string>> = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/** What a metric is, without its values. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly kind: MetricKind;
}

/** One delivery that a count stands for: a way from a graph to a log line. */
export interface Exemplar {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Text is handed over once it is so long, in characters. */
const PIECE_CHARS = 64 * 1024;
const TOTAL = "_total";

/** Writes a page of metrics line by line; what has been written is taken in pieces of about 64 KiB. */
export class PageText {
  readonly #form: PageForm;
  #text = "";

  constructor(form: PageForm) {
    this.#form = form;
  }

  /** A page piece is complete. */
  get isFull(): boolean {
    return this.#text.length >= PIECE_CHARS;
  }

  /** All lines of a family follow its head. In OpenMetrics a counter's family is named without `_total`. */
  head({ name, help, kind }: Family): void {
    const shown = this.#form === "openmetrics" && kind === "counter" && name.endsWith(TOTAL) ? name.slice(0, -TOTAL.length) : name;
    this.#text += `# HELP ${shown} ${help}\n# TYPE ${shown} ${kind}\n`;
  }

  /** `labels` as `labelText` makes them, without braces. */
  line(name: string, labels: string, value: number, exemplar?: Exemplar): void {
    this.#text += `${name}${labels === "" ? "" : `{${labels}}`} ${numberText(value)}`;
    if (exemplar !== undefined && this.#form === "openmetrics") {
      this.#text += ` # {${labelText(exemplar.labels)}} ${numberText(exemplar.value)}`;
    }
    this.#text += "\n";
  }

  /** What has been written since the last time. */
  take(): string {
    const text = this.#text;
    this.#text = "";
    return text;
  }

  /** The end of the page. */
  end(): string {
    if (this.#form === "openmetrics") this.#text += "# EOF\n";
    return this.take();
  }
}

/** `le` is written as a float, as Prometheus 3 stores it: a rule finds the same bucket whatever reads the page. */
export function boundText(bound: number): string {
  if (bound === Number.POSITIVE_INFINITY) return "+Inf";
  return Number.isInteger(bound) ? `${bound}.0` : String(bound);
}

export function labelText(labels: Readonly<Record<string, string | number | undefined>>): string {
  let text = "";
  for (const name in labels) {
    const value = labels[name];
    if (value === undefined) continue;
    const shown = name === "le" && typeof value === "number" ? boundText(value) : escaped(String(value));
    text += `${text === "" ? "" : ","}${name}="${shown}"`;
  }
  return text;
}

const SPECIAL = /[\\"\n]/;

export function escaped(value: string): string {
  if (!SPECIAL.test(value)) return value;
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  if (Number.isNaN(value)) return "NaN";
  return value > 0 ? "+Inf" : "-Inf";
}
