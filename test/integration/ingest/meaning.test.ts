import { afterEach, describe, expect, it } from "vitest";
import type { Event } from "../../../src/core/event.ts";
import { renderPayload } from "../../../src/core/payload.ts";
import type { PayloadSpec } from "../../../src/core/subscription.ts";
import { aRoute } from "../../support/delivery/attempt-input.ts";
import { compileFilter } from "../../../src/core/expression/compile.ts";
import { route, runningIngest, type RunningIngest } from "../../support/ingest/running-ingest.ts";

let running: RunningIngest | undefined;
afterEach(async () => {
  await running?.stop();
  running = undefined;
});

type Json = Record<string, unknown>;
const CE = "application/cloudevents+json";

async function start(): Promise<RunningIngest> {
  running = await runningIngest({ routes: [route("alpha", ["order.*"])] });
  return running;
}

async function post(body: string, headers: Record<string, string>): Promise<{ readonly status: number; readonly body: Json }> {
  const answer = await running!.post(body, headers);
  return { status: answer.status, body: (await answer.json()) as Json };
}

const structured = (data: string, more = '"datacontenttype":"application/json",'): [string, Record<string, string>] => [
  `{"specversion":"1.0","id":"7","source":"/s","type":"order.paid",${more}"data":${data}}`,
  { "content-type": CE },
];
const binary = (data: string, contentType = "application/json", more: Record<string, string> = {}): [string, Record<string, string>] => [
  data,
  { "content-type": contentType, "ce-specversion": "1.0", "ce-id": "7", "ce-source": "/s", "ce-type": "order.paid", ...more },
];

function sent(event: Event, format: PayloadSpec["format"]): string {
  const rendered = renderPayload(event, { ...aRoute({ url: "http://127.0.0.1" }).subscription.spec.payload, format }, undefined);
  if (!rendered.ok) throw new Error(rendered.message);
  return Buffer.from(rendered.payload.body).toString();
}

// CloudEvents 1.0.2, 3.1.1: producers give equal source and id to one event only; how it is spelled is the transport's.
describe("an event that came before in another spelling is a duplicate", () => {
  it.each([
    ["another mode", structured('{"a":1}'), binary('{"a":1}')],
    ["a charset that is UTF-8 anyway", binary('{"a":1}'), binary('{"a":1}', "application/json; charset=UTF-8")],
    ["no content type, which is that of JSON", structured('{"a":1}', ""), binary('{"a":1}', 'application/json;charset="utf-8"')],
    ["white space", structured('{"a":1}'), structured('{ "a" :\n1 }')],
    ["members in another order", structured('{"a":1,"b":[{"c":2,"d":3}]}'), structured('{"b":[{"d":3,"c":2}],"a":1}')],
    ["escapes", structured('{"a":"ü/"}'), structured('{"a":"\\u00fc\\/"}')],
    ["numbers", structured("[1,100,-0.5,0,12345678901234567890]"), structured("[1.0,1e2,-5E-1,-0.0,1234567890123456789e1]")],
  ])("%s", async (_what, first, second) => {
    await start();
    const accepted = await post(...first);
    expect(accepted.status).toBe(202);
    for (const again of [second, first]) {
      expect(await post(...again)).toEqual({ status: 202, body: { ...accepted.body, duplicate: true } });
    }
    expect(await running!.store.listDeliveries({ namespace: "shop", limit: 10 })).toHaveLength(1);
  });

  it.each([
    ["another value", structured('{"a":1}'), structured('{"a":2}')],
    ["a number that a double cannot tell from it", structured("12345678901234567890"), structured("12345678901234567891")],
    ["a fraction that a double cannot tell from it", structured("0.1"), structured("0.1000000000000000055511151231257827")],
    ["a number for its text", structured('{"a":1}'), structured('{"a":"1"}')],
    ["items in another order", structured("[1,2]"), structured("[2,1]")],
    ["one member more", structured('{"a":null}'), structured("{}")],
    ["another media type", binary('{"a":1}'), binary('{"a":1}', "application/problem+json")],
    ["text of another charset", binary("a", "text/plain"), binary("a", "text/plain; charset=iso-8859-1")],
    ["other white space in a text", binary("a b", "text/plain"), binary("a  b", "text/plain")],
    ["another subject", binary("{}"), binary("{}", "application/json", { "ce-subject": "x" })],
  ])("and one that says something else is a conflict: %s", async (_what, first, second) => {
    await start();
    expect((await post(...first)).status).toBe(202);
    expect(await post(...second)).toMatchObject({ status: 409, body: { code: "idempotency_conflict" } });
  });

  it("a batch of which many are spelled in another way is stored whole, each once", async () => {
    await start();
    const batch = (space: string, count: number): string =>
      `[${Array.from({ length: count }, (_none, i) => `{"specversion":"1.0","id":"${i}","source":"/s","type":"order.paid","data":{"a":${space}${i}}}`).join(",")}]`;
    const headers = { "content-type": "application/cloudevents-batch+json" };
    expect((await post(batch("", 20), headers)).status).toBe(202);
    const again = await post(batch(" ", 25), headers);
    expect(again.status).toBe(202);
    expect((again.body["items"] as Json[]).filter((item) => item["duplicate"] === true)).toHaveLength(20);
    expect(await running!.store.listDeliveries({ namespace: "shop", limit: 100 })).toHaveLength(25);
  });
});

