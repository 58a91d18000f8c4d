import {
  BigValueColorMode,
  StackingMode,
  LegendDisplayMode,
  LegendPlacement,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from "@grafana/grafana-foundation-sdk/common";
import { ReduceDataOptionsBuilder, StackingConfigBuilder, TooltipDisplayMode, SortOrder } from "@grafana/grafana-foundation-sdk/common";
import { ThresholdsConfigBuilder, ThresholdsMode } from "@grafana/grafana-foundation-sdk/dashboard";
import { DataqueryBuilder } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as StatBuilder } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as TimeseriesBuilder } from "@grafana/grafana-foundation-sdk/timeseries";

/** The data source that the dashboard's first variable chooses. */
export const DATA_SOURCE = { type: "prometheus", uid: "${datasource}" };

/** Grafana's grid is 24 columns wide. */
const STAT_COLUMNS = 4;
const STAT_ROWS = 4;
const GRAPH_COLUMNS = 8;
const GRAPH_ROWS = 8;

/** What a panel shows, in the words of its reader. */
export interface PanelText {
  readonly title: string;
  readonly description: string;
  /** Grafana's unit id. */
  readonly unit: string;
}

/** PromQL and the legend of its lines; `{{label}}` stands for a label's value. */
export type Line = readonly [expr: string, legend: string];

/** A number, green, or red from `redFrom` on (or, below `redFrom` with `worseBelow`, red). */
export function stat(text: PanelText, expr: string, judged?: { readonly redFrom: number } | { readonly redBelow: number }): StatBuilder {
  const panel = new StatBuilder()
    .title(text.title)
    .description(text.description)
    .unit(text.unit)
    .datasource(DATA_SOURCE)
    .span(STAT_COLUMNS)
    .height(STAT_ROWS)
    .colorMode(BigValueColorMode.Value)
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(["lastNotNull"]))
    .withTarget(new DataqueryBuilder().expr(expr).instant().refId("A"));
  return panel.thresholds(new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(stepsOf(judged)));
}

type Step = { value: number | null; color: string };

function stepsOf(judged: { readonly redFrom: number } | { readonly redBelow: number } | undefined): Step[] {
  if (judged === undefined) return [{ value: null, color: "blue" }];
  if ("redFrom" in judged) {
    return [
      { value: null, color: "green" },
      { value: judged.redFrom, color: "red" },
    ];
  }
  return [
    { value: null, color: "red" },
    { value: judged.redBelow, color: "green" },
  ];
}

/** Lines over time; `stacked` where they add up to a whole. */
export function graph(text: PanelText, lines: readonly Line[], stacked = false): TimeseriesBuilder {
  const panel = new TimeseriesBuilder()
    .title(text.title)
    .description(text.description)
    .unit(text.unit)
    .min(0)
    .datasource(DATA_SOURCE)
    .span(GRAPH_COLUMNS)
    .height(GRAPH_ROWS)
    .fillOpacity(stacked ? 30 : 5)
    .legend(new VizLegendOptionsBuilder().showLegend(true).displayMode(LegendDisplayMode.List).placement(LegendPlacement.Bottom))
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending));
  if (stacked) panel.stacking(new StackingConfigBuilder().mode(StackingMode.Normal));
  for (const [i, [expr, legend]] of lines.entries()) {
    panel.withTarget(
      new DataqueryBuilder()
        .expr(expr)
        .legendFormat(legend)
        .range()
        .refId(String.fromCodePoint(0x41 + i)),
    );
  }
  return panel;
}

/** Quantile lines of a histogram. `by` names labels that lines are told apart by. */
export function quantiles(metric: string, selector: string, quantilesShown: readonly number[]): Line[] {
  return quantilesShown.map((q) => [
    `histogram_quantile(${q}, sum by (le) (rate(${metric}_bucket${selector}[$__rate_interval])))`,
    `p${String(q * 100)}`,
  ]);
}
