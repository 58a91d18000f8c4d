import { expect, test } from "vitest";
import type { Event } from "../../../src/core/event.ts";
import { eventValue, orderKeyOf } from "../../../src/core/event-value.ts";

function eventOf(data: string, fields: Partial<Event> = {}): Event {
  return {
    id: "e",
    namespace: "ns",
    sourceId: "source-id",
    source: "/src",
    type: "a.b",
    subject: "order-7",
    time: undefined,
    dataContentType: "application/json",
    dataKind: "json",
    data: new TextEncoder().encode(data),
    extensions: { tenant: "t1" },
    receivedAtMs: 0,
    ...fields,
  };
}

test.each([
  ["subject", "order-7"],
  ["id", "source-id"],
  ["source", "/src"],
  ["type", "a.b"],
  ["tenant", "t1"],
  ["data.id", "9007199254740993"],
  ["event.data.id", "9007199254740993"],
  ["event.subject", "order-7"],
  ["event.tenant", "t1"],
  ["event", undefined],
  ["event.", undefined],
  ["event.event.subject", undefined],
  ["data.deep.name", "ü"],
  ["data.flag", "true"],
  ["data.none", undefined],
  ["data.null", undefined],
  ["data.empty", undefined],
  ["data.deep", undefined],
  ["data.list", undefined],
  ["nothing", undefined],
  ["subject.x", undefined],
])("%s of a JSON event is %s", (path, value) => {
  const data = '{"id":9007199254740993,"deep":{"name":"\\u00fc"},"flag":true,"null":null,"empty":"","list":[1]}';
  expect(eventValue(eventOf(data), path)).toBe(value);
});

test("a parameter of a form, and nothing of other data", () => {
  expect(eventValue(eventOf("id=a%20b&id=c", { dataKind: "form" }), "data.id")).toBe("a b");
  expect(eventValue(eventOf("id", { dataKind: "text" }), "data.id")).toBeUndefined();
});

test("no subject is no order; a long key keeps apart what differs at its end", () => {
  expect(orderKeyOf(eventOf("{}", { subject: undefined }), "subject")).toBeUndefined();
  expect(orderKeyOf(eventOf("{}"), "subject")).toBe("order-7");
  const long = (end: string): string | undefined => orderKeyOf(eventOf("{}", { subject: "x".repeat(300) + end }), "subject");
  expect(long("a")).toHaveLength("sha256:".length + 43);
  expect(long("a")).not.toBe(long("b"));
});