// CloudEvents JSON format 1.0.2, 2.2: Boolean is a JSON boolean, Integer a JSON number.
describe("extension attributes keep their types", () => {
  const EVENT = `{"specversion":"1.0","type":"order.paid","source":"/mycontext","id":"C234","comexampleothervalue":5,"flag":false,"text":"5","low":-2147483648,"datacontenttype":"application/json","data":{"appinfoB":123}}`;

  async function stored() {
    await start();
    const { body } = await post(EVENT, { "content-type": CE });
    return (await running!.store.readEvent("shop", String(body["id"])))!;
  }

  it("from JSON to JSON", async () => {
    const event = await stored();
    expect(event.extensions).toEqual({ comexampleothervalue: 5, flag: false, text: "5", low: -2147483648 });
    expect(JSON.parse(sent(event, "CloudEventsStructured"))).toMatchObject({
      comexampleothervalue: 5,
      flag: false,
      text: "5",
      low: -2147483648,
    });
  });

  it.each([
    ["event.extensions.comexampleothervalue == 5", true],
    ["event.extensions.comexampleothervalue > 4 && !event.extensions.flag", true],
    ["event.extensions.text == '5'", true],
    ["event.extensions.text == 5", false],
    ["event.extensions.low + 2147483647 == -1", true],
  ])("in filters: %s", async (source, matched) => {
    const filter = compileFilter(source);
    if (!filter.ok) throw new Error(filter.problem.message);
    expect(filter.value.evaluate(await stored())).toMatchObject({ ok: true, matched });
  });

  it.each(["5.5", "2147483648", "1e1", "[]", "{}"])("%s is neither: 400", async (value) => {
    await start();
    expect(await post(EVENT.replace(":5,", `:${value},`), { "content-type": CE })).toMatchObject({
      status: 400,
      body: { code: "attribute_invalid", pointer: "/comexampleothervalue" },
    });
  });

  it("headers have no types: they are strings", async () => {
    await start();
    const { body } = await post(...binary("{}", "application/json", { "ce-num": "5", "ce-flag": "true" }));
    expect((await running!.store.readEvent("shop", String(body["id"])))?.extensions).toEqual({ num: "5", flag: "true" });
  });
});

describe("no content type is invented, and no character", () => {
  it("of bytes whose type was not said", async () => {
    await start();
    const [body, headers] = structured("0", "");
    const told = await post(body.replace('"data":0', '"data_base64":"AP8="'), headers);
    const event = (await running!.store.readEvent("shop", String(told.body["id"])))!;
    expect(event).toMatchObject({ dataKind: "binary", dataContentType: undefined });
    expect(JSON.parse(sent(event, "CloudEventsStructured"))).not.toHaveProperty("datacontenttype");
  });

  it.each([
    ["charset=windows-1252&first_name=Pepe+Garc%EDa&mc_gross=22.92", "binary"],
    ["name=Garc%C3%ADa&a=%", "form"],
    ["a=%C3", "binary"],
    ["a=%zz%C3%AD", "form"],
    ["a=1", "form"],
  ])("a form whose escapes are not UTF-8 is shown as bytes: %s", async (form, dataKind) => {
    await start();
    const answer = await fetch(`${running!.url}/v1/namespaces/shop/hooks/order.paid`, {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: form,
    });
    const { id } = (await answer.json()) as { id: string };
    const event = (await running!.store.readEvent("shop", id))!;
    expect(event).toMatchObject({ dataKind });
    expect(sent(event, "StandardWebhooks")).not.toContain("\ufffd");
  });
});

describe("event.time", () => {
  const year = compileFilter("timestamp(event.time).getFullYear() > 0 && has(event.time)");

  // RFC 3339, 5.6 and 5.7: lower case, leap seconds, nine digits, the offsets furthest from UTC.
  it.each([
    "2026-01-02T03:04:05Z",
    "2026-01-02t03:04:05z",
    "2016-12-31T23:59:60Z",
    "2016-12-31T18:59:60.5-05:00",
    "2026-01-02T03:04:05.123456789Z",
    "2026-01-02T23:59:59-23:59",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "2024-02-29T00:00:00+00:00",
  ])("as it was accepted is read by timestamp(): %s", async (time) => {
    await start();
    const [body, headers] = structured("1", `"time":"${time}",`);
    const told = await post(body, headers);
    const event = (await running!.store.readEvent("shop", String(told.body["id"])))!;
    expect(event.time).toBe(time);
    expect(year.ok && year.value.evaluate(event)).toMatchObject({ ok: true, matched: true });
  });

  it.each(["2024-04-31T12:00:00Z", "2026-02-29T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00", "2026-01-02 03:04:05Z"])(
    "that never was, or that no filter could read, is refused: %s",
    async (time) => {
      await start();
      const [body, headers] = structured("1", `"time":"${time}",`);
      expect(await post(body, headers)).toMatchObject({ status: 400, body: { code: "attribute_invalid", pointer: "/time" } });
    },
  );

  it("is the time of acceptance where none was given, as in the default body", async () => {
    await start();
    const told = await post('{"type":"order.paid","data":1}', { "content-type": "application/json" });
    const event = (await running!.store.readEvent("shop", String(told.body["id"])))!;
    expect(event.time).toBeUndefined();
    expect(year.ok && year.value.evaluate(event)).toMatchObject({ ok: true, matched: true });
    const { timestamp } = JSON.parse(sent(event, "StandardWebhooks")) as { timestamp: string };
    const same = compileFilter(`event.time == '${timestamp}'`);
    expect(same.ok && same.value.evaluate(event)).toMatchObject({ ok: true, matched: true });
  });
});
