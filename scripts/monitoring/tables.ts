import { DashboardLinkBuilder } from "@grafana/grafana-foundation-sdk/dashboard";
import type { DynamicConfigValue } from "@grafana/grafana-foundation-sdk/dashboard";
import { DataqueryBuilder, PromQueryFormat } from "@grafana/grafana-foundation-sdk/prometheus";
import { TableSortByFieldStateBuilder } from "@grafana/grafana-foundation-sdk/common";
import { PanelBuilder as TableBuilder } from "@grafana/grafana-foundation-sdk/table";
import type { Meaning } from "./colors.ts";
import { DATA_SOURCE, mapped } from "./panels.ts";
import type { PanelText } from "./panels.ts";

/** No table has more rows: the reader wants the worst. */
export const ROWS_MAX = 50;

/** A column with numbers: one query, one value for each row. */
export interface Column {
  readonly title: string;
  readonly expr: string;
  readonly unit: string;
  readonly meanings?: Readonly<Record<string, Meaning>>;
  readonly width?: number;
}

/** A column with a label of the rows. */
export interface Key {
  readonly label: string;
  readonly title: string;
  readonly link?: { readonly title: string; readonly url: string };
  readonly width?: number;
}

/** Rows that share their labels in all queries, the largest value of `sortedBy` first. */
export function table(text: PanelText, keys: readonly Key[], columns: readonly Column[], sortedBy: string): TableBuilder {
  const panel = new TableBuilder()
    .title(text.title)
    .description(text.description)
    .unit(text.unit)
    .datasource(DATA_SOURCE)
    .noValue("None")
    .sortBy([new TableSortByFieldStateBuilder().displayName(sortedBy).desc(true)])
    .withTransformation({ id: "merge", options: {} })
    .withTransformation({ id: "organize", options: organized(keys, columns) });
  for (const [i, { expr }] of columns.entries())
    panel.withTarget(new DataqueryBuilder().expr(expr).format(PromQueryFormat.Table).instant().refId(refOf(i)));
  for (const { title, unit, meanings, width } of columns) panel.overrideByName(title, columnStyle(unit, meanings, width));
  for (const { label, title, link, width } of keys) {
    const wide = width === undefined ? [] : [{ id: "custom.width", value: width }];
    const links = link === undefined ? [] : [{ id: "links", value: [new DashboardLinkBuilder(link.title).url(link.url).build()] }];
    panel.overrideByName(label, [{ id: "displayName", value: title }, ...links, ...wide]);
  }
  return panel;
}

/** The names that Grafana gives the values of several queries become titles; the labels stay, since links name them. */
function organized(keys: readonly Key[], columns: readonly Column[]): object {
  const fieldOf = (i: number): string => (columns.length === 1 ? "Value" : `Value #${refOf(i)}`);
  const order = [...keys.map(({ label }) => label), ...columns.map((_, i) => fieldOf(i))];
  return {
    excludeByName: { Time: true },
    indexByName: Object.fromEntries(order.map((name, i) => [name, i])),
    renameByName: Object.fromEntries(columns.map(({ title }, i) => [fieldOf(i), title])),
  };
}

function columnStyle(
  unit: string,
  meanings: Readonly<Record<string, Meaning>> | undefined,
  width: number | undefined,
): DynamicConfigValue[] {
  const style: DynamicConfigValue[] = [{ id: "unit", value: unit }];
  if (width !== undefined) style.push({ id: "custom.width", value: width });
  if (meanings !== undefined)
    style.push({ id: "mappings", value: [mapped(meanings)] }, { id: "custom.cellOptions", value: { type: "color-background" } });
  return style;
}

function refOf(index: number): string {
  return String.fromCodePoint(0x41 + index);
}
