import { readFileSync } from "node:fs";
import { join } from "node:path";

export const CHART = join(import.meta.dirname, "../../../charts/postrider");

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: { readonly type: string; readonly uid: string };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat?: string }[];
  readonly links?: readonly { readonly url: string }[];
  /** Of a row that is closed. */
  readonly panels?: readonly Panel[];
  readonly fieldConfig?: {
    readonly defaults: {
      readonly unit?: string;
      readonly links?: readonly { readonly url: string }[];
      readonly mappings?: readonly object[];
    };
    readonly overrides: readonly { readonly properties: readonly { readonly id: string; readonly value: unknown }[] }[];
  };
  readonly gridPos: { readonly y: number; readonly h: number };
}

export interface Dashboard {
  readonly uid: string;
  readonly links: readonly { readonly url: string; readonly includeVars: boolean }[];
  readonly panels: readonly Panel[];
  readonly annotations: { readonly list: readonly { readonly name: string; readonly expr?: string }[] };
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string; readonly query: unknown }[] };
}

export const DASHBOARDS = ["fleet", "subscription"] as const;
export const dashboard = (name: string): Dashboard => JSON.parse(readFileSync(join(CHART, `dashboards/${name}.json`), "utf8")) as Dashboard;
export const all = (name: string): readonly Panel[] => dashboard(name).panels.flatMap((panel) => [panel].concat(panel.panels ?? []));
/** Those that ask Prometheus. */
export const panels = (name: string): readonly Panel[] => all(name).filter(({ datasource }) => datasource?.type === "prometheus");
