import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RecordingReceiver } from "../support/fields/recording-receiver.ts";
import { loopbackPolicy, manifestFile, secret, subscription } from "../support/manifests.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";
import { untilGiven } from "../support/until.ts";

const WAIT_MS = 15_000;
const TOKEN = "a-token-of-the-api-of-shop";
const FOREIGN_TOKEN = "a-token-of-the-api-of-depot";

// oxlint-disable-next-line typescript/no-explicit-any -- any JSON
type Json = any;

const manifests = (receiver: string): string =>
  manifestFile(
    loopbackPolicy('retry: {maxAttempts: 2, schedule: ["0s", "100ms"], jitterPercent: 0}'),
    subscription({
      name: "form",
      endpoint: `{url: "${receiver}/hook?key=secret", headers: [{name: X-Key, value: canary-of-the-request}]}`,
      more: ["payload: {format: Form, body: \"{'event': event.type, 'data': event.data}\"}", "history: {recordIDField: data.id}"],
    }),
    subscription({ name: "elsewhere", namespace: "depot", types: ["*"], url: `${receiver}/depot` }),
    secret("shop", "api", "api-token", { support: TOKEN }),
    secret("depot", "api", "api-token", { support: FOREIGN_TOKEN }),
  );

describe("the read and act API, through the binary", () => {
  const directory = mkdtempSync(join(tmpdir(), "postrider-api-"));
  let receiver: RecordingReceiver;
  let operator: OperatorProcess;

  beforeAll(async () => {
    receiver = await RecordingReceiver.start();
    mkdirSync(join(directory, "manifests"));
    writeFileSync(join(directory, "manifests", "all.yaml"), manifests(receiver.url));
    operator = await start();
  });
  afterAll(async () => {
    await operator?.signal("SIGKILL");
    await receiver?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  const start = (): Promise<OperatorProcess> =>
    OperatorProcess.start({
      manifests: join(directory, "manifests"),
      store: `sqlite:${join(directory, "store")}`,
      auth: ["--ingest-auth", "none", "--api-auth", "static"],
    });
  const call = async (
    path: string,
    init: RequestInit & { token?: string } = {},
  ): Promise<{ status: number; body: Json; headers: Headers }> => {
    const { token = TOKEN, ...rest } = init;
    const response = await fetch(`${operator.ready.api}/v1/namespaces/${path}`, { ...rest, headers: { authorization: `Bearer ${token}` } });
    return { status: response.status, body: await response.json(), headers: response.headers };
  };
  const publish = async (type: string, data: object, namespace = "shop"): Promise<string> => {
    const url = `${operator.ready.ingest}/v1/namespaces/${namespace}/events`;
    const body = JSON.stringify({ type, data });
    const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
    return ((await response.json()) as { id: string }).id;
  };
  /** The one delivery of a record, once `holds`. */
  const settled = async (recordID: string, holds: (row: Json) => boolean): Promise<Json> => {
    let row: Json;
    const look = async (): Promise<Json> => {
      [row] = (await call(`shop/deliveries?recordID=${recordID}`)).body.items as Json[];
      return row !== undefined && holds(row) ? row : undefined;
    };
    return untilGiven(look, { withinMs: WAIT_MS, seen: () => row });
  };

  it("shows the schedule: record, first attempt, type, last status, URL, attempts", async () => {
    receiver.answer = { status: 500, body: "no" };
    await publish("order.paid", { id: "r1", note: "ä &=" });
    const row = await settled("r1", ({ state }) => state === "Failed");
    expect(row).toMatchObject({
      subscription: "form",
      recordID: "r1",
      eventType: "order.paid",
      state: "Failed",
      reason: "AttemptsExhausted",
      attempts: 2,
      url: `${receiver.url}/hook?[redacted]`,
      lastAttempt: { attempt: 2, statusCode: 500, outcome: "ServerError" },
    });
    expect(Date.parse(row.firstAttemptTime)).toBeGreaterThan(Date.now() - 60_000);
  });

  it("shows the log: one row per firing, with what was sent byte for byte and what came back", async () => {
    receiver.answer = { status: 201, headers: { "content-type": "text/plain", "x-secret": "canary-of-the-answer" }, body: "thanks" };
    await publish("order.sent", { id: "r2", note: "ä &=" });
    const { id } = await settled("r2", ({ state }) => state === "Delivered");
    const { body } = await call(`shop/deliveries/${id}/attempts`);
    const sent = receiver.requests.at(-1);
    expect(body.items).toHaveLength(1);
    const [firing] = body.items;
    expect(firing).toMatchObject({
      recordID: "r2",
      eventType: "order.sent",
      attempt: 1,
      outcome: "Success",
      connectionStatus: "ok",
      tlsStatus: "none",
      statusCode: 201,
      url: `${receiver.url}/hook?[redacted]`,
      request: { body: { text: sent?.body } },
      response: { body: { text: "thanks" } },
    });
    expect(sent?.body).toBe(`payload=${encodeURIComponent('{"event":"order.sent","data":{"id":"r2","note":"ä &="}}')}`);
    expect(firing.request.headers).toContainEqual({ name: "content-type", value: "application/x-www-form-urlencoded" });
    expect(firing.request.headers).toContainEqual({ name: "X-Key", value: "[redacted]" });
    expect(firing.response.headers).toContainEqual({ name: "x-secret", value: "[redacted]" });
    expect(JSON.stringify(body)).not.toMatch(/canary|key=/);
    expect(typeof firing.durationMs).toBe("number");
  });

  /** Publishes until the changed subscription is what attempts are made by; answers that delivery. */
  const rawDelivery = async (): Promise<string> => {
    const look = async (): Promise<string | undefined> => {
      await publish("order.new", { id: "r4" });
      const sentBefore = receiver.requests.length;
      const { items } = (await call("shop/deliveries?recordID=r4&state=Delivered&limit=1")).body;
      return items.length > 0 && receiver.requests[sentBefore - 1]?.body === '{"id":"r4"}' ? items[0].id : undefined;
    };
    return untilGiven(look, { withinMs: WAIT_MS, everyMs: 50, seen: () => "the change is not obeyed" });
  };

  it("still shows what was sent after the subscription has changed", async () => {
    receiver.answer = { status: 200 };
    await publish("order.old", { id: "r3" });
    const { id } = await settled("r3", ({ state }) => state === "Delivered");
    const before = receiver.requests.at(-1)?.body;
    const changed = manifests(receiver.url).replace("format: Form, body: \"{'event': event.type, 'data': event.data}\"", "format: Raw");
    writeFileSync(join(directory, "manifests", "all.yaml"), changed);
    const newer = await rawDelivery();
    expect((await call(`shop/deliveries/${id}/attempts`)).body.items[0].request.body.text).toBe(before);
    expect((await call(`shop/deliveries/${newer}/attempts`)).body.items[0].request.body.text).toBe(receiver.requests.at(-1)?.body);
  });

  it("sends again, after success too, exactly once, on the same delivery", async () => {
    receiver.answer = { status: 200 };
    await publish("order.again", { id: "r5" });
    const { id, eventID } = await settled("r5", ({ state }) => state === "Delivered");
    const before = receiver.requests.length;
    expect((await call(`shop/deliveries/${id}/resend`, { method: "POST" })).status).toBe(202);
    const row = await settled("r5", ({ attempts, state }) => attempts === 2 && state === "Delivered");
    expect(row.id).toBe(id);
    expect(receiver.requests.length).toBe(before + 1);
    expect(receiver.requests.at(-1)?.headers["webhook-id"]).toBe(eventID);
    expect((await call(`shop/deliveries/${id}/attempts`)).body.items).toHaveLength(2);
  });

  it("sends a test event now and answers with what the receiver said", async () => {
    receiver.answer = { status: 418, body: "teapot" };
    const tried = await call("shop/subscriptions/form/test", { method: "POST", body: '{"type":"order.check","data":{"x":1}}' });
    expect(tried).toMatchObject({ status: 200, body: { ok: false, statusCode: 418, outcome: "ClientError", eventType: "order.check" } });
    expect(receiver.requests.at(-1)?.body).toBe('{"x":1}');
    receiver.answer = { status: 200 };
    expect((await call("shop/subscriptions/form/test", { method: "POST" })).body).toMatchObject({
      ok: true,
      statusCode: 200,
      eventType: "order.test",
    });
    expect((await call("shop/subscriptions/gone/test", { method: "POST" })).body).toMatchObject({
      status: 404,
      code: "subscription_not_found",
    });
  });

  it("shows subscriptions with their status, events with their data, and pages", async () => {
    const { items } = (await call("shop/subscriptions")).body;
    expect(items.map(({ name }: Json) => name)).toEqual(["form"]);
    expect(items[0].status.conditions.find(({ type }: Json) => type === "Ready")).toMatchObject({ status: "True" });
    const id = await publish("order.event", { id: "r6" });
    expect((await call(`shop/events/${id}`)).body).toMatchObject({ id, type: "order.event", data: { text: '{"id":"r6"}' } });
    await settled("r6", ({ state }) => state === "Delivered");
    const seen: string[] = [];
    let cursor = "";
    do {
      const { body } = await call(`shop/deliveries?limit=2${cursor === "" ? "" : `&cursor=${cursor}`}`);
      seen.push(...body.items.map(({ recordID }: Json) => recordID));
      cursor = body.nextCursor ?? "";
    } while (cursor !== "");
    expect(seen.filter((recordID, i) => seen.indexOf(recordID) === i)).toEqual(["r6", "r5", "r4", "r3", "r2", "r1"]);
    expect(seen.length).toBe((await call("shop/deliveries?limit=500")).body.items.length);
    const log = (await call("shop/attempts?state=Failed")).body.items;
    expect(log.map(({ recordID, attempt }: Json) => [recordID, attempt])).toEqual([
      ["r1", 1],
      ["r1", 2],
    ]);
    expect((await call("shop/attempts?subscription=form&limit=1")).body.items).toHaveLength(1);
  });

  it("tells with wait what became of it, in the same answer", async () => {
    receiver.answer = { status: 503, body: "not now" };
    await publish("order.waited", { id: "r8" });
    const { id } = await settled("r8", ({ state }) => state === "Failed");
    const again = (wait: string): ReturnType<typeof call> => call(`shop/deliveries/${id}/resend?wait=${wait}`, { method: "POST" });
    expect(await again("10s")).toMatchObject({ status: 200, body: { id, state: "Failed", lastAttempt: { attempt: 3, statusCode: 503 } } });
    receiver.answer = { status: 200 };
    expect(await again("10s")).toMatchObject({
      status: 200,
      body: { id, state: "Delivered", attempts: 4, lastAttempt: { statusCode: 200 } },
    });
    expect(await again("2h")).toMatchObject({ status: 400, body: { code: "parameter_invalid" } });
  });

  it("pauses a subscription over a kill, says so in its status, and resumes it", async () => {
    receiver.answer = { status: 200 };
    const act = (what: string, body = ""): ReturnType<typeof call> => call(`shop/subscriptions/form/${what}`, { method: "POST", body });
    expect((await act("pause", '{"reason":"they move"}')).status).toBe(200);
    await publish("order.paused", { id: "r11" });
    await operator.signal("SIGKILL");
    operator = await start();
    const paused = async (): Promise<Json> =>
      (await call("shop/subscriptions/form")).body.status?.conditions?.find(({ type }: Json) => type === "Suspended");
    const message = "paused through the API: they move; ends with resume";
    expect(await untilGiven(async () => ((await paused())?.status === "True" ? paused() : undefined), { withinMs: WAIT_MS })).toMatchObject(
      { reason: "Paused", message },
    );
    const row = await settled("r11", ({ waitingFor }) => waitingFor !== null);
    expect(row).toMatchObject({ state: "Ready", attempts: 0, waitingFor: { reason: "Paused", untilTime: null }, nextAttemptTime: null });
    expect((await act("resume")).status).toBe(200);
    await settled("r11", ({ state }) => state === "Delivered");
    expect(await paused()).toMatchObject({ status: "False" });
  });

  it("lists what was sent, also what nobody wanted", async () => {
    const nobodys = await publish("nobody.wants", { id: "r9" });
    const wanted = await publish("order.wanted", { id: "r10" });
    const { items, nextCursor } = (await call("shop/events?limit=2")).body;
    expect(items).toMatchObject([
      { id: wanted, type: "order.wanted", matched: 1, dataBytes: 12, dataKept: true },
      { id: nobodys, type: "nobody.wants", matched: 0, dataBytes: 0, dataKept: false },
    ]);
    expect(items[0]).not.toHaveProperty("data");
    expect((await call(`shop/events?limit=1&cursor=${nextCursor}`)).body.items[0].type).not.toMatch(/wanted|wants/);
    expect((await call("shop/events?matched=false")).body.items.map(({ id }: Json) => id)).toEqual([nobodys]);
    expect((await call("depot/events", { token: FOREIGN_TOKEN })).body.items).toEqual([]);
  });

  it("shows the log without bodies where none are asked for", async () => {
    const [firing] = (await call("shop/attempts?state=Failed&bodies=none")).body.items;
    expect(firing).toMatchObject({ recordID: "r1", request: { body: null }, response: { body: null } });
    expect(firing.request.headers.length).toBeGreaterThan(2);
  });

  it("shows nobody what is another namespace's, and acts on nothing of it", async () => {
    const foreign = await publish("order.paid", { id: "d1" }, "depot");
    const theirs = async (): Promise<Json> => (await call("depot/deliveries", { token: FOREIGN_TOKEN })).body.items[0];
    const { id } = await untilGiven(theirs, { withinMs: WAIT_MS });
    for (const path of [
      `shop/deliveries/${id}`,
      `shop/deliveries/${id}/attempts`,
      `shop/events/${foreign}`,
      "shop/subscriptions/elsewhere",
    ]) {
      expect((await call(path)).status, path).toBe(404);
    }
    expect((await call(`shop/deliveries/${id}/resend`, { method: "POST" })).status).toBe(404);
    expect((await call("shop/subscriptions/elsewhere/test", { method: "POST" })).status).toBe(404);
    expect((await call("shop/deliveries?recordID=d1")).body.items).toEqual([]);
    for (const token of [FOREIGN_TOKEN, "not-a-token-at-all-but-long"]) expect((await call("shop/deliveries", { token })).status).toBe(401);
    expect((await fetch(`${operator.ready.api}/v1/namespaces/shop/deliveries`)).status).toBe(401);
  });

  it.each([
    ["shop/deliveries?stat=failed", 400, "parameter_invalid"],
    ["shop/deliveries?limit=501", 400, "parameter_invalid"],
    ["shop/deliveries?cursor=xx", 400, "parameter_invalid"],
    ["shop/deliveries?since=yesterday", 400, "parameter_invalid"],
    ["shop/deliveries/999999999", 404, "delivery_not_found"],
    ["shop/events/01a20613-93b3-7000-83f7-5f92e0cdaa99", 404, "event_not_found"],
    ["shop/nothing", 404, "not_found"],
    ["Shop_/deliveries", 404, "not_found"],
  ])("answers %s with %i %s, as a problem", async (path, status, code) => {
    const { body, headers, ...answer } = await call(path);
    expect([answer.status, body.code, body.status]).toEqual([status, code, status]);
    expect(headers.get("content-type")).toBe("application/problem+json");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
  });

  it("says which methods a path takes", async () => {
    const { status, headers } = await call("shop/deliveries", { method: "DELETE" });
    expect([status, headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  });
});
