import { expect, it } from "vitest";
import { celHint } from "../../../src/core/expression/cel-hints.ts";
import { compileBody, compileFilter } from "../../../src/core/expression/compile.ts";

/** What people of other languages write, each of which must neither compile nor be left without a word. */
it.each([
  ['event.data.a == 1 and event.type == "x"', "&& for and"],
  ["event.data.a == 1 AND event.data.b == 2", "&& for and"],
  ["event.data.a or event.data.b", "|| for or"],
  ["not event.data.a", "!(…) for not"],
  ['event.type = "x"', "== for ="],
  ['event.type === "x"', "== for ==="],
  ['event.type !== "x"', "!= for !=="],
  ['event.type <> "x"', "!= for <>"],
  ['event.type =~ "x.*"', "matches"],
  ["event.data.a & event.data.b", "&& for &"],
  ["event.data.a | event.data.b", "|| for |"],
  ["event.type == “x”", "quotes are straight"],
  ["event.type == ‘x’", "quotes are straight"],
  ["event.data.a == None", "null"],
  ["event.data.a == True", "true"],
  ["event.data.a is null", "null"],
  ['event.type in ("a", "b")', "in brackets"],
  ['event.type like "a%"', "contains("],
  ["event.data.a ?? 1 > 0", "has("],
  ["{{ event.data.a }}", "without {{ }}"],
  ["$.event.data.a", "without $"],
  ["event.data.a > 1;", "without ;"],
  ["if (event.data.a) true", "a ? b : c"],
  ["event.type == 'order.paid", "left over"],
])("%s", (source, expected) => {
  const compiled = compileFilter(source);
  expect(compiled.ok).toBe(false);
  if (!compiled.ok) expect(celHint(source, compiled.problem.message)).toContain(expected);
});

/** Functions of other languages; whether they compile is the compiler's. */
it.each([
  ['event.type.startswith("a")', "startsWith"],
  ['event.type.includes("a")', "contains"],
  ["event.type.toLowerCase() == 'a'", "lowerAscii"],
  ["len(event.data.a) > 1", "size"],
])("%s", (source, expected) => {
  expect(celHint(source, "")).toContain(expected);
});

it("keys of a map without quotes", () => {
  const source = "{version: 1, 'data': event.data}";
  const compiled = compileBody(source);
  expect(compiled.ok ? "" : celHint(source, compiled.problem.message)).toContain('the keys of a map are in quotes: {"version": …}');
});

it.each(['event.data.a == "this and that, a = b" +', "event.data.a == 'not; {{x}}' &&", "event.data.a > "])(
  "says nothing of what stands in a text: %s",
  (source) => {
    expect(compileFilter(source).ok).toBe(false);
    expect(celHint(source, "")).toBe("");
  },
);
