import { afterEach, describe, expect, it } from "vitest";
import { route, runningIngest, type IngestSetup, type RunningIngest } from "../../support/ingest/running-ingest.ts";

let ingest: RunningIngest | undefined;
afterEach(async () => {
  await ingest?.stop();
  ingest = undefined;
});

async function start(setup?: IngestSetup): Promise<RunningIngest> {
  ingest = await runningIngest(setup);
  return ingest;
}

type Json = Record<string, unknown>;
const json = async (response: Response): Promise<Json> => (await response.json()) as Json;

async function stored(running: RunningIngest, id: unknown) {
  const event = await running.store.readEvent("shop", String(id));
  if (event === undefined) throw new Error("not stored");
  return event;
}
const text = (data: Uint8Array): string => Buffer.from(data).toString("utf8");

const CE = "application/cloudevents+json";
const event = (fields: Json = {}): string =>
  JSON.stringify({ specversion: "1.0", id: "1", source: "/s", type: "order.paid", data: { n: 1 }, ...fields });

describe("the short form", () => {
  it("is stored before it is answered, in the one shape", async () => {
    const running = await start();
    const response = await running.post('{"type":"order.paid","data":{"a": 1.0,"b":"\\u0000\\ud800"} , "subject":"o-1"}');
    expect(response.status).toBe(202);
    const body = await json(response);
    expect(body).toEqual({
      statusCode: 202,
      status: "processing",
      value: null,
      pollingRedirectEnabled: false,
      correlationId: body["id"],
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      matched: 1,
      duplicate: false,
    });
    expect(response.headers.get("postrider-result-correlationid")).toBe(body["id"]);
    const event = await stored(running, body["id"]);
    expect(text(event.data)).toBe('{"a": 1.0,"b":"\\u0000\\ud800"}');
    expect(event).toMatchObject({
      namespace: "shop",
      source: "/namespaces/shop",
      type: "order.paid",
      subject: "o-1",
      dataKind: "json",
      dataContentType: "application/json",
    });
    expect(running.intake.committedEvents).toHaveLength(1);
  });

  it("says matched 0 for an event nobody wants, and counts it", async () => {
    const running = await start();
    expect(await json(await running.post('{"type":"nobody.cares"}'))).toMatchObject({ matched: 0, duplicate: false });
    expect(await running.metrics.expose()).toContain('postrider_events_unmatched_total{namespace="shop"} 1');
  });

  it("is never deduplicated without the header, and is with it", async () => {
    const running = await start();
    const body = '{"type":"order.paid","data":1}';
    const first = await json(await running.post(body));
    expect((await json(await running.post(body)))["id"]).not.toBe(first["id"]);
    const keyed = await json(await running.post(body, { "idempotency-key": "k1" }));
    expect(await json(await running.post(body, { "idempotency-key": "k1" }))).toEqual({ ...keyed, duplicate: true });
    expect(running.intake.abandonedEvents).toHaveLength(1);
    const other = await running.post('{"type":"order.paid","data":2}', { "idempotency-key": "k1" });
    expect(other.status).toBe(409);
    expect(await json(other)).toMatchObject({ code: "idempotency_conflict", eventID: keyed["id"] });
  });

  it("counts a filter that fails as no match", async () => {
    const filter = { evaluate: () => ({ ok: false as const, message: "no such key" }) } as never;
    const running = await start({ routes: [route("a", ["order.*"], filter), route("b", ["order.paid"])] });
    expect(await json(await running.post('{"type":"order.paid"}'))).toMatchObject({ matched: 1 });
    expect([...running.metrics.exposeSubscriptions()].join("")).toContain(
      'postrider_filter_errors_total{namespace="shop",subscription="a"} 1',
    );
  });
});

