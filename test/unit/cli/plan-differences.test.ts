import { describe, expect, it } from "vitest";
import { checkManifests } from "../../../src/cli/manifest-check.ts";
import { bodyAsLines, differences, lineDiff } from "../../../src/cli/plan/differences.ts";
import { pairsOf } from "../../../src/cli/plan/pairs.ts";
import { eventOfDetail } from "../../../src/cli/plan/past-events.ts";
import { ExpressionCache } from "../../../src/controller/subscription/expression-cache.ts";
import { subscription } from "../../support/manifests.ts";

it.each([
  [{ a: 1 }, { a: 1 }, []],
  [{ a: 1 }, { a: 2, b: {} }, ["a", "b"]],
  [{ a: { b: [1, 2] } }, { a: { b: [1, 3] } }, ["a.b[1]"]],
  [{ a: [1] }, { a: [1, 2] }, ["a"]],
  [{ a: null }, {}, ["a"]],
  [undefined, { a: 1 }, [""]],
])("%j and %j differ at %j", (before, after, paths) => {
  expect(differences(before, after).map(({ path }) => path)).toEqual(paths);
});

describe("a diff by lines", () => {
  it.each([
    ["a b c", "a b c", ""],
    ["a b c", "a x c", "  a|- b|+ x|  c"],
    ["", "a", "- |+ a"],
    ["1 2 3 4 5 6 7", "1 2 3 4 5 6 8", "  5|  6|- 7|+ 8"],
    ["x 2 3 4 5 6 7", "y 2 3 4 5 6 8", "- x|+ y|  2|  3|  …|  5|  6|- 7|+ 8"],
    ["a b", "b a", "- a|  b|+ a"],
  ])("of '%s' and '%s'", (before, after, diff) => {
    expect(lineDiff(before.split(" "), after.split(" ")).join("|")).toBe(diff);
  });

  it("has a bound, and says so", () => {
    const many = Array.from({ length: 1_001 }, (_, at) => String(at));
    expect(lineDiff(many, many)).toEqual([]);
    expect(lineDiff(many, ["a"])).toEqual(["(they differ; 1001 and 1 lines are too many to compare by lines)"]);
  });

  it("of JSON is by its values, numbers as they are spelled; of anything else by its own lines", () => {
    expect(bodyAsLines('{"a":12.50,"b":[1E2]}')).toEqual(["{", '  "a": 12.50,', '  "b": [', "    1E2", "  ]", "}"]);
    expect(bodyAsLines("a=1&b=2")).toEqual(["a=1&b=2"]);
  });
});

it("a spec of a newer operator is not compared by halves", () => {
  const check = checkManifests(
    [{ file: "a.yaml", text: subscription({ name: "crm", url: "https://a.example.com/" }) }],
    new ExpressionCache(),
  );
  const spec = { events: { types: ["order.*"] }, endpoint: { url: "https://a.example.com/" }, fromTheFuture: 1 };
  const row = { name: "crm", namespace: "shop", uid: "u", generation: 1, spec };
  expect(() => pairsOf(check, "shop", [row])).toThrow(/shop\/crm cannot be read by this version.*fromTheFuture/);
  const { fromTheFuture: _, ...known } = spec;
  expect(pairsOf(check, "shop", [{ ...row, spec: known }]).map(({ spec: changes }) => changes.map(({ path }) => path))).toEqual([
    ["signing"],
  ]);
});

describe("an event as the API shows it is the event that was accepted", () => {
  const detail = {
    id: "e",
    sourceID: "s",
    source: "/s",
    type: "t",
    subject: null,
    time: null,
    receivedTime: "2026-01-01T00:00:00Z",
    extensions: { tenant: 7 as unknown as string },
    dataKept: true,
  };
  it.each([
    [{ text: '{"a":1}' }, "application/json", "json"],
    [{ text: '{"a":1}' }, "application/vnd.x+json; charset=utf-8", "json"],
    [{ text: "{broken" }, "application/json", "binary"],
    [{ text: "a=1" }, "application/x-www-form-urlencoded", "form"],
    [{ text: "hello" }, "text/plain", "text"],
    [{ base64: "/w==" }, "text/plain", "binary"],
    [{ base64: "/w==" }, null, "binary"],
    [null, null, "none"],
  ] as const)("%j of type %s is %s", (data, dataContentType, kind) => {
    const event = eventOfDetail("shop", { ...detail, data, dataContentType });
    expect(event).toMatchObject({ dataKind: kind, namespace: "shop", subject: undefined, extensions: { tenant: 7 } });
    expect(event.receivedAtMs).toBe(Date.UTC(2026, 0, 1));
  });
});
