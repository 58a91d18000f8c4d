import { gunzipSync } from "node:zlib";
import { expect, it } from "vitest";
import { SystemClock } from "../../../src/lib/clock.ts";
import { boundText, labelText, PageText } from "../../../src/observe/exposition.ts";
import { packPage, unpacked } from "../../../src/observe/packed-page.ts";
import { formFor, takesGzip } from "../../../src/observe/scrape.ts";

/** What Prometheus 2.42 and 3 send. */
const PROMETHEUS_2 =
  "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
const PROMETHEUS_3 =
  "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";

it.each([
  [undefined, "text"],
  ["*/*", "text"],
  ["text/plain", "text"],
  ["application/openmetrics-text", "openmetrics"],
  ["application/openmetrics-text;q=0", "text"],
  ["application/openmetrics-text; q=0.2, text/plain; q=0.9", "text"],
  ["application/openmetrics-textual", "text"],
  [PROMETHEUS_2, "openmetrics"],
  [PROMETHEUS_3, "openmetrics"],
])("a reader that accepts %s is given %s", (accept, form) => {
  expect(formFor(accept)).toBe(form);
});

it.each([
  [undefined, false],
  ["", false],
  ["gzip", true],
  ["GZIP;q=0.5, deflate", true],
  ["gzip;q=0", false],
  ["identity, *;q=0.1", true],
  ["gzip;q=0, *", false],
  ["br", false],
])("a reader that accepts the codings %s: gzip %s", (codings, isPacked) => {
  expect(takesGzip(codings)).toBe(isPacked);
});

it("a counter's family is named without _total in OpenMetrics only, and only there are exemplars", () => {
  const written = (form: "text" | "openmetrics"): string => {
    const page = new PageText(form);
    page.head({ name: "x_total", help: "How many.", kind: "counter" });
    page.line("x_total", 'a="1"', 2, { labels: { delivery_id: "f" }, value: 0.5 });
    page.head({ name: "y_total", help: "Now.", kind: "gauge" });
    page.line("y_total", "", Number.NaN);
    return page.end();
  };
  expect(written("text")).toBe(
    '# HELP x_total How many.\n# TYPE x_total counter\nx_total{a="1"} 2\n# HELP y_total Now.\n# TYPE y_total gauge\ny_total NaN\n',
  );
  expect(written("openmetrics")).toBe(
    '# HELP x How many.\n# TYPE x counter\nx_total{a="1"} 2 # {delivery_id="f"} 0.5\n# HELP y_total Now.\n# TYPE y_total gauge\ny_total NaN\n# EOF\n',
  );
});

it("labels are escaped, and bounds are floats", () => {
  expect(labelText({ a: 'x"y\\z\n', le: 1 })).toBe('a="x\\"y\\\\z\\n",le="1.0"');
  expect([60, 0.25, 345_600, Number.POSITIVE_INFINITY].map(boundText)).toEqual(["60.0", "0.25", "345600.0", "+Inf"]);
});

it("a long page is packed while it is written, others have their turn meanwhile, and both readers get the same", async () => {
  const line = 'postrider_deliveries_pending{namespace="shop",subscription="orders"} 1\n';
  const pieces = 400;
  function* written(): Generator<string> {
    for (let i = 0; i < pieces; i++) {
      yield "";
      yield line.repeat(1_000);
    }
  }
  let turns = 0;
  let over = false;
  const turn = (): void => {
    turns++;
    if (!over) setImmediate(turn);
  };
  turn();
  const page = await packPage(written(), new SystemClock());
  over = true;
  const whole = line.repeat(1_000 * pieces);
  expect(page.bytes).toBe(whole.length);
  expect(page.gzip.reduce((sum, { length }) => sum + length, 0)).toBe(page.gzipBytes);
  expect(page.gzipBytes).toBeLessThan(whole.length / 20);
  expect(gunzipSync(Buffer.concat(page.gzip)).equals(Buffer.from(whole))).toBe(true);
  const read: Uint8Array[] = [];
  for await (const piece of unpacked(page)) read.push(piece);
  expect(Buffer.concat(read).equals(Buffer.from(whole))).toBe(true);
  expect(turns).toBeGreaterThan(10);
});
