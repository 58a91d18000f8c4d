import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { all, CHART, dashboard, DASHBOARDS, panels } from "../../support/observe/dashboard-file.ts";

const RUNBOOKS = join(CHART, "../../docs/runbooks");
/** What is left of Grafana's grid below the first screen of 1080 lines. */
const FIRST_SCREEN_ROWS = 24;

describe.each(DASHBOARDS)("the dashboard %s", (name) => {
  it("can be imported as it is: the data source is a variable, rates take Grafana's interval, everything has a unit and a word of explanation", () => {
    expect(dashboard(name).templating.list[0]).toMatchObject({ name: "datasource", type: "datasource", query: "prometheus" });
    for (const panel of panels(name)) {
      expect(panel.datasource, panel.title).toEqual({ type: "prometheus", uid: "${datasource}" });
      expect(panel.fieldConfig?.defaults.unit, panel.title).toMatch(/^(ops|reqps|short|s|bytes|percentunit)$/);
      expect(panel.description, panel.title).toMatch(/\.$/);
    }
    const rates = panels(name).flatMap(({ type, targets }) => (type === "timeseries" || type === "heatmap" ? (targets ?? []) : []));
    // What is drawn over time takes Grafana's interval; what is asked of now may name its own time.
    for (const { expr } of rates) expect(expr.replaceAll(/\[(\$__rate_interval|6h)\]/g, "")).not.toMatch(/\[/);
  });

  it("shows each start with its version and each critical alert, and leads on to pages that exist", () => {
    expect(dashboard(name).annotations.list.map((annotation) => annotation.name)).toEqual(["Starts", "Critical alerts"]);
    const pages = all(name).flatMap(({ links = [] }) => links.map(({ url }) => url));
    expect(pages.length).toBeGreaterThan(5);
    for (const url of pages) {
      const [, page = ""] = /^\$\{runbooks\}\/(\w+)$/.exec(url) ?? [];
      expect(existsSync(join(RUNBOOKS, `${page}.md`)), url).toBe(true);
    }
  });

  it("gives an outcome the same colour on every graph, and says states in words", () => {
    const graphs = panels(name).filter(
      ({ type, targets }) => type === "timeseries" && targets?.some(({ legendFormat }) => legendFormat === "{{outcome}}"),
    );
    expect(graphs.length).toBeGreaterThan(0);
    for (const { fieldConfig } of graphs)
      expect(JSON.stringify(fieldConfig?.overrides)).toContain(
        '"options":"^(timeout)$"},"properties":[{"id":"color","value":{"mode":"fixed","fixedColor":"purple"}}]',
      );
    const worded = panels(name).filter(({ fieldConfig }) => (fieldConfig?.defaults.mappings ?? []).length > 0);
    expect(worded.length).toBeGreaterThan(1);
  });
});

it("the four questions and the table of those in trouble are on the first screen", () => {
  const first = dashboard("fleet").panels.filter(({ gridPos }) => gridPos.y + gridPos.h <= FIRST_SCREEN_ROWS);
  const questions = [
    "Is it delivering?",
    "Who is in trouble?",
    "Since when?",
    "Us or them?",
    "Who is in trouble, and since when",
    "Alerts",
  ];
  expect(first.map(({ title }) => title)).toEqual(expect.arrayContaining(questions));
});

describe("the way from one dashboard to the other", () => {
  const uids = DASHBOARDS.map((name) => dashboard(name).uid);
  const links = DASHBOARDS.flatMap((name) => [
    ...dashboard(name).links,
    ...panels(name).flatMap(({ fieldConfig }) => fieldConfig?.defaults.links ?? []),
    ...panels(name)
      .flatMap(({ fieldConfig }) =>
        (fieldConfig?.overrides ?? []).flatMap(({ properties }) =>
          properties.flatMap(({ id, value }) => (id === "links" ? (value as { url: string }[]) : [])),
        ),
      )
      .filter(({ url }) => url.startsWith("/")),
  ]);

  it("leads to one that is there, and never carries several namespaces to where one is chosen", () => {
    expect(links.length).toBeGreaterThanOrEqual(5);
    for (const { url } of links) expect(uids).toContain(/^\/d\/([^?]+)\?/.exec(url)?.[1]);
    for (const { links: above } of DASHBOARDS.map(dashboard)) expect(above.filter(({ includeVars }) => includeVars)).toEqual([]);
    expect(links.filter(({ url }) => url.startsWith("/d/postrider-subscription") && url.includes("${namespace"))).toEqual([]);
  });

  it("starts at every line of who is in trouble, and every panel has a number of its own", () => {
    const named = panels("fleet").filter(({ targets }) => targets?.some(({ legendFormat }) => legendFormat?.includes("{{subscription}}")));
    expect(named.length).toBe(1);
    for (const { fieldConfig } of named)
      expect(fieldConfig?.defaults.links?.[0]?.url).toContain("var-subscription=${__field.labels.subscription:percentencode}");
    const rows = panels("fleet").filter(
      ({ type, fieldConfig }) => type === "table" && JSON.stringify(fieldConfig).includes("var-subscription="),
    );
    expect(rows.map(({ title }) => title)).toEqual(["Who is in trouble, and since when", "Alerts"]);
    for (const name of DASHBOARDS) expect(new Set(all(name).map(({ id }) => id)).size).toBe(all(name).length);
  });

  it("never draws a line for each namespace or subscription there is", () => {
    const asked = panels("fleet").flatMap(({ title, type, targets }) => (targets ?? []).map(({ expr }) => ({ title, type, expr })));
    const many = asked.filter(({ expr, title }) => /by \([^)]*(namespace|subscription)/.test(expr) && title !== "Alerts");
    const drawn = many.filter(({ type }) => type === "timeseries");
    expect(drawn.length).toBeGreaterThan(2);
    expect(drawn.filter(({ expr }) => !expr.startsWith("topk("))).toEqual([]);
    expect(many.filter(({ type, expr }) => type === "table" && !expr.includes("topk("))).toEqual([]);
    expect(many.filter(({ type, expr }) => type === "stat" && !/^(count|max|\(?group|\d \* group)\(/.test(expr))).toEqual([]);
  });
});
