import {
  AnnotationQueryBuilder,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  TextBoxVariableBuilder,
  VariableRefresh,
  VariableSort,
} from "@grafana/grafana-foundation-sdk/dashboard";
import { RUNBOOK_BASE_URL } from "./alerts.ts";
import { DATA_SOURCE } from "./panels.ts";

/** The Prometheus to ask: the one variable that makes an import need no edit. */
export function dataSourceVariable(): DatasourceVariableBuilder {
  return new DatasourceVariableBuilder("datasource").label("Data source").type("prometheus");
}

/** Where the pages of docs/runbooks are; the chart's prometheusRule.runbookBaseURL replaces it. */
export function runbooksVariable(): TextBoxVariableBuilder {
  return new TextBoxVariableBuilder("runbooks").label("Runbooks").defaultValue(RUNBOOK_BASE_URL);
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

/** A line at each start of a process, with its version: the first suspect when something began. */
export function startsAnnotation(): AnnotationQueryBuilder {
  const versioned = "* on (job, instance) group_left (version) max by (job, instance, version) (postrider_build_info)";
  return new AnnotationQueryBuilder()
    .name("Starts")
    .datasource(DATA_SOURCE)
    .enable(true)
    .iconColor("blue")
    .expr(`max by (job, instance) (process_start_time_seconds{job=~"$job"}) * 1000 ${versioned}`)
    .useValueForTime(true)
    .titleFormat("Postrider {{version}} started")
    .textFormat("{{job}} {{instance}}");
}

/** A line while an alert that wakes someone up fires. */
export function pagesAnnotation(): AnnotationQueryBuilder {
  return new AnnotationQueryBuilder()
    .name("Critical alerts")
    .datasource(DATA_SOURCE)
    .enable(true)
    .iconColor("red")
    .expr('max by (alertname) (ALERTS{alertname=~"Postrider.+", alertstate="firing", severity="critical"})')
    .titleFormat("{{alertname}}")
    .step("60s");
}
