import {
  BigValueColorMode,
  BigValueGraphMode,
  BigValueTextMode,
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  SortOrder,
  StackingConfigBuilder,
  StackingMode,
  TooltipDisplayMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from "@grafana/grafana-foundation-sdk/common";
import {
  DashboardLinkBuilder,
  DashboardLinkType,
  FieldColorBuilder,
  FieldColorModeId,
  MappingType,
  ThresholdsConfigBuilder,
  ThresholdsMode,
} from "@grafana/grafana-foundation-sdk/dashboard";
import type { ValueMapping } from "@grafana/grafana-foundation-sdk/dashboard";
import { HeatmapColorMode, HeatmapColorOptionsBuilder, PanelBuilder as HeatmapBuilder } from "@grafana/grafana-foundation-sdk/heatmap";
import { DataqueryBuilder, PromQueryFormat } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as StatBuilder } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as TimelineBuilder } from "@grafana/grafana-foundation-sdk/statetimeline";
import { PanelBuilder as TimeseriesBuilder } from "@grafana/grafana-foundation-sdk/timeseries";
import { colorsOf } from "./colors.ts";
import type { Meaning } from "./colors.ts";
import { RUNBOOKS } from "./links.ts";

/** The data source that the dashboard's first variable chooses. */
export const DATA_SOURCE = { type: "prometheus", uid: "${datasource}" };

/** Grafana's grid is 24 columns wide. */
const STAT_COLUMNS = 3;
const STAT_ROWS = 3;
const GRAPH_COLUMNS = 8;
const GRAPH_ROWS = 8;
const HEATMAP_POINTS_MAX = 100;

/** What a panel shows, in the words of its reader. */
export interface PanelText {
  readonly title: string;
  readonly description: string;
  /** Grafana's unit id. */
  readonly unit: string;
  /** Name of the alert whose page in docs/runbooks leads on from here. */
  readonly runbook?: string;
}

/** PromQL and the legend of its lines; `{{label}}` stands for a label's value. */
export type Line = readonly [expr: string, legend: string];

/** Green, or red from `redFrom` on (or, below `redBelow`, red). Without it blue: a number that is neither good nor bad. */
type Judged = { readonly redFrom: number } | { readonly redBelow: number };

/** A number and its course over the time shown. `expr` must answer one value always: an old one would be shown as the last. */
export function stat(text: PanelText, expr: string, judged?: Judged): StatBuilder {
  return bare(text)
    .span(STAT_COLUMNS)
    .height(STAT_ROWS)
    .graphMode(BigValueGraphMode.Area)
    .withTarget(new DataqueryBuilder().expr(expr).range().refId("A"))
    .thresholds(new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(stepsOf(judged)));
}

/** A question that is answered in words: each number that the expression gives has a meaning. */
export function answer(text: PanelText, expr: string, meanings: Readonly<Record<string, Meaning>>): StatBuilder {
  return (
    bare(text)
      .span(STAT_COLUMNS * 2)
      .height(STAT_ROWS)
      .colorMode(BigValueColorMode.Background)
      .graphMode(BigValueGraphMode.None)
      .textMode(BigValueTextMode.Value)
      .withTarget(new DataqueryBuilder().expr(expr).range().refId("A"))
      .mappings([mapped(meanings)])
      // A number without a meaning is how many or how long: trouble.
      .thresholds(new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps([{ value: null, color: "orange" }]))
  );
}

function bare(text: PanelText): StatBuilder {
  const panel = new StatBuilder()
    .title(text.title)
    .description(text.description)
    .unit(text.unit)
    .datasource(DATA_SOURCE)
    .colorMode(BigValueColorMode.Value)
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(["lastNotNull"]));
  return text.runbook === undefined ? panel : panel.links([runbook(text.runbook)]);
}

/** Numbers as words and colours. */
export function mapped(meanings: Readonly<Record<string, Meaning>>): ValueMapping {
  const options = Object.entries(meanings).map(([value, { text, color }], index) => [value, { text, color, index }] as const);
  return { type: MappingType.ValueToText, options: Object.fromEntries(options) };
}

function runbook(alert: string): DashboardLinkBuilder {
  return new DashboardLinkBuilder(`Runbook ${alert}`).type(DashboardLinkType.Link).url(`${RUNBOOKS}/${alert}`).targetBlank(true);
}

interface Step {
  readonly value: number | null;
  readonly color: string;
}

function stepsOf(judged?: Judged): Step[] {
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

/** Lines over time; `stacked` where they add up to a whole. What has a colour of its own has it on every graph. */
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
  if (text.runbook !== undefined) panel.links([runbook(text.runbook)]);
  if (stacked) panel.stacking(new StackingConfigBuilder().mode(StackingMode.Normal));
  for (const query of queriesOf(lines)) panel.withTarget(query);
  for (const [pattern, color] of colorsOf(lines.map(([, legend]) => legend)))
    panel.overrideByRegexp(pattern, [{ id: "color", value: { mode: FieldColorModeId.Fixed, fixedColor: color } }]);
  return panel;
}

function queriesOf(lines: readonly Line[]): DataqueryBuilder[] {
  return lines.map(([expr, legend], i) =>
    new DataqueryBuilder()
      .expr(expr)
      .legendFormat(legend)
      .range()
      .refId(String.fromCodePoint(0x41 + i)),
  );
}

/** Every observation of a histogram, as colours over time: what percentiles hide, such as two groups. */
export function heatmap(text: PanelText, metric: string, selector: string): HeatmapBuilder {
  const panel = new HeatmapBuilder()
    .title(text.title)
    .description(text.description)
    .unit(text.unit)
    .datasource(DATA_SOURCE)
    .span(GRAPH_COLUMNS)
    .height(GRAPH_ROWS)
    .maxDataPoints(HEATMAP_POINTS_MAX)
    .calculate(false)
    .color(new HeatmapColorOptionsBuilder().mode(HeatmapColorMode.Scheme).scheme("Oranges").steps(64).exponent(0.5))
    .withTarget(
      new DataqueryBuilder()
        .expr(`sum by (le) (increase(${metric}_bucket${selector}[$__rate_interval]))`)
        .format(PromQueryFormat.Heatmap)
        .legendFormat("{{le}}")
        .range()
        .refId("A"),
    );
  return text.runbook === undefined ? panel : panel.links([runbook(text.runbook)]);
}

/** What state it was in, over time. */
export function timeline(text: PanelText, lines: readonly Line[], meanings: Readonly<Record<string, Meaning>>): TimelineBuilder {
  const panel = new TimelineBuilder()
    .title(text.title)
    .description(text.description)
    .unit(text.unit)
    .datasource(DATA_SOURCE)
    .span(GRAPH_COLUMNS)
    .height(GRAPH_ROWS)
    .mergeValues(true)
    .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.Thresholds))
    .mappings([mapped(meanings)]);
  for (const query of queriesOf(lines)) panel.withTarget(query);
  return panel;
}

/** Quantile lines of a histogram. */
export function quantiles(metric: string, selector: string, quantilesShown: readonly number[]): Line[] {
  return quantilesShown.map((q) => [
    `histogram_quantile(${q}, sum by (le) (rate(${metric}_bucket${selector}[$__rate_interval])))`,
    `p${String(q * 100)}`,
  ]);
}
