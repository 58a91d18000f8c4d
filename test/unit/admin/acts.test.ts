import { expect, it } from "vitest";
import { routeOf } from "../../../src/admin/api-routes.ts";
import type { DeliveryActs } from "../../../src/admin/directory.ts";
import { ApiHandlers } from "../../../src/admin/handlers.ts";
import { TESTS_OF_NAMESPACE_MAX } from "../../../src/admin/test-pots.ts";
import type { ApiAnswer } from "../../../src/admin/api-problem.ts";
import type { DeliveryRecord } from "../../../src/store/store.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";
import { testDeliveryNames } from "../../support/delivery/test-delivery-names.ts";
import { UNREACHED } from "../../support/door/unreached.ts";

const NOW_MS = Date.UTC(2026, 0, 1);
/** What the store was told of the time. */
const told: number[] = [];
const RECORD = { id: 17, namespace: "shop", subscription: "uid-1" } as DeliveryRecord;
const NAME = testDeliveryNames.nameOf("shop", RECORD.id);
const KNOWN = { uid: "uid-1", namespace: "shop", name: "orders", generation: 1, spec: null, status: null };

/** POSTs below namespace `shop`, the engine answering as given. */
function caller(acts: Partial<DeliveryActs>, spec: unknown = null): (path: string, body?: string) => Promise<ApiAnswer> {
  const handlers = new ApiHandlers({
    clock: new ManualClock(NOW_MS),
    deliveryNames: testDeliveryNames,
    store: { ...UNREACHED.store, advanceTo: (nowMs) => told.push(nowMs), readDelivery: async () => RECORD },
    directory: { list: () => [KNOWN], get: () => ({ ...KNOWN, spec }), nameOf: () => KNOWN.name, uidsOf: () => [] },
    acts: { ...UNREACHED.acts, ...acts },
  });
  return (path, body = "") => {
    const routed = routeOf("POST", `/v1/namespaces/shop${path}`);
    if (routed.kind !== "route") throw new Error(routed.kind);
    return handlers.answer({
      route: routed.route,
      parameters: new URLSearchParams(),
      body: Buffer.from(body),
      signal: AbortSignal.any([]),
    });
  };
}

it.each([
  ["not_ended", 409, "delivery_not_ended"],
  ["body_gone", 410, "body_gone"],
  ["subscription_gone", 410, "subscription_gone"],
  ["not_found", 404, "delivery_not_found"],
] as const)("a resend that is %s is answered with %i %s", async (result, status, code) => {
  expect(await caller({ resend: async () => result })(`/deliveries/${NAME}/resend`)).toMatchObject({ status, body: { status, code } });
});

it("no call is answered as of an earlier time than now, though nothing has been stored for long", async () => {
  told.length = 0;
  await caller({ resend: async () => "resent" })(`/deliveries/${NAME}/resend`);
  expect(told).toEqual([NOW_MS]);
});

it("a resend of a namespace that is full is answered 429 and nothing is done", async () => {
  const call = caller({ storageFull: (namespace) => `Namespace ${namespace} is full` });
  const answer = await call(`/deliveries/${NAME}/resend`);
  expect(answer).toMatchObject({
    status: 429,
    headers: { "retry-after": "60" },
    body: { code: "quota_exceeded", detail: "Namespace shop is full" },
  });
});

it("a resend is accepted with 202", async () => {
  expect(await caller({ resend: async () => "resent" })(`/deliveries/${NAME}/resend`)).toMatchObject({ status: 202, body: { id: NAME } });
});

it("a test of a blocked subscription says what is missing", async () => {
  const call = caller({ test: async () => ({ kind: "blocked", message: "Secret pipe-key is not there" }) });
  expect(await call("/subscriptions/orders/test")).toMatchObject({
    status: 409,
    body: { code: "subscription_not_ready", detail: "Secret pipe-key is not there" },
  });
});

it("more tests at once than a namespace has places for are turned away, and the places come free again", async () => {
  const done = Promise.withResolvers<{ kind: "blocked"; message: string }>();
  const call = caller({ test: () => done.promise });
  const running = Array.from({ length: TESTS_OF_NAMESPACE_MAX }, () => call("/subscriptions/orders/test"));
  expect(await call("/subscriptions/orders/test")).toMatchObject({
    status: 429,
    headers: { "retry-after": "5" },
    body: { code: "tests_busy" },
  });
  done.resolve({ kind: "blocked", message: "-" });
  await Promise.all(running);
  expect((await call("/subscriptions/orders/test")).status).toBe(409);
});

it("a test that a ceiling of the cluster policy holds back is answered with when to try again", async () => {
  const call = caller({ test: async () => ({ kind: "held", what: "rate", message: "one an hour", retryAfterMs: 1_234 }) });
  expect(await call("/subscriptions/orders/test")).toMatchObject({
    status: 429,
    headers: { "retry-after": "2" },
    body: { code: "tests_too_fast", detail: "one an hour" },
  });
});

it("a subscription that its spec suspends is not resumed: the answer says what to change", async () => {
  const resumed: string[] = [];
  const resume = async (uid: string): Promise<void> => void resumed.push(uid);
  expect(await caller({ resume }, { suspend: true })("/subscriptions/orders/resume")).toMatchObject({
    status: 409,
    body: { code: "suspended_by_spec", detail: expect.stringContaining("spec.suspend") as string },
  });
  expect(resumed).toEqual([]);
  expect((await caller({ resume }, { suspend: false })("/subscriptions/orders/resume")).status).toBe(200);
  expect(resumed).toEqual(["uid-1"]);
});

it.each([
  ["", "paused through the API; ends with resume"],
  ["{}", "paused through the API; ends with resume"],
  ['{"reason":"they move \\u00fc"}', "paused through the API: they move ü; ends with resume"],
])("a subscription is paused with %j, and its condition says so", async (body, message) => {
  const told: unknown[] = [];
  const call = caller({ pause: async (...args) => told.push(args) > 0 });
  expect(await call("/subscriptions/orders/pause", body)).toMatchObject({ status: 200, body: { name: "orders", paused: true } });
  expect(told).toEqual([["uid-1", message]]);
});

it.each(['{"reason":7}', '{"reason":""}', '{"reason":"  "}', `{"reason":"${"x".repeat(257)}"}`, '{"why":"x"}', "[]", "{"])(
  "a subscription is not paused with %.30j…",
  async (body) => {
    expect(await caller({})("/subscriptions/orders/pause", body)).toMatchObject({ status: 400, body: { code: "body_invalid" } });
  },
);

it("a subscription that its spec suspends, and one that was never accepted, are not paused", async () => {
  const pause = async (): Promise<boolean> => false;
  expect(await caller({}, { suspend: true })("/subscriptions/orders/pause")).toMatchObject({
    status: 409,
    body: { code: "suspended_by_spec" },
  });
  expect(await caller({ pause })("/subscriptions/orders/pause")).toMatchObject({ status: 409, body: { code: "subscription_not_ready" } });
});
