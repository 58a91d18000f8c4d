import { afterEach, describe, expect, it } from "vitest";
import { REFUSAL_KINDS } from "../../../src/ingest/refusal.ts";
import { StoreError } from "../../../src/store/store.ts";
import { runningIngest, type IngestSetup, type RunningIngest } from "../../support/ingest/running-ingest.ts";

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
const CE = "application/cloudevents+json";
const BATCH = "application/cloudevents-batch+json";
const SHORT = "application/json";
const ce = (fields: Json = {}): string => JSON.stringify({ specversion: "1.0", id: "1", source: "/s", type: "order.paid", ...fields });
const deep = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);

async function expectProblem(response: Response, status: number, code: string): Promise<Json> {
  const body = (await response.json()) as Json;
  expect({ status: response.status, code: body["code"] }).toEqual({ status, code });
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  expect(body).toMatchObject({
    type: `https://postrider.dev/errors#${code}`,
    title: REFUSAL_KINDS[code as keyof typeof REFUSAL_KINDS][1],
    status,
    detail: expect.stringMatching(/\w.*\w/),
  });
  return body;
}

describe("what is in the body", () => {
  const cases: readonly (readonly [what: string, type: string, body: string | Uint8Array, status: number, code: string, place?: Json])[] = [
    ["empty body", SHORT, "", 400, "json_invalid", { offset: 0 }],
    ["cut JSON", SHORT, '{"type":"a"', 400, "json_invalid", { offset: 11 }],
    ["an array", SHORT, "[]", 400, "event_invalid", { offset: 0 }],
    ["a duplicate key", SHORT, '{"type":"a","data":{"x":1,"x":2}}', 400, "json_duplicate_key", { offset: 26 }],
    ["a duplicate type by escape", SHORT, '{"type":"a","\\u0074ype":"b"}', 400, "json_duplicate_key", { offset: 12 }],
    ["1,000-deep JSON", SHORT, `{"type":"a","data":${deep(1_000)}}`, 400, "json_too_deep", { offset: 19 + 128 }],
    ["a raw NUL byte", SHORT, '{"type":"a","data":"\u0000"}', 400, "json_invalid", { offset: 20 }],
    ["invalid UTF-8", SHORT, Buffer.from('{"type":"a","data":"\xff"}', "latin1"), 400, "utf8_invalid", { offset: 20 }],
    ["UTF-16", SHORT, Buffer.from('{"type":"a"}', "utf16le"), 400, "json_invalid", { offset: 1 }],
    ["a byte order mark", SHORT, '\ufeff{"type":"a"}', 400, "json_invalid", { offset: 0 }],
    ["no type", SHORT, '{"data":1}', 400, "attribute_missing", { pointer: "/type" }],
    ["a type that is no string", SHORT, '{"type":1}', 400, "attribute_invalid", { pointer: "/type", offset: 8 }],
    ["an empty type", SHORT, '{"type":""}', 400, "attribute_invalid"],
    ["a type with NUL", SHORT, '{"type":"a\\u0000"}', 400, "attribute_invalid"],
    ["a lone surrogate in the subject", SHORT, '{"type":"a","subject":"\\ud800"}', 400, "attribute_invalid"],
    ["a type of 254 characters", SHORT, `{"type":"${"a".repeat(254)}"}`, 400, "attribute_invalid"],
    ["a field nobody knows", SHORT, '{"type":"a","dta":{}}', 400, "field_unknown", { pointer: "/dta", offset: 12 }],
    ["a wrong time", SHORT, '{"type":"a","time":"yesterday"}', 400, "attribute_invalid"],
    ["too large an event", SHORT, `{"type":"a","data":"${"x".repeat(262_144)}"}`, 413, "event_too_large"],
    ["no id", CE, ce({ id: undefined }), 400, "attribute_missing", { pointer: "/id" }],
    ["id null", CE, ce({ id: null }), 400, "attribute_missing", { pointer: "/id" }],
    ["no specversion", CE, ce({ specversion: undefined }), 400, "attribute_missing", { pointer: "/specversion" }],
    ["specversion 0.3", CE, ce({ specversion: "0.3" }), 400, "specversion_unsupported", { pointer: "/specversion" }],
    ["an attribute in capitals", CE, ce({ traceId: "1" }), 400, "attribute_invalid", { pointer: "/traceId" }],
    ["an object as extension", CE, ce({ ext: {} }), 400, "attribute_invalid", { pointer: "/ext" }],
    ["a float as extension", CE, ce({ ext: 1.5 }), 400, "attribute_invalid", { pointer: "/ext" }],
    ["data twice", CE, ce({ data: 1, data_base64: "AA==" }), 400, "event_invalid"],
    ["broken base64", CE, ce({ data_base64: "AA=" }), 400, "event_invalid", { pointer: "/data_base64" }],
    ["base64 of broken JSON", CE, ce({ data_base64: "ew==", datacontenttype: "application/json" }), 400, "json_invalid"],
    ["text data that is an object", CE, ce({ data: {}, datacontenttype: "text/plain" }), 400, "event_invalid"],
    ["65 extensions", CE, ce(Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`x${i}`, "1"]))), 400, "event_invalid"],
    ["an object as batch", BATCH, ce(), 400, "event_invalid"],
    [
      "a batch with one bad event",
      BATCH,
      `[${ce()},${ce({ id: "2", type: "" })}]`,
      400,
      "attribute_invalid",
      { index: 1, pointer: "/1/type" },
    ],
    [
      "a batch of 10,000 events",
      BATCH,
      `[${Array.from({ length: 10_000 }, (_, i) => ce({ id: String(i) })).join(",")}]`,
      413,
      "batch_too_long",
    ],
    ["a batch of more than 4 MiB", BATCH, `[${" ".repeat(4 * 1024 * 1024)}]`, 413, "request_too_large"],
    ["a large event in a batch", BATCH, `[${ce({ data: "x".repeat(262_144) })}]`, 413, "event_too_large", { index: 0 }],
    ["another charset", `${SHORT}; charset=latin1`, '{"type":"a"}', 415, "charset_unsupported"],
    ["two charsets", `${SHORT}; charset=utf-8; charset=latin1`, '{"type":"a"}', 415, "media_type_unsupported"],
    ["XML", "application/xml", "<a/>", 415, "media_type_unsupported"],
    ["another CloudEvents format", "application/cloudevents+avro", "x", 415, "media_type_unsupported"],
    ["no media type", "json", "{}", 415, "media_type_unsupported"],
  ];

  for (const [what, type, body, status, code, place] of cases) {
    it(`refuses ${what}`, async () => {
      const running = await start();
      const problem = await expectProblem(await running.post(body, { "content-type": type }), status, code);
      if (place !== undefined) expect(problem).toMatchObject(place);
      expect(running.intake.admitted).toBe(0);
      expect((await running.store.listDeliveries({ namespace: "shop", limit: 1 })).length).toBe(0);
    });
  }

  it("names what came and is not taken, with what curl needs", async () => {
    const running = await start();
    const form = await expectProblem(
      await running.post("{}", { "content-type": "application/x-www-form-urlencoded" }),
      415,
      "media_type_unsupported",
    );
    expect(form["detail"]).toMatch(
      /^You sent application\/x-www-form-urlencoded.*-H 'Content-Type: application\/json'\. Supported types are /,
    );
    const xml = await expectProblem(await running.post("<a/>", { "content-type": "application/xml" }), 415, "media_type_unsupported");
    expect(xml["detail"]).toMatch(/^You sent application\/xml\. Supported types are /);
  });

  it("takes what is exactly as large as allowed", async () => {
    const running = await start();
    const head = '{"type":"order.paid","data":"';
    const body = `${head}${"x".repeat(262_144 - head.length - 2)}"}`;
    expect((await running.post(body)).status).toBe(202);
    const batch = `[${Array.from({ length: 1_000 }, (_, i) => ce({ id: String(i) })).join(",")}]`;
    expect((await running.post(batch, { "content-type": BATCH })).status).toBe(202);
  });
});

