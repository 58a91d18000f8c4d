import { DatasourceVariableBuilder, QueryVariableBuilder, VariableRefresh, VariableSort } from "@grafana/grafana-foundation-sdk/dashboard";
import { DATA_SOURCE } from "./panels.ts";

/** The Prometheus to ask: the one variable that makes an import need no edit. */
export function dataSourceVariable(): DatasourceVariableBuilder {
  return new DatasourceVariableBuilder("datasource").label("Data source").type("prometheus");
}

/** The values of a label; `several` allows more than one at a time, all of them at first. */
export function labelVariable(label: string, title: string, metric: string, several: boolean): QueryVariableBuilder {
  const variable = new QueryVariableBuilder(label)
    .label(title)
    .datasource(DATA_SOURCE)
    .query({ query: `label_values(${metric}, ${label})`, refId: label })
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalAsc);
  if (!several) return variable;
  return variable.multi(true).includeAll(true).allValue(".*").current({ text: "All", value: "$__all", selected: true });
}
