import { describe, expect, test } from "vitest";
import type { Event } from "../../../src/core/event.ts";
import { compileBody, compileFilter } from "../../../src/core/expression/compile.ts";
import { anEvent } from "../../support/delivery/attempt-input.ts";

function matches(source: string, event: Event = anEvent()): boolean | string {
  const compiled = compileFilter(source);
  if (!compiled.ok) throw new Error(compiled.problem.message);
  const result = compiled.value.evaluate(event);
  return result.ok ? result.matched : result.message;
}

function body(source: string, event: Event = anEvent()): string {
  const compiled = compileBody(source);
  if (!compiled.ok) throw new Error(compiled.problem.message);
  const result = compiled.value.evaluate(event);
  return result.ok ? Buffer.from(result.json).toString() : `! ${result.message}`;
}

const json = (data: string): Event => anEvent({ data: Buffer.from(data) });

describe("filters", () => {
  test.each([
    ["event.data.id > 41", true],
    ["event.data.id == 42 && event.type == 'order.paid'", true],
    ["event.data.price > 10.0", true],
    ["event.subject == '42'", true],
    ["event.type.startsWith('order.')", true],
    ["event.data.note.matches('^.$')", true],
    ["has(event.data.missing)", false],
    ["event.data.missing == 1", false],
    ["event.data.missing.deeper == 1", false],
    ["event.data['missing'] == 1", false],
    ["event.extensions.tenant == 'a'", false],
    ["event.data.missing == 1 || event.data.id == 42", true],
    ["event.source == '/orders' && event.dataContentType == 'application/json'", true],
  ])("%s is %s", (source, expected) => {
    expect(matches(source)).toBe(expected);
  });

  test("integers are exact", () => {
    const event = json('{"id":9007199254740993,"huge":123456789012345678901234567890}');
    expect(matches("event.data.id == 9007199254740993", event)).toBe(true);
    expect(matches("event.data.id == 9007199254740992", event)).toBe(false);
    // A double would be another number: what cannot be exact fails, also behind `||` (n8n-io/n8n#14715, n8n-io/n8n#26925).
    expect(matches("event.data.huge > 1e29 || true", event)).toMatch(/123456789012345678901234567890 is not exact/);
  });

  test.each([
    ["event.data.h == event.data.g", false],
    ["event.data.h < event.data.g", true],
    ["event.data.h == 12345678901234567000.0", false],
    ["event.data.h == 12345678901234567890u", true],
    ["event.data.h > event.data.i && event.data.h > 5", true],
    ["event.data.l.exists(x, x.id == 12345678901234567890u)", true],
    ["string(event.data.h) == '12345678901234567890'", true],
    ["event.data.lat > 52.5 && event.data.p == 12.5 && event.data.e == 100", true],
    ["event.data.fine > 0.05", /0.1000000000000000055511151231257827 is not exact.*send it as a string/],
  ])("unsigned and long numbers are exact, or fail: %s", (source, expected) => {
    const event = json(
      '{"h":12345678901234567890,"g":12345678901234567891,"i":9223372036854775807,"fine":0.1000000000000000055511151231257827,"lat":52.520006599999997,"p":12.50,"e":1E2,"l":[{"id":12345678901234567890}]}',
    );
    if (typeof expected === "boolean") expect(matches(source, event)).toBe(expected);
    else expect(matches(source, event)).toMatch(expected);
  });

  test("a body passes on numbers as they are spelled, in loops too, and fails where it computes with what is not exact", () => {
    const event = json(
      '{"big":993143214321423154315154321,"l":[{"id":12345678901234567890},{"id":18446744073709551615}],"o":{"n":0.1000000000000000055511151231257827}}',
    );
    const bodyOf = (source: string): string => {
      const body = compileBody(source);
      if (!body.ok) throw new Error(body.problem.message);
      const result = body.value.evaluate(event);
      return result.ok ? Buffer.from(result.json).toString() : result.message;
    };
    expect(bodyOf("{'big': event.data.big, 'o': event.data.o, 'ids': event.data.l.map(x, x.id)}")).toBe(
      '{"big":993143214321423154315154321,"o":{"n":0.1000000000000000055511151231257827},"ids":[12345678901234567890,18446744073709551615]}',
    );
    expect(bodyOf("[1].map(x, event.data.big)")).toBe("[993143214321423154315154321]");
    expect(bodyOf("[1].map(x, event.data.big > 1.0)")).toMatch(/not exact/);
    expect(bodyOf("[1].map(x, {'sum': event.data.big + 1.0})")).toMatch(/not exact/);
  });

  test("data that is not JSON is a string, an object of strings, or null", () => {
    expect(matches("event.data == 'hällo'", anEvent({ dataKind: "text", data: Buffer.from("hällo") }))).toBe(true);
    const form = anEvent({ dataKind: "form", data: Buffer.from("a=1&b=x&b=y") });
    expect(matches("event.data.a == '1' && event.data.b == ['x', 'y']", form)).toBe(true);
    expect(matches("event.data == null", anEvent({ dataKind: "none", data: Buffer.alloc(0) }))).toBe(true);
  });

  test("keys like __proto__ are only keys", () => {
    expect(matches("event.data.__proto__ == 1", json('{"__proto__":1}'))).toBe(true);
    expect(matches("has(event.data.constructor)", json("{}"))).toBe(false);
  });

  test("an error that is not absence is told", () => {
    expect(matches("event.data.id + 'x' == 'y'")).toMatch(/./);
    expect(matches("event.data.id")).toBe("the filter gave a number instead of true or false");
    expect(matches("1 / (event.data.id - 42) == 1")).toMatch(/divi/);
  });

  test.each([
    ["", "empty"],
    ["event.", "not a CEL expression"],
    ["evnt.type == 'a'", "'evnt' is not defined"],
    ["event.kind == 'a'", "event has no field 'kind'"],
    [`event.type == '${"a".repeat(2_048)}'`, "2048"],
    [`${"(".repeat(40)}true${")".repeat(40)}`, "32"],
    ["event.data.a.all(x, event.data.b.all(y, event.data.c.all(z, true)))", "2 levels allowed"],
    [`event.data${".a".repeat(100)}`, "96"],
    [Array.from({ length: 400 }, () => "true").join("||"), ""],
  ])("%# is refused or taken with its limit named", (source, message) => {
    const compiled = compileFilter(source);
    if (message === "") expect(compiled.ok || compiled.problem.message.length > 0).toBe(true);
    else
      expect(compiled).toMatchObject({
        ok: false,
        problem: { field: "spec.events.filter", reason: "InvalidFilter", message: expect.stringContaining(message) },
      });
  });

  test("works again after one was cut off", () => {
    expect(matches("event.data.all(x, event.data.all(y, true))", json(`[${"1,".repeat(40_000)}1]`))).toMatch(/150000 steps/);
    expect(matches("event.data.all(x, x > 0)", json("[1,2,3]"))).toBe(true);
  });
});