describe("CloudEvents", () => {
  it("structured: keeps the data's bytes, extensions and identity", async () => {
    const running = await start();
    const body = `{"data" :  {"z":1,"a":1e2} ,"specversion":"1.0","id":"7","source":"/s","type":"order.paid","flag":true,"num":-3,"gone":null,"time":"2026-01-02T03:04:05Z"}`;
    const answer = await json(await running.post(body, { "content-type": `${CE}; charset=UTF-8` }));
    const event = await stored(running, answer["id"]);
    expect(text(event.data)).toBe('{"z":1,"a":1e2}');
    expect(event).toMatchObject({ sourceId: "7", source: "/s", time: "2026-01-02T03:04:05Z", extensions: { flag: true, num: -3 } });
    expect(await json(await running.post(body, { "content-type": CE }))).toEqual({ ...answer, duplicate: true });
  });

  it("structured: data_base64 gives the bytes, text data the text", async () => {
    const running = await start();
    const bytes = await json(
      await running.post(event({ data: undefined, data_base64: "AP8=", datacontenttype: "image/png" }), { "content-type": CE }),
    );
    expect(await stored(running, bytes["id"])).toMatchObject({
      dataKind: "binary",
      dataContentType: "image/png",
      data: new Uint8Array([0, 255]),
    });
    const plain = await json(
      await running.post(event({ id: "2", data: "héllo\n", datacontenttype: "text/plain" }), { "content-type": CE }),
    );
    const stored2 = await stored(running, plain["id"]);
    expect(text(stored2.data)).toBe("héllo\n");
    expect(stored2.dataKind).toBe("text");
  });

  it("binary: any content type, percent-encoded attributes", async () => {
    const running = await start();
    const headers = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "order.paid", "ce-subject": "%E2%82%AC%20a" };
    const answer = await json(await running.post("a=1&b=2", { ...headers, "content-type": "application/x-www-form-urlencoded" }));
    expect(await stored(running, answer["id"])).toMatchObject({ subject: "€ a", dataKind: "form" });
    const spaced = await json(await running.post(' {"a":1}\n', { ...headers, "ce-id": "2" }));
    expect(text((await stored(running, spaced["id"])).data)).toBe(' {"a":1}\n');
  });

  it("batch: one transaction, an item each, duplicates told apart", async () => {
    const running = await start();
    const batch = (...ids: string[]): string => `[${ids.map((id) => event({ id })).join(",")}]`;
    const type = { "content-type": "application/cloudevents-batch+json" };
    const first = await json(await running.post(batch("1", "2"), type));
    expect(first).toMatchObject({ statusCode: 202, matched: 2, items: [{ duplicate: false }, { duplicate: false }] });
    const second = (await json(await running.post(batch("2", "3"), type)))["items"] as Json[];
    expect(second.map((item) => item["duplicate"])).toEqual([true, false]);
    const conflict = await running.post(`[${event({ id: "9" })},${event({ id: "1", data: "other" })}]`, type);
    expect(conflict.status).toBe(409);
    expect(await json(conflict)).toMatchObject({ index: 1, code: "idempotency_conflict" });
    expect((await running.store.listDeliveries({ namespace: "shop", limit: 10 })).length).toBe(3);
    expect((await json(await running.post("[]", type)))["items"]).toEqual([]);
  });

  it("OPTIONS answers the webhook handshake", async () => {
    const running = await start({ tokens: ["0123456789abcdef"] });
    const response = await fetch(`${running.url}/v1/namespaces/shop/events`, {
      method: "OPTIONS",
      headers: { "webhook-request-origin": "sender.example.com" },
    });
    expect(response.status).toBe(200);
    expect(response.headers.get("webhook-allowed-origin")).toBe("sender.example.com");
    expect(response.headers.get("webhook-allowed-rate")).toBe("*");
    expect(response.headers.get("allow")).toBe("POST, OPTIONS");
  });
});

describe("tokens", () => {
  const TOKEN = "0123456789abcdef-shop";

  it("lets in by header, by body field, and by query only when switched on", async () => {
    const running = await start({ tokens: [`${TOKEN}\n`] });
    expect((await running.post('{"type":"order.paid"}')).status).toBe(401);
    expect((await running.post('{"type":"order.paid"}', { authorization: `Bearer ${TOKEN}` })).status).toBe(202);
    expect((await running.post('{"type":"order.paid"}', { authorization: `Basic ${TOKEN}` })).status).toBe(401);
    expect((await running.post(`{"type":"order.paid","token":"${TOKEN}","data":{"token":"mine"}}`)).status).toBe(202);
    expect((await running.post(`{"type":"order.paid","token":"${TOKEN}x"}`)).status).toBe(401);
    expect((await running.post('{"type":"order.paid"}', { authorization: `Bearer ${TOKEN}` }, "other")).status).toBe(401);
    const inQuery = `${running.url}/v1/namespaces/shop/events?token=${TOKEN}`;
    const send = { method: "POST", headers: { "content-type": "application/json" }, body: '{"type":"order.paid"}' };
    expect((await fetch(inQuery, send)).status).toBe(401);
    await running.stop();
    const open = await start({ tokens: [TOKEN], tokenInQuery: true });
    expect((await fetch(inQuery.replace(running.url, open.url), send)).status).toBe(202);
  });

  it("keeps a matched body token out of the stored event, and a caller's own field otherwise", async () => {
    const running = await start({ tokens: [TOKEN] });
    const matched = await json(await running.post(event({ token: TOKEN }), { "content-type": CE }));
    expect((await stored(running, matched["id"])).extensions).toEqual({});
    const own = await json(await running.post(event({ id: "2", token: "mine" }), { "content-type": CE, authorization: `Bearer ${TOKEN}` }));
    expect((await stored(running, own["id"])).extensions).toEqual({ token: "mine" });
  });

  it("ignores values that are too short", async () => {
    const running = await start({ tokens: ["short"] });
    expect((await running.post('{"type":"order.paid"}', { authorization: "Bearer short" })).status).toBe(401);
  });
});
