import { afterEach, describe, expect, it } from "vitest";
import type { Denial } from "../../../src/core/access-token.ts";
import type { IngestAccess } from "../../../src/ingest/authenticator.ts";
import { lastBody, RawClient, route, runningIngest, type IngestSetup, type RunningIngest } from "../../support/ingest/running-ingest.ts";

let ingest: RunningIngest | undefined;
afterEach(async () => {
  await ingest?.stop();
  ingest = undefined;
});

async function start(setup: IngestSetup = {}): Promise<RunningIngest> {
  ingest = await runningIngest({ routes: [route("orders", ["order.*"])], ...setup });
  return ingest;
}

const TOKEN = "0123456789abcdef-token";
const OTHER_TOKEN = "another-token-0123456789";
type Json = Record<string, unknown>;

/** Posts and answers status and body. */
async function hook(
  running: RunningIngest,
  path: string,
  body: string | Uint8Array | undefined,
  headers: Record<string, string> = {},
): Promise<Json & { http: number }> {
  const answer = await fetch(`${running.url}/v1/namespaces/shop/hooks/${path}`, {
    method: "POST",
    headers,
    ...(body === undefined ? {} : { body: typeof body === "string" ? Buffer.from(body) : new Uint8Array(body) }),
  });
  const told = (await answer.json()) as Json;
  expect(answer.headers.get("postrider-result-correlationid")).toBe(answer.ok ? told["id"] : null);
  return { ...told, http: answer.status };
}

async function stored(running: RunningIngest, id: unknown) {
  const event = await running.store.readEvent("shop", String(id));
  if (event === undefined) throw new Error("not stored");
  return { ...event, text: Buffer.from(event.data).toString("utf8") };
}

describe("POST /hooks/{type}", () => {
  it("answers 200 in the one shape, and the whole body is the data", async () => {
    const running = await start();
    const told = await hook(running, "order.paid", '{"type":"other", "a": 1.0}', { "content-type": "application/json" });
    expect(told).toEqual({
      http: 200,
      statusCode: 200,
      status: "processing",
      value: null,
      pollingRedirectEnabled: false,
      correlationId: told["id"],
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      matched: 1,
      duplicate: false,
    });
    expect(await stored(running, told["id"])).toMatchObject({
      type: "order.paid",
      source: "/namespaces/shop",
      subject: undefined,
      dataKind: "json",
      dataContentType: "application/json",
      text: '{"type":"other", "a": 1.0}',
    });
  });

  it.each([
    ["a=1&b=%20", "application/x-www-form-urlencoded", "form"],
    ["grüße", "text/plain; charset=utf-8", "text"],
    ["<a/>", "application/xml", "text"],
    ["[1, 2]", "application/json", "json"],
    ['{"specversion":"1.0"}', "application/cloudevents+json", "json"],
  ])("takes %j as %s", async (body, contentType, kind) => {
    const running = await start();
    const told = await hook(running, "order.paid", body, { "content-type": contentType });
    expect(told.http).toBe(200);
    expect(await stored(running, told["id"])).toMatchObject({ dataKind: kind, dataContentType: contentType, text: body });
  });

  it("takes bytes without a Content-Type, and no body at all", async () => {
    const running = await start();
    const bytes = await hook(running, "order.paid", new Uint8Array([0xff, 0x00]));
    expect(await stored(running, bytes["id"])).toMatchObject({ dataKind: "binary", dataContentType: undefined });
    const none = await hook(running, "order.paid", undefined);
    expect(await stored(running, none["id"])).toMatchObject({ dataKind: "none", dataContentType: undefined, text: "" });
  });

  it("reads the type from the path, percent-encoded or not", async () => {
    const running = await start();
    expect((await stored(running, (await hook(running, "order.caf%C3%A9", "x", { "content-type": "text/plain" }))["id"])).type).toBe(
      "order.café",
    );
    expect(await hook(running, "%ff", "x")).toMatchObject({ http: 400, code: "attribute_invalid" });
    expect(await hook(running, "a%20b", "x")).toMatchObject({ http: 400, code: "attribute_invalid" });
    expect(await hook(running, "a".repeat(254), "x")).toMatchObject({ http: 400, code: "attribute_invalid" });
    expect(await hook(running, "", "x")).toMatchObject({ http: 404, code: "not_found" });
    expect(await hook(running, "a/b", "x")).toMatchObject({ http: 404, code: "not_found" });
  });

  it("keeps the ingest's limits and words", async () => {
    const running = await start();
    expect(await hook(running, "order.paid", "a".repeat(262_145), { "content-type": "text/plain" })).toMatchObject({
      http: 413,
      code: "event_too_large",
    });
    expect(await hook(running, "order.paid", "{", { "content-type": "application/json" })).toMatchObject({
      http: 400,
      code: "json_invalid",
      offset: 1,
    });
    expect(await hook(running, "order.paid", "x", { "content-type": "nonsense" })).toMatchObject({
      http: 415,
      code: "media_type_unsupported",
    });
    const get = await fetch(`${running.url}/v1/namespaces/shop/hooks/order.paid`);
    expect([get.status, get.headers.get("allow")]).toEqual([405, "POST, HEAD, OPTIONS"]);
  });

  it("remembers an Idempotency-Key, and a duplicate is 200 too", async () => {
    const running = await start();
    const headers = { "content-type": "text/plain", "idempotency-key": "k-1" };
    const first = await hook(running, "order.paid", "x", headers);
    expect(await hook(running, "order.paid", "x", headers)).toMatchObject({ http: 200, id: first["id"], duplicate: true });
    expect(await hook(running, "order.paid", "y", headers)).toMatchObject({ http: 409, code: "idempotency_conflict" });
  });
});