describe("what is in the head", () => {
  it("refuses paths, namespaces and methods", async () => {
    const running = await start();
    await expectProblem(await fetch(`${running.url}/`), 404, "not_found");
    await expectProblem(await fetch(`${running.url}/v1/namespaces/shop/events/`), 404, "not_found");
    for (const namespace of ["Shop", "-a", "a".repeat(64), "a%2fb", "..%2f"]) {
      await expectProblem(await running.post("{}", {}, namespace), 404, "namespace_invalid");
    }
    const response = await fetch(`${running.url}/v1/namespaces/shop/events`);
    expect(response.headers.get("allow")).toBe("POST, OPTIONS");
    await expectProblem(response, 405, "method_not_allowed");
  });

  it("refuses compressed bodies, odd keys, and a key for a batch", async () => {
    const running = await start();
    await expectProblem(await running.post("{}", { "content-encoding": "gzip" }), 415, "content_encoding_unsupported");
    await expectProblem(await running.post("{}", { "idempotency-key": "a b" }), 400, "idempotency_key_invalid");
    await expectProblem(await running.post("{}", { "idempotency-key": "k".repeat(256) }), 400, "idempotency_key_invalid");
    await expectProblem(await running.post("[]", { "content-type": BATCH, "idempotency-key": "k" }), 400, "idempotency_key_invalid");
  });

  it("refuses wrong ce- headers", async () => {
    const running = await start();
    const good = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "a" };
    await expectProblem(await running.post("{}", { "ce-id": "1" }), 400, "attribute_missing");
    await expectProblem(await running.post("{", good), 400, "json_invalid");
    await expectProblem(await running.post("{}", { ...good, "ce-my_ext": "1" }), 400, "attribute_invalid");
    await expectProblem(await running.post("{}", { ...good, "ce-subject": "%ff" }), 400, "attribute_invalid");
    await expectProblem(await running.post("{}", { ...good, "ce-subject": "%00" }), 400, "attribute_invalid");
    await expectProblem(
      await running.post("{}", { ...good, "content-type": "application/json;charset=utf-16" }),
      415,
      "charset_unsupported",
    );
  });

  it("says how to authenticate", async () => {
    const running = await start({ tokens: ["0123456789abcdef"] });
    const response = await running.post('{"type":"a"}');
    expect(response.headers.get("www-authenticate")).toBe('Bearer realm="postrider"');
    await expectProblem(response, 401, "unauthenticated");
    await expectProblem(await running.post("[]", { "content-type": BATCH }), 401, "unauthenticated");
  });

  it("refuses none on an address that others can reach", async () => {
    const { buildIngest } = await import("../../../src/ingest/ingest.ts");
    const { ingestOpenToAll } = await import("../../../src/ingest/authenticator.ts");
    const parts = { listen: { host: "0.0.0.0", port: 0 }, authenticator: ingestOpenToAll, rateLimitPerSecond: 0 };
    expect(() => buildIngest(parts as never)).toThrowError(/--ingest-auth none is refused on 0\.0\.0\.0/);
  });
});

