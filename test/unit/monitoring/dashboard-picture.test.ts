import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, it } from "vitest";
import { dashboardPicture } from "../../../scripts/monitoring/picture/dashboard-picture.ts";

const RANGE = { from: 1_000, to: 4_600 };
let server: Server | undefined;
afterEach(() => void server?.close());

/** Answers every query with these lines, and keeps what was asked. */
async function prometheus(result: readonly object[], asked: string[] = []): Promise<string> {
  server = createServer((request, response) => {
    asked.push(decodeURIComponent(request.url ?? ""));
    response.end(JSON.stringify({ status: "success", data: { result } }));
  });
  await new Promise<void>((done) => server?.listen(0, "127.0.0.1", done));
  return `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
}

const GRID = { x: 0, y: 0, w: 12, h: 8 };
const WORDS = [{ options: { "2": { text: "Late & lost", color: "red" } } }];

it("says a mapped value in words, and escapes what SVG would read", async () => {
  const asked: string[] = [];
  const url = await prometheus(
    [
      {
        metric: {},
        values: [
          [1_000, "1"],
          [4_600, "2"],
        ],
      },
    ],
    asked,
  );
  const panel = {
    type: "stat",
    title: "a < b",
    gridPos: GRID,
    targets: [{ expr: 'up{job=~"$job"}[$__rate_interval]', refId: "A" }],
    options: { colorMode: "background" },
    fieldConfig: { defaults: { mappings: WORDS }, overrides: [] },
  };
  const picture = await dashboardPicture({ title: "One", panels: [panel] }, url, RANGE, { job: ".*" });
  expect(picture).toContain(">Late &amp; lost<");
  expect(picture).toContain(">a &lt; b<");
  expect(picture).toContain('fill="#f2495c"');
  expect(asked[0]).toContain('query=up{job=~".*"}[60s]');
});

it("draws the rows of a table by what they share, the longest trouble first, with what is missing left empty", async () => {
  const row = (subscription: string, value: string): object => ({ metric: { subscription }, value: [4_600, value] });
  const url = await prometheus([row("young", "60"), row("old", "7200")]);
  const panel = {
    type: "table",
    gridPos: GRID,
    targets: [{ expr: "since", refId: "A", instant: true }],
    transformations: [{ id: "organize", options: { indexByName: { subscription: 0, Value: 1 }, renameByName: { Value: "Since" } } }],
    fieldConfig: { defaults: {}, overrides: [{ matcher: { id: "byName", options: "Since" }, properties: [{ id: "unit", value: "s" }] }] },
  };
  const picture = await dashboardPicture({ title: "Who", panels: [panel] }, url, RANGE, {});
  expect(picture.indexOf(">old<")).toBeGreaterThan(0);
  expect(picture.indexOf(">old<")).toBeLessThan(picture.indexOf(">young<"));
  expect(picture).toContain(">2 hours<");
  expect(picture).toContain(">1 mins<");
});

it("draws lines in the colours that the panel fixes for their names", async () => {
  const url = await prometheus([
    {
      metric: { outcome: "timeout" },
      values: [
        [1_000, "1"],
        [4_600, "3"],
      ],
    },
  ]);
  const color = { id: "color", value: { mode: "fixed", fixedColor: "purple" } };
  const panel = {
    type: "timeseries",
    gridPos: GRID,
    targets: [{ expr: "x", refId: "A", legendFormat: "{{outcome}}" }],
    fieldConfig: { defaults: { unit: "ops" }, overrides: [{ matcher: { id: "byRegexp", options: "^(timeout)$" }, properties: [color] }] },
  };
  const picture = await dashboardPicture({ title: "Outcomes", panels: [panel] }, url, RANGE, {});
  expect(picture).toContain('stroke="#b877d9"');
  expect(picture).toContain(">timeout<");
});

it("names the panel whose query is refused", async () => {
  server = createServer((_request, response) => response.end(JSON.stringify({ status: "error", error: "parse error" })));
  await new Promise<void>((done) => server?.listen(0, "127.0.0.1", done));
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  const panel = { type: "stat", title: "Broken", gridPos: GRID, targets: [{ expr: "x{", refId: "A" }] };
  await expect(dashboardPicture({ title: "x", panels: [panel] }, url, RANGE, {})).rejects.toThrow('panel "Broken": parse error: x{');
});
