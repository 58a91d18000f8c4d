/** What Prometheus answered to the queries of a dashboard. */

/** One line: its labels, and its values by time in seconds. */
export interface Course {
  readonly labels: Readonly<Record<string, string>>;
  readonly points: readonly (readonly [at: number, value: number])[];
}

/** A panel of a dashboard's file, as far as a picture needs it. */
export interface PicturedPanel {
  readonly type: string;
  readonly title?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly {
    readonly expr: string;
    readonly refId: string;
    readonly legendFormat?: string;
    readonly instant?: boolean;
  }[];
  readonly options?: { readonly colorMode?: string; readonly content?: string };
  readonly fieldConfig?: FieldConfig;
  readonly transformations?: readonly { readonly id: string; readonly options: Organized }[];
  readonly panels?: readonly PicturedPanel[];
}

interface FieldConfig {
  readonly defaults: Style & {
    readonly noValue?: string;
    readonly thresholds?: { readonly steps: readonly { readonly value: number | null; readonly color: string }[] };
    readonly custom?: { readonly stacking?: { readonly mode: string } };
  };
  readonly overrides: readonly {
    readonly matcher: { readonly id: string; readonly options: string };
    readonly properties: readonly { readonly id: string; readonly value: unknown }[];
  }[];
}

interface Organized {
  readonly indexByName?: Readonly<Record<string, number>>;
  readonly renameByName?: Readonly<Record<string, string>>;
}

/** How a value is written. */
export interface Style {
  readonly unit?: string;
  readonly mappings?: readonly { readonly options: Readonly<Record<string, { readonly text: string; readonly color: string }>> }[];
}

/** The time that is shown, in seconds since 1970. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

export interface Variables {
  readonly [name: string]: string;
}

const STEPS = 120;
/** Grafana's smallest interval for rates: four scrapes. */
const RATE_SECONDS_MIN = 60;

/** Asks what a panel asks, one list of lines for each of its queries. @throws Error with the panel's title when Prometheus refuses a query. */
export async function answersOf(prometheus: string, panel: PicturedPanel, range: Range, variables: Variables): Promise<Course[][]> {
  const step = Math.max(Math.round((range.to - range.from) / STEPS), 1);
  const rate = Math.max(Number(variables["__rate_interval"] ?? RATE_SECONDS_MIN), step);
  const filled = { ...variables, __rate_interval: `${String(rate)}s`, __range: `${String(range.to - range.from)}s` };
  return Promise.all(
    (panel.targets ?? []).map(async ({ expr, instant }) => {
      const query = encodeURIComponent(fill(expr, filled));
      const now = `query?query=${query}&time=${String(range.to)}`;
      const path =
        instant === true ? now : `query_range?query=${query}&start=${String(range.from)}&end=${String(range.to)}&step=${String(step)}`;
      const response = await fetch(`${prometheus}/api/v1/${path}`);
      const answer = (await response.json()) as Answer;
      if (answer.status !== "success") throw new Error(`panel "${panel.title ?? ""}": ${answer.error ?? ""}: ${expr}`);
      return answer.data.result.map(courseOf);
    }),
  );
}

interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly data: { readonly result: readonly Answered[] };
}

interface Answered {
  readonly metric: Readonly<Record<string, string>>;
  readonly value?: readonly [number, string];
  readonly values?: readonly (readonly [number, string])[];
}

function courseOf({ metric, value, values }: Answered): Course {
  const points = values ?? (value === undefined ? [] : [value]);
  return { labels: metric, points: points.map(([at, text]) => [at, Number(text)]) };
}

/** Longer names first: `$namespace` is no `$name`. */
function fill(expr: string, variables: Variables): string {
  const names = Object.keys(variables).toSorted((a, b) => b.length - a.length);
  return names.reduce((text, name) => text.replaceAll(`$${name}`, variables[name] ?? ""), expr);
}