describe("a token", () => {
  it.each([
    [`{"a":1,"token":"${TOKEN}","b":2}`, "application/json", '{"a":1,"b":2}'],
    [`a=1&token=${TOKEN}&b=2`, "application/x-www-form-urlencoded", "a=1&b=2"],
  ])("in the body %j lets in and is cut out before anything is hashed or stored", async (body, contentType, rest) => {
    const running = await start({ tokens: [TOKEN] });
    const headers = { "content-type": contentType, "idempotency-key": "k" };
    const told = await hook(running, "order.paid", body, headers);
    expect(told.http).toBe(200);
    expect((await stored(running, told["id"])).text).toBe(rest);
    // The same content whose token came another way is the same event.
    const again = await hook(running, "order.paid", rest, { ...headers, authorization: `Bearer ${TOKEN}` });
    expect(again).toMatchObject({ http: 200, id: told["id"], duplicate: true });
  });

  it.each([
    ["wrong", `{"token":"${TOKEN}x"}`, "application/json"],
    ["none", "{}", "application/json"],
    ["in text", `token=${TOKEN}`, "text/plain"],
    ["below the top", `{"a":{"token":"${TOKEN}"}}`, "application/json"],
    ["twice in a form", `token=${TOKEN}&token=${TOKEN}`, "application/x-www-form-urlencoded"],
    ["64 KiB", `{"token":"${"a".repeat(65_536)}"}`, "application/json"],
  ])("that is %s lets nobody in", async (_what, body, contentType) => {
    const running = await start({ tokens: [TOKEN] });
    expect(await hook(running, "order.paid", body, { "content-type": contentType })).toMatchObject({ http: 401, code: "unauthenticated" });
    expect(running.intake.admitted).toBe(0);
  });

  it("in the body is cut out when a header let the caller in, stays when it is nobody's, and is not looked at when the header is wrong", async () => {
    const running = await start({ tokens: [TOKEN, OTHER_TOKEN] });
    const headers = { "content-type": "application/json", authorization: `Bearer ${TOKEN}` };
    const body = `{"token":"${TOKEN}"}`;
    for (const [token, rest] of [
      [TOKEN, '{"a":1}'],
      [OTHER_TOKEN, '{"a":1}'],
      ["somebody-elses-word", '{"a":1,"token":"somebody-elses-word"}'],
    ]) {
      const told = await hook(running, "order.paid", `{"a":1,"token":"${token}"}`, headers);
      expect((await stored(running, told["id"])).text).toBe(rest);
    }
    expect(await hook(running, "order.paid", body, { ...headers, authorization: "Bearer wrong-wrong-wrong" })).toMatchObject({ http: 401 });
  });

  it("in the query counts only where that is switched on, alone, and once", async () => {
    const closed = await start({ tokens: [TOKEN] });
    expect(await hook(closed, `order.paid?token=${TOKEN}`, "x")).toMatchObject({ http: 401 });
    await closed.stop();
    const open = await start({ tokens: [TOKEN], tokenInQuery: true });
    expect(await hook(open, `order.paid?a=b&token=${TOKEN}`, "x")).toMatchObject({ http: 200 });
    expect(await hook(open, `order.paid?token=${TOKEN}&token=${TOKEN}`, "x")).toMatchObject({ http: 401 });
    expect(await hook(open, `order.paid?token=${TOKEN}`, "x", { authorization: "Bearer wrong-wrong-wrong" })).toMatchObject({ http: 401 });
  });
});