describe("how we are", () => {
  const event = '{"type":"order.paid"}';

  it("503 before the table is there and while the engine has no room, 507 when the disk is low", async () => {
    const running = await start();
    running.state.ready = false;
    const notReady = await running.post(event);
    expect(notReady.headers.get("retry-after")).toBe("1");
    await expectProblem(notReady, 503, "not_ready");
    running.state.ready = true;
    running.intake.open = false;
    await expectProblem(await running.post(event), 503, "overloaded");
    running.intake.open = true;
    running.state.diskLow = true;
    const low = await running.post(event);
    expect(low.headers.get("retry-after")).toBe("30");
    await expectProblem(low, 507, "disk_low");
    running.state.diskLow = false;
    expect((await running.post(event)).status).toBe(202);
  });

  it.each([
    ["disk_full", 507, "disk_low"],
    ["unavailable", 503, "store_unavailable"],
    ["closed", 503, "store_unavailable"],
    ["unknown", 503, "outcome_unknown"],
  ] as const)("a store that fails with %s is no acknowledgement", async (failure, status, code) => {
    const running = await start({ accept: () => Promise.reject(new StoreError(failure, "secret detail")) });
    const response = await running.post(event);
    expect(response.headers.get("retry-after")).toMatch(/^\d+$/);
    const problem = await expectProblem(response, status, code);
    expect(JSON.stringify(problem)).not.toContain("secret detail");
    expect(running.intake.abandonedEvents).toHaveLength(1);
    expect(running.intake.committedEvents).toHaveLength(0);
  });

  it("answers only after the commit", async () => {
    let commit = (): void => undefined;
    const asked = new Promise<void>((resolve) => {
      commit = resolve;
    });
    let reached = (): void => undefined;
    const inStore = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const running = await start({
      accept: async (request, store) => {
        reached();
        await asked;
        return store.accept(request);
      },
    });
    let answered = false;
    const response = running.post(event).then((value) => {
      answered = true;
      return value;
    });
    await inStore;
    await new Promise((resolve) => setImmediate(resolve));
    expect(answered).toBe(false);
    commit();
    expect((await response).status).toBe(202);
  });

  it("429 with Retry-After beyond the namespace's rate", async () => {
    const { ManualClock } = await import("../../support/time/manual-clock.ts");
    const clock = new ManualClock();
    const running = await start({ rateLimitPerSecond: 2, clock });
    expect((await running.post(event)).status).toBe(202);
    expect((await running.post(event)).status).toBe(202);
    const limited = await running.post(event);
    expect(limited.headers.get("retry-after")).toBe("1");
    await expectProblem(limited, 429, "rate_limited");
    expect((await running.post(event, {}, "other")).status).toBe(202);
    await clock.advance(500);
    expect((await running.post(event)).status).toBe(202);
  });

  it("422 in a strict namespace for a type that nobody names", async () => {
    const running = await start({ strict: true });
    expect((await running.post(event)).status).toBe(202);
    await expectProblem(await running.post('{"type":"ordr.paid"}'), 422, "type_unknown");
  });
});
