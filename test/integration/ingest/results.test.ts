import { afterEach, describe, expect, it } from "vitest";
import { StoreError } from "../../../src/store/store.ts";
import { dropAll } from "../../conformance/store/fixture.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";
import { endDeliveries, ended } from "../../support/ingest/ended-delivery.ts";
import { RawClient, route, runningIngest, type IngestSetup, type RunningIngest } from "../../support/ingest/running-ingest.ts";

let ingest: RunningIngest | undefined;
afterEach(async () => {
  await ingest?.stop();
  ingest = undefined;
});

type Json = Record<string, unknown>;
interface Told {
  readonly http: number;
  readonly headers: Headers;
  readonly body: Json;
}

const ROUTES = [route("alpha", ["order.*"]), route("beta", ["order.two"])];
const EVENT = '{"type":"order.paid","data":{}}';
const TWO = '{"type":"order.two","data":{}}';
const UNKNOWN = "01900000-0000-7000-8000-000000000000";

async function start(setup: IngestSetup = {}): Promise<RunningIngest> {
  ingest = await runningIngest({ routes: ROUTES, ...setup });
  return ingest;
}

async function call(path: string, options: { body?: string; headers?: Record<string, string>; namespace?: string } = {}): Promise<Told> {
  const { body, headers = {}, namespace = "shop" } = options;
  const answer = await fetch(`${ingest?.url}/v1/namespaces/${namespace}/${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    redirect: "manual",
    ...(body === undefined ? {} : { body }),
  });
  return { http: answer.status, headers: answer.headers, body: (await answer.json()) as Json };
}

const publish = async (body = EVENT): Promise<string> => String((await call("events", { body })).body["id"]);

const end = (id: string, state: "delivered" | "failed" = "delivered", index?: number): Promise<void> =>
  endDeliveries(ingest!, id, { state, index });

/** Resolves once so many requests wait. */
async function waiting(count: number): Promise<void> {
  for (;;) {
    const { values } = await ingest!.metrics.resultPollsOpen.get();
    if ((values[0]?.value ?? 0) === count) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const VALUE = {
  subscription: "alpha",
  outcome: "Delivered",
  reason: null,
  message: null,
  statusCode: 200,
  attempts: 1,
  answer: { headers: [{ name: "content-type", value: "text/plain" }], body: { text: "HELLO WORLD" } },
};

describe("POST with wait", () => {
  it.each([
    ["events?wait=10s", {}, undefined],
    ["events", { prefer: "wait=10" }, "wait=10"],
    ["hooks/order.paid?wait=10s", {}, undefined],
  ])("%s %j answers 200 and the value once everything has ended", async (path, headers, applied) => {
    await start();
    const answer = call(path, { body: EVENT, headers });
    await waiting(1);
    const [event] = ingest!.intake.committedEvents;
    await end(event!.id);
    const told = await answer;
    expect(told.http).toBe(200);
    expect(told.headers.get("postrider-result-correlationid")).toBe(event!.id);
    expect(told.headers.get("preference-applied")).toBe(applied ?? null);
    expect(told.body).toEqual({
      statusCode: 200,
      status: "ok",
      value: [VALUE],
      pollingRedirectEnabled: false,
      correlationId: event!.id,
      id: event!.id,
      matched: 1,
      duplicate: false,
    });
    await waiting(0);
  });

  it("waits for the last of several, and one that failed makes all failed", async () => {
    await start();
    const answer = call("events?wait=10s", { body: TWO });
    await waiting(1);
    const { id } = ingest!.intake.committedEvents[0]!;
    await end(id, "failed", 0);
    await waiting(1);
    await end(id, "delivered", 1);
    const { http, body } = await answer;
    expect(http).toBe(200);
    expect(body["status"]).toBe("failed");
    expect(body["value"]).toMatchObject([
      { subscription: "beta", outcome: "Failed", reason: "AttemptsExhausted", statusCode: 500 },
      { subscription: "alpha", outcome: "Delivered", reason: null, statusCode: 200 },
    ]);
  });

  it.each([
    ["events", 202],
    ["hooks/order.paid", 200],
  ])("%s says that it is still processing when the time is over", async (path, http) => {
    await start();
    const told = await call(`${path}?wait=30ms`, { body: EVENT });
    expect(told).toMatchObject({ http, body: { statusCode: http, status: "processing", value: null, matched: 1 } });
    expect(told.body["id"]).toBe(told.headers.get("postrider-result-correlationid"));
  });

  it("answers at once when nobody wanted the event", async () => {
    await start();
    const { http, body } = await call("events?wait=10s", { body: '{"type":"other"}' });
    expect([http, body["status"], body["value"]]).toEqual([200, "ok", []]);
  });

  it("answers a duplicate with the end of the first", async () => {
    await start();
    const headers = { "idempotency-key": "k-1" };
    const first = await call("events", { body: EVENT, headers });
    const id = String(first.body["id"]);
    await end(id);
    const { http, body } = await call("events?wait=10s", { body: EVENT, headers });
    expect([http, body["status"], body["duplicate"], body["id"]]).toEqual([200, "ok", true, id]);
  });

  it("waits for every event of a batch, and tells each in its place", async () => {
    await start();
    const headers = { "content-type": "application/cloudevents-batch+json" };
    const one = (id: string, type: string): Json => ({ specversion: "1.0", id, source: "/s", type });
    const answer = call("events?wait=10s", { headers, body: JSON.stringify([one("a", "order.paid"), one("b", "order.two")]) });
    await waiting(1);
    const [a, b] = ingest!.intake.committedEvents;
    await end(b!.id, "failed");
    await waiting(1);
    await end(a!.id);
    const { http, body } = await answer;
    expect([http, body["status"], body["correlationId"]]).toEqual([200, "failed", null]);
    expect(body["items"]).toMatchObject([
      { id: a!.id, status: "ok", value: [{ outcome: "Delivered" }] },
      { id: b!.id, status: "failed", value: [{ outcome: "Failed" }, { outcome: "Failed" }] },
    ]);
  });

  it("does not wait for its place: what is accepted is accepted", async () => {
    await start({ hubLimits: { polls: 0 } });
    expect(await call("events?wait=10s", { body: EVENT })).toMatchObject({ http: 202, body: { status: "processing", matched: 1 } });
  });
});

describe("GET results/{correlationId}", () => {
  it("tells the state at once without wait", async () => {
    await start();
    const id = await publish();
    const processing = await call(`results/${id}`);
    expect(processing).toMatchObject({ http: 200, body: { statusCode: 200, status: "processing", value: null, id, matched: 1 } });
    expect(processing.headers.get("postrider-result-correlationid")).toBe(id);
    expect(processing.headers.get("cache-control")).toBe("no-store");
    await end(id);
    expect((await call(`results/${id}`)).body).toMatchObject({ status: "ok", value: [VALUE], matched: 1 });
  });

  it("waits for the end, and several may wait for the same", async () => {
    await start();
    const id = await publish();
    const answers = [call(`results/${id}?wait=30s`), call(`results/${id}?wait=30s`)];
    await waiting(2);
    await end(id);
    for (const { http, body } of await Promise.all(answers)) expect([http, body["status"]]).toEqual([200, "ok"]);
    await waiting(0);
  });

  it("hears of an end that comes while it is being read", async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    let begun = (): void => undefined;
    const reading = new Promise<void>((resolve) => (begun = resolve));
    let reads = 0;
    await start({
      result: async (namespace, id, nowMs) => {
        const seen = await ingest!.store.result(namespace, id, nowMs);
        begun();
        if (reads++ === 0) await held;
        return seen;
      },
    });
    const id = await publish();
    const answer = call(`results/${id}?wait=30s`);
    await waiting(1);
    await reading;
    await end(id);
    release();
    expect((await answer).body).toMatchObject({ status: "ok" });
    expect(reads).toBe(2);
  });

  it("hears of ends that name no event", async () => {
    await start();
    const id = await publish();
    const answer = call(`results/${id}?wait=30s`);
    await waiting(1);
    const running = ingest!;
    for (const record of await running.store.deliveriesOf(id)) {
      await running.store.claim([{ id: record.id, epoch: 1, lone: false, withEvent: false }]);
      await running.store.complete([ended(record.id, "failed")]);
    }
    running.tellEnded(undefined);
    expect((await answer).body).toMatchObject({ status: "failed" });
  });

  it("is not said to be processing before the store has told that it is there at all", async () => {
    const clock = new ManualClock(Date.now());
    await start({ clock, result: () => new Promise(() => undefined) });
    const answers = [call(`results/${UNKNOWN}?wait=30s`), call(`results/${UNKNOWN}?wait=50s`)];
    await waiting(2);
    await clock.advance(31_000);
    expect(await answers[0]).toMatchObject({ http: 503, body: { code: "store_unavailable" } });
    ingest!.abort.abort();
    const stopped = await answers[1];
    expect([stopped?.http, stopped?.headers.get("retry-after")]).toEqual([503, "1"]);
    await clock.advance(3_000);
  });

  it("is processing when the time is over, with no timer of its own", async () => {
    const clock = new ManualClock(Date.now());
    await start({ clock });
    const id = await publish();
    const before = clock.timers;
    const answers = Array.from({ length: 20 }, () => call(`results/${id}?wait=30s`));
    await waiting(20);
    expect(clock.timers - before).toBe(1);
    await clock.advance(31_000);
    for (const { http, body } of await Promise.all(answers)) {
      expect([http, body["status"], body["matched"]]).toEqual([200, "processing", 1]);
    }
  });

  it("is 404 for an id that never was, for another namespace's, and for what is no id", async () => {
    await start();
    const id = await publish();
    for (const wait of ["", "?wait=10s"]) {
      for (const [path, namespace] of [
        [UNKNOWN, "shop"],
        [id, "elsewhere"],
        ["nonsense", "shop"],
        [`${id}x`, "shop"],
      ] as const) {
        expect(await call(`results/${path}${wait}`, { namespace })).toMatchObject({ http: 404, body: { code: "result_unknown" } });
      }
    }
    const waits = call(`results/${id}?wait=10s`);
    await waiting(1);
    expect((await call(`results/${id}?wait=10s`, { namespace: "elsewhere" })).http).toBe(404);
    await end(id);
    expect((await waits).http).toBe(200);
  });

  it("is 410 once it was cleaned up", async () => {
    await start();
    const id = await publish();
    await end(id);
    const afterMs = Date.now() + 3_600_001;
    await dropAll(ingest!.store, afterMs);
    for (const wait of ["", "?wait=10s"]) {
      expect(await call(`results/${id}${wait}`)).toMatchObject({ http: 410, body: { code: "result_gone" } });
    }
    expect((await call(`results/${id}`, { namespace: "elsewhere" })).http).toBe(404);
    await dropAll(ingest!.store, afterMs + 40 * 86_400_000);
    expect((await call(`results/${id}`)).http).toBe(404);
  });

  it("is failed when one has used up its attempts long after another, now forgotten, arrived", async () => {
    await start();
    const id = await publish(TWO);
    const [early, late] = await ingest!.store.deliveriesOf(id);
    for (const record of [early!, late!]) await ingest!.store.claim([{ id: record.id, epoch: 1, lone: false, withEvent: false }]);
    await ingest!.store.complete([ended(early!.id, "delivered", Date.now() - 2 * 3_600_000)]);
    const polled = call(`results/${id}?wait=30s`);
    await waiting(1);
    await ingest!.store.complete([ended(late!.id, "failed")]);
    ingest!.tellEnded(id);
    expect(await polled).toMatchObject({
      http: 200,
      body: { status: "failed", matched: 2, value: [{ outcome: "Failed", statusCode: 500 }] },
    });
  });

  it("is for whoever may publish in the namespace", async () => {
    await start({ tokens: ["0123456789abcdef-token"], tokenInQuery: true });
    const good = { authorization: "Bearer 0123456789abcdef-token" };
    const { body } = await call("events", { body: EVENT, headers: good });
    const path = `results/${String(body["id"])}`;
    expect((await call(path, { headers: good })).http).toBe(200);
    expect((await call(`${path}?token=0123456789abcdef-token`)).http).toBe(200);
    expect((await call(path)).http).toBe(401);
    expect((await call(path, { headers: { authorization: "Bearer 0123456789abcdef-other" } })).http).toBe(401);
    expect((await call(path, { headers: good, namespace: "elsewhere" })).http).toBe(401);
  });

  it("takes no other method and no nonsense", async () => {
    await start();
    expect(await call(`results/${UNKNOWN}`, { body: "{}" })).toMatchObject({ http: 405, body: { code: "method_not_allowed" } });
    expect(await call(`results/${UNKNOWN}?wait=soon`)).toMatchObject({ http: 400, body: { code: "parameter_invalid" } });
    expect(await call("events?wait=soon", { body: EVENT })).toMatchObject({ http: 400, body: { code: "parameter_invalid" } });
    expect(ingest!.intake.admitted).toBe(0);
  });

  it("is 503 with Retry-After when the store cannot be read, and a wait after POST still says that it is stored", async () => {
    await start({ result: () => Promise.reject(new StoreError("unavailable", "gone")) });
    const id = await publish();
    for (const wait of ["", "?wait=10s"]) {
      const told = await call(`results/${id}${wait}`);
      expect(told).toMatchObject({ http: 503, body: { code: "store_unavailable" } });
      expect(told.headers.get("retry-after")).toBe("1");
    }
    expect(await call("events?wait=10s", { body: '{"type":"other"}' })).toMatchObject({ http: 202, body: { status: "processing" } });
  });
});

describe("those who wait", () => {
  it("are bounded, in all and for each namespace, and told when to come again", async () => {
    await start({ hubLimits: { polls: 3, pollsPerNamespace: 2 } });
    const id = await publish();
    const there = await call("events", { body: EVENT, namespace: "elsewhere" });
    const answers = [call(`results/${id}?wait=10s`), call(`results/${id}?wait=10s`)];
    await waiting(2);
    const more = await call(`results/${id}?wait=10s`);
    expect(more).toMatchObject({
      http: 503,
      body: { code: "overloaded", detail: expect.stringContaining("2 requests are already waiting") },
    });
    expect(more.headers.get("retry-after")).toBe("5");
    expect((await call(`results/${id}`)).http).toBe(200);
    const raw = new RawClient(ingest!.port);
    raw.send(`GET /v1/namespaces/elsewhere/results/${String(there.body["id"])}?wait=10s HTTP/1.1\r\nhost: a\r\n\r\n`);
    // Nobody of namespace elsewhere has events that match: its result is there at once.
    await raw.until(/"status":"ok","value":\[\]/);
    raw.socket.destroy();
    await end(id);
    await Promise.all(answers);
  });

  it("are forgotten when their client leaves, GET and POST alike", async () => {
    await start();
    const id = await publish();
    const get = new RawClient(ingest!.port).send(`GET /v1/namespaces/shop/results/${id}?wait=50s HTTP/1.1\r\nhost: a\r\n\r\n`);
    const head = "content-type: application/json\r\ncontent-length:";
    const post = new RawClient(ingest!.port).send(
      `POST /v1/namespaces/shop/events?wait=50s HTTP/1.1\r\nhost: a\r\n${head} ${EVENT.length}\r\n\r\n${EVENT}`,
    );
    await waiting(2);
    get.socket.destroy();
    await waiting(1);
    post.socket.destroy();
    await waiting(0);
    await end(id);
    expect((await call(`results/${id}`)).body["status"]).toBe("ok");
  });

  it("are no load: far more may wait than requests may be under way", async () => {
    await start({ limits: { requests: 2 } });
    const id = await publish();
    const answers = Array.from({ length: 10 }, () => call(`results/${id}?wait=30s`));
    await waiting(10);
    expect((await call("events", { body: EVENT })).http).toBe(202);
    await end(id);
    await Promise.all(answers);
  });

  it("are told that it is processing when the process stops", async () => {
    await start();
    const id = await publish();
    const answers = [call(`results/${id}?wait=50s&pollingRedirectEnabled=true`), call("events?wait=50s", { body: EVENT })];
    await waiting(2);
    ingest!.abort.abort();
    const [get, post] = await Promise.all(answers);
    expect([get?.http, get?.body["status"]]).toEqual([200, "processing"]);
    expect([post?.http, post?.body["status"]]).toEqual([202, "processing"]);
    await ingest!.done;
  });
});

describe("pollingRedirectEnabled", () => {
  const location = (told: Told): string => new URL(told.headers.get("location") ?? "", "http://a").pathname.split("/shop/")[1] ?? "";
  const search = (told: Told): Json => Object.fromEntries(new URL(told.headers.get("location") ?? "", "http://a").searchParams);

  it.each(["events", "hooks/order.paid"])("sends the caller of %s to the result", async (path) => {
    await start();
    const told = await call(`${path}?pollingRedirectEnabled=true`, { body: EVENT });
    expect(told.http).toBe(303);
    expect(told.headers.get("cache-control")).toBe("no-store");
    expect(told.body).toMatchObject({ statusCode: 303, status: "processing", value: null, pollingRedirectEnabled: true });
    expect(location(told)).toBe(`results/${String(told.body["id"])}`);
    expect(search(told)).toEqual({ pollingRedirectEnabled: "true", hop: "1" });
  });

  it("is followed to the value by a client that knows nothing but HTTP", async () => {
    await start();
    const answer = fetch(`${ingest!.url}/v1/namespaces/shop/events?pollingRedirectEnabled=true&wait=50ms`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: EVENT,
    });
    await waiting(1);
    const { id } = ingest!.intake.committedEvents[0]!;
    await waiting(0);
    await waiting(1);
    await end(id);
    const told = await answer;
    expect([told.status, told.redirected]).toEqual([200, true]);
    expect(await told.json()).toMatchObject({ status: "ok", value: [VALUE], pollingRedirectEnabled: true, correlationId: id });
  });

  it("ends after ten hops with what is known", async () => {
    await start();
    let told = await call("events?pollingRedirectEnabled=true&wait=1ms", { body: EVENT });
    let hops = 0;
    for (; told.http === 303; hops++) {
      expect(search(told)["hop"]).toBe(String(hops + 1));
      told = await call(`${location(told)}?${new URLSearchParams(search(told) as Record<string, string>).toString()}`);
    }
    expect(hops).toBe(10);
    expect(told).toMatchObject({ http: 200, body: { status: "processing", matched: 1 } });
    expect((await call(`results/${String(told.body["id"])}?pollingRedirectEnabled=true&hop=99&wait=1ms`)).http).toBe(200);
  });

  it("may be switched off and on at any poll", async () => {
    await start();
    const id = await publish();
    const off = await call(`results/${id}?wait=1ms&pollingRedirectEnabled=false`);
    expect(off).toMatchObject({ http: 200, body: { status: "processing", pollingRedirectEnabled: false } });
    expect((await call(`results/${id}?wait=1ms&pollingRedirectEnabled=true`)).http).toBe(303);
  });

  it("waits although nobody named a time, so that ten hops are not over at once", async () => {
    await start();
    const id = await publish();
    const answer = call(`results/${id}?pollingRedirectEnabled=true`);
    await waiting(1);
    await end(id);
    expect((await answer).body).toMatchObject({ status: "ok" });
  });

  it("takes a query's token along, and does not lead a body's token astray", async () => {
    const token = "0123456789abcdef-token";
    await start({ tokens: [token], tokenInQuery: true });
    const byQuery = await call(`events?pollingRedirectEnabled=true&token=${token}`, { body: EVENT });
    expect([byQuery.http, search(byQuery)["token"]]).toEqual([303, token]);
    const byHeader = await call("events?pollingRedirectEnabled=true", { body: EVENT, headers: { authorization: `Bearer ${token}` } });
    expect([byHeader.http, search(byHeader)["token"]]).toEqual([303, undefined]);
    const byBody = await call("hooks/order.paid?pollingRedirectEnabled=true", { body: `{"token":"${token}"}` });
    expect(byBody).toMatchObject({ http: 200, body: { status: "processing", pollingRedirectEnabled: false } });
  });
});
