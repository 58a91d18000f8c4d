import { describe, expect, test } from "vitest";
import { HTTP } from "cloudevents";
import type { CloudEvent } from "cloudevents";
import { compileBody } from "../../../src/core/expression/compile.ts";
import { scalarAt } from "../../../src/core/json-scalar.ts";
import { percentEncode, renderPayload, withBodyToken } from "../../../src/core/payload.ts";
import type { Payload } from "../../../src/core/payload.ts";
import type { Event } from "../../../src/core/event.ts";
import type { PayloadFormat } from "../../../src/core/subscription.ts";
import { uuidv7 } from "../../../src/lib/random.ts";
import { anEvent } from "../../support/delivery/attempt-input.ts";

function render(format: PayloadFormat, event: Event = anEvent(), source?: string): Payload {
  const compiled = source === undefined ? undefined : compileBody(source);
  const rendering = renderPayload(
    event,
    { format, formParameter: "payload", body: source },
    compiled?.ok === true ? compiled.value : undefined,
  );
  if (!rendering.ok) throw new Error(rendering.message);
  return rendering.payload;
}
const text = (payload: Payload): string => Buffer.from(payload.body).toString();
const DATA = '{ "z":1.0, "a":[1e2 ],"u":"\\u00e4\\ud800" }';
const ACCEPTED_AT = "2026-03-04T05:06:07.089Z";
const odd = anEvent({ id: uuidv7(Date.parse(ACCEPTED_AT)), data: Buffer.from(DATA), type: 'a"b', time: undefined, receivedAtMs: 0 });

describe("formats", () => {
  test("StandardWebhooks splices the bytes in", () => {
    expect(text(render("StandardWebhooks", odd))).toBe(`{"type":"a\\"b","timestamp":"${ACCEPTED_AT}","data":${DATA}}`);
  });
  test("without a time of its own the event's is the wall's at acceptance, in every format and attempt; engine time is never shown", () => {
    for (const format of ["StandardWebhooks", "CloudEventsStructured"] as const) {
      expect(text(render(format, odd))).toContain(`"${ACCEPTED_AT}"`);
      expect(text(render(format, { ...odd, receivedAtMs: 86_400_000 }))).toBe(text(render(format, odd)));
    }
    expect(render("CloudEventsBinary", odd).headers).toContainEqual(["ce-time", ACCEPTED_AT]);
  });
  test("an id that tells no time (an event of a foreign store) leaves the time of receipt", () => {
    expect(text(render("StandardWebhooks", { ...odd, id: "evt_1" }))).toContain('"timestamp":"1970-01-01T00:00:00.000Z"');
  });
  test.each([
    ["text", "hä\n", '"hä\\n"'],
    ["form", "b=1&a=%C3%A4&b=2", '{"b":["1","2"],"a":"ä"}'],
    ["binary", "\u0000\u0001", '"AAE="'],
    ["none", "", "null"],
  ] as const)("StandardWebhooks wraps %s", (dataKind, data, expected) => {
    expect(text(render("StandardWebhooks", anEvent({ dataKind, data: Buffer.from(data) })))).toBe(
      `{"type":"order.paid","timestamp":"2026-01-02T03:04:05Z","data":${expected}}`,
    );
  });
  test("Raw sends the bytes under their own type", () => {
    const payload = render("Raw", anEvent({ dataKind: "binary", dataContentType: "image/png", data: Buffer.from([137, 0, 255]) }));
    expect(payload.contentType).toBe("image/png");
    expect([...payload.body]).toEqual([137, 0, 255]);
  });
  test("Form percent-encodes the JSON body", () => {
    const payload = render("Form", anEvent({ data: Buffer.from('{"a":"ä ~-._+"}') }), "event.data");
    expect(payload.contentType).toBe("application/x-www-form-urlencoded");
    expect(text(payload)).toBe("payload=%7B%22a%22%3A%22%C3%A4%20~-._%2B%22%7D");
    expect(new URLSearchParams(text(payload)).get("payload")).toBe('{"a":"ä ~-._+"}');
  });
  test("payload.body replaces the JSON body", () => {
    expect(text(render("Raw", odd, "{'v': '1.0', 'd': event.data}"))).toBe(`{"v":"1.0","d":${DATA}}`);
  });
  test.each(["CloudEventsStructured", "CloudEventsBinary"] as const)("%s is read by the cloudevents package", (format) => {
    const event = anEvent({ extensions: { tenant: "a b" }, subject: "ü" });
    const payload = render(format, event);
    const headers: Record<string, string> = Object.fromEntries(payload.headers);
    headers["content-type"] = payload.contentType ?? "";
    const read = HTTP.toEvent({ headers, body: text(payload) }) as CloudEvent<unknown>;
    expect(read).toMatchObject({ id: "order-1", source: "/orders", type: "order.paid", specversion: "1.0", data: { id: 42 } });
    if (format === "CloudEventsStructured") expect(read).toMatchObject({ subject: "ü", tenant: "a b" });
    else expect(headers).toMatchObject({ "ce-subject": "%C3%BC", "ce-tenant": "a%20b" });
  });
  test("CloudEventsStructured carries bytes as data_base64 and text as text", () => {
    expect(
      JSON.parse(
        text(render("CloudEventsStructured", anEvent({ dataKind: "binary", data: Buffer.from([0]), dataContentType: "image/png" }))),
      ),
    ).toMatchObject({ data_base64: "AA==" });
    expect(JSON.parse(text(render("CloudEventsStructured", anEvent({ dataKind: "form", data: Buffer.from("a=1") }))))).toMatchObject({
      data: "a=1",
    });
    expect(JSON.parse(text(render("CloudEventsStructured", anEvent({ dataKind: "none" }))))).not.toHaveProperty("data");
  });
});

describe("body tokens", () => {
  const json = (body: string): Payload => ({ contentType: "application/json", body: Buffer.from(body), headers: [] });
  test.each([
    ['{"a":1.0}', '{"token":"7|x","a":1.0}'],
    ["{}", '{"token":"7|x"}'],
    [' { "b":2,"token" : 5 , "a":1}', ' { "b":2,"token" : "7|x" , "a":1}'],
  ])("%s becomes %s", (before, after) => expect(text(withBodyToken(json(before), "token", "7|x")!)).toBe(after));
  test("a form gets a parameter", () => {
    const form = { contentType: "application/x-www-form-urlencoded", body: Buffer.from("payload=%7B%7D"), headers: [] };
    expect(text(withBodyToken(form, "token", "7|x")!)).toBe("payload=%7B%7D&token=7%7Cx");
  });
  test.each(["[1]", "text", ""])("%s cannot hold one", (body) => expect(withBodyToken(json(body), "token", "x")).toBeUndefined());
});

test("percentEncode keeps exactly the unreserved characters", () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  expect(percentEncode(bytes)).toMatch(/^(?:[A-Za-z0-9._~-]|%[0-9A-F]{2})+$/);
  expect(percentEncode(bytes).replaceAll(/%../g, "_")).toHaveLength(256);
});

test("scalarAt reads a record id as written", () => {
  const bytes = Buffer.from('{"data":{"id":10.50,"s":"ä","o":{}}}');
  expect(
    [
      ["data", "id"],
      ["data", "s"],
      ["data", "o"],
      ["data", "x"],
    ].map((path) => scalarAt(bytes, path)),
  ).toEqual(["10.50", "ä", undefined, undefined]);
});