describe("tokens that somebody must be asked about", () => {
  const asked: [string, IngestAccess][] = [];
  const verdicts: Record<string, Denial | { user: string }> = { good: { user: "good" }, weak: "forbidden", late: "unavailable" };
  const reviewer = {
    who: async (token: string, access: IngestAccess): Promise<Denial | { user: string }> => {
      asked.push([token, access]);
      return verdicts[token] ?? "unauthenticated";
    },
  };
  const post = (running: RunningIngest, token: string) => running.post('{"type":"order.paid"}', { authorization: `Bearer ${token}` });

  it("are asked about in the words of RBAC, and answered by what was said", async () => {
    const running = await start({ reviewer });
    expect((await post(running, "good")).status).toBe(202);
    expect(asked.at(-1)).toEqual([
      "good",
      { namespace: "shop", verb: "publish", group: "postrider.dev", resource: "webhooksubscriptions" },
    ]);
    const weak = await post(running, "weak");
    expect([weak.status, weak.headers.get("www-authenticate")]).toEqual([403, null]);
    expect(await weak.json()).toMatchObject({ code: "forbidden", detail: expect.stringContaining("kubectl -n shop auth can-i publish") });
    const late = await post(running, "late");
    expect([late.status, late.headers.get("retry-after")]).toEqual([503, "5"]);
    expect(await late.json()).toMatchObject({ code: "reviews_unavailable" });
    const wrong = await post(running, "wrong");
    expect([wrong.status, wrong.headers.get("www-authenticate")]).toEqual([401, 'Bearer realm="postrider"']);
    expect(await wrong.json()).toMatchObject({ detail: expect.stringContaining("kubectl create token") });
    expect(running.intake.admitted).toBe(1);
  });

  it("do not stand in a body: nobody is asked about what strangers write there, and it is not read", async () => {
    const headers = { "content-type": "application/json" };
    const before = asked.length;
    for (const setup of [{ reviewer }, { reviewer, tokens: [TOKEN] }]) {
      const running = await start(setup);
      for (const token of ["good", "weak", "late", "wrong"]) {
        expect(await hook(running, "order.paid", `{"token":"${token}"}`, headers)).toMatchObject({ http: 401, code: "unauthenticated" });
      }
      expect(running.intake.admitted).toBe(0);
      await running.stop();
    }
    expect(asked).toHaveLength(before);
    ingest = undefined;
  });

  it("are not asked about when a static token has let the caller in", async () => {
    const running = await start({ reviewer, tokens: [TOKEN] });
    const before = asked.length;
    expect((await post(running, TOKEN)).status).toBe(202);
    expect(asked).toHaveLength(before);
    expect((await post(running, "good")).status).toBe(202);
  });

  it("leave the connection whole: what follows on it is answered in order", async () => {
    const running = await start({ reviewer });
    const request = (token: string, body: string): string =>
      `POST /v1/namespaces/shop/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer ${token}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const client = new RawClient(running.port).send(request("good", '{"type":"order.a"}') + request("good", '{"type":"order.b"}'));
    const raw = await client.until(/HTTP\/1\.1 202[^]*HTTP\/1\.1 202[^]*\}$/);
    expect(lastBody(raw)).toMatchObject({ statusCode: 202, matched: 1 });
    client.finish();
  });
});