// n8n-io/n8n#14715, n8n-io/n8n#26925: what a body only hands on keeps value and spelling.
describe("numbers that a body hands on are spelled as received", () => {
  const event = json(
    '{"i":[{"id":-0,"p":12.50,"n":[1.0,2.00]},{"id":8202522731445525542,"p":1E2,"n":[]}],"m":{"x":1e400},"s":"a","o":{"p":1.10}}',
  );
  const bodyOf = (source: string): string => body(source, event);

  test.each([
    ["event.data.i.map(x, x.p)", "[12.50,1E2]"],
    ["event.data.i.map(x, {'id': x.id, 'p': x.p})", '[{"id":-0,"p":12.50},{"id":8202522731445525542,"p":1E2}]'],
    ["event.data.i.map(x, x.p > 50.0, x.p)", "[1E2]"],
    ["event.data.i.filter(x, x.p > 50.0).map(x, [x.p, x.p + 0.5])", "[[1E2,100.5]]"],
    ["event.data.i.map(x, x.p > 50.0 ? x.p : x.id)", "[-0,1E2]"],
    ["event.data.i.map(x, x.n.map(y, [y, x.p]))", "[[[1,12.50],[2,12.50]],[]]"],
    ["event.data.i.map(x, x.n)", "[[1.0,2.00],[]]"],
    ["event.data.i.map(x, x['p'])", "[12.50,1E2]"],
    ["event.data.i.map(x, x.p)[0]", "12.50"],
    ["event.data.i[0].p", "12.50"],
    ["event.data.i[0]['n'][1]", "2.00"],
    ["{'a': event.data.s == 'a' ? event.data.o.p : 0.0}", '{"a":1.10}'],
    ["event.data.i.map(x, x.p) + [event.data.m.x]", "[12.50,1E2,1e400]"],
    ["event.data.i[0].p + event.data.o.p", "13.6"],
    ["event.data.i.map(x, string(x.p))", '["12.5","100"]'],
    ["event.data.i.map(x, x.p).exists(p, p == 12.5)", "true"],
    ["event.data.i.map(x, {'p': x.p})[0].p == 12.5", "true"],
    ["size(event.data.i.map(x, x.p))", "2"],
    ["event.data.m.map(k, event.data.m[k])", "[1e400]"],
    ["{'a': [event.data.o]}", '{"a":[{"p":1.10}]}'],
    ["[{'a': 1.50}].map(x, x.a)", "[1.5]"],
    ["[[7, 8]].map(x, x[1])", "[8]"],
    ["[event.type].map(x, {'t': x, 'e': event.type, 'o': event.extensions})", '[{"t":"order.paid","e":"order.paid","o":{}}]'],
  ])("%s is %s", (source, expected) => {
    expect(bodyOf(source)).toBe(expected);
  });

  test.each([
    "event.data.i.map(x, x.none)",
    "event.data.i[7].p",
    "event.data.i[0].none",
    "event.data.s.map(x, x.p)",
    "event.data.i.map(x, x.p.q)",
    "(event.data.s == 'a' ? event.data.o.p : event.data.o).q",
    "event.data.o.p.q",
    "event.data.s.q",
    "event.data.i.map(x, x[0])",
  ])("%s fails as before, and says why", (source) =>
    expect(bodyOf(source)).toMatch(/^! .*(field not found|no such key|not found|no matching overload|index out of|invalid|type)/i),
  );
});

describe("what cannot be compared or called is named with its types", () => {
  test.each([
    ["event.data.total > 10", "'_>_' applied to '(string, int)': a text is no number; write double(…) around the text, or send a number"],
    ["10.5 <= event.data.total", "'_<=_' applied to '(double, string)': a text is no number"],
    ["event.data.total + 1 == 2", "'_+_' applied to '(string, int)': a text is no number"],
    ["event.data > 1", "'_>_' applied to '(map, int)'"],
    ["event.data.list > 1", "'_>_' applied to '(list, int)'"],
    ["event.data.nothing > 1", "'_>_' applied to '(null_type, int)'"],
    ["event.data.n.startsWith('a')", "'startsWith' applied to 'int.(string)'"],
    ["size(event.data.n) > 1", "'size' applied to '(int)'"],
  ])("%s", (source, message) => {
    const filter = compileFilter(source);
    if (!filter.ok) throw new Error(filter.problem.message);
    const verdict = filter.value.evaluate(json('{"total":"12.50","n":1,"list":[1],"nothing":null}'));
    expect(verdict).toMatchObject({ ok: false, message: expect.stringContaining(`found no matching overload for ${message}`) });
  });
});

describe("bodies", () => {
  test("keep written order, and bytes of values passed on whole", () => {
    const event = json('{"b":{"2":1.50,"1":1e3},"l":[ 1.0 , 2 ],"s":"\\u00e4","big":12345678901234567890}');
    expect(body("{'z': 1, '10': event.type, '2': event.data.b, 'l': event.data.l, 's': event.data.s, 'big': event.data.big}", event)).toBe(
      '{"z":1,"10":"order.paid","2":{"2":1.50,"1":1e3},"l":[ 1.0 , 2 ],"s":"\\u00e4","big":12345678901234567890}',
    );
    expect(body("event.data", event)).toBe(Buffer.from(event.data).toString());
    expect(body("[event.data.b, event.data.l.map(x, x)]", event)).toBe('[{"2":1.50,"1":1e3},[1,2]]');
    expect(body("event.data.l.size() > 1 ? {'many': event.data.b} : {}", event)).toBe('{"many":{"2":1.50,"1":1e3}}');
  });

  test("say why they fail", () => {
    expect(body("{'a': event.data.missing}")).toMatch(/^! /);
    expect(body("{'a': 1, 'a': 2}")).toBe("! the key 'a' appears twice");
    expect(body("{1: 2}")).toBe("! the keys of a JSON object must be strings");
    expect(body("{'a': 1.0 / 0.0}")).toMatch(/^! .*JSON/);
    expect(compileBody("{'a': }")).toMatchObject({ ok: false, problem: { field: "spec.payload.body", reason: "InvalidBody" } });
  });

  test("are cut off at their length", () => {
    expect(
      body("{'a': event.data, 'b': event.data, 'c': event.data, 'd': event.data, 'e': event.data}", json(`"${"x".repeat(250_000)}"`)),
    ).toMatch(/1048576/);
  });
});
