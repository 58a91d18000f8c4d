import { expect, it } from "vitest";
import { routeOf } from "../../../src/admin/api-routes.ts";
import type { DeliveryActs } from "../../../src/admin/directory.ts";
import { ApiHandlers, TESTS_MAX } from "../../../src/admin/handlers.ts";
import type { ApiAnswer } from "../../../src/admin/api-problem.ts";
import type { DeliveryRecord } from "../../../src/store/store.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const unused = (): never => {
  throw new Error("must not be reached");
};
const NOW_MS = Date.UTC(2026, 0, 1);
/** What the store was told of the time. */
const told: number[] = [];
const RECORD = { id: 17, namespace: "shop", subscription: "uid-1" } as DeliveryRecord;
const KNOWN = { uid: "uid-1", namespace: "shop", name: "orders", generation: 1, spec: null, status: null };

/** POSTs below namespace `shop`, the engine answering as given. */
function caller(acts: Partial<DeliveryActs>): (path: string) => Promise<ApiAnswer> {
  const handlers = new ApiHandlers({
    clock: new ManualClock(NOW_MS),
    store: {
      tell: (nowMs) => told.push(nowMs),
      history: unused,
      attemptsOf: unused,
      readEvent: unused,
      readBody: unused,
      readDelivery: async () => RECORD,
    },
    directory: { list: () => [KNOWN], get: () => KNOWN, nameOf: () => KNOWN.name },
    acts: { storageFull: () => undefined, resend: unused, test: unused, resume: unused, bodyOf: unused, ...acts },
  });
  return (path) => {
    const routed = routeOf("POST", `/v1/namespaces/shop${path}`);
    if (routed.kind !== "route") throw new Error(routed.kind);
    return handlers.answer({ route: routed.route, parameters: new URLSearchParams(), body: new Uint8Array(0) });
  };
}

it.each([
  ["not_ended", 409, "delivery_not_ended"],
  ["body_gone", 410, "body_gone"],
  ["subscription_gone", 410, "subscription_gone"],
  ["not_found", 404, "delivery_not_found"],
] as const)("a resend that is %s is answered with %i %s", async (result, status, code) => {
  expect(await caller({ resend: async () => result })("/deliveries/17/resend")).toMatchObject({ status, body: { status, code } });
});

it("no call is answered as of an earlier time than now, though nothing has been stored for long", async () => {
  told.length = 0;
  await caller({ resend: async () => "resent" })("/deliveries/17/resend");
  expect(told).toEqual([NOW_MS]);
});

it("a resend of a namespace that is full is answered 429 and nothing is done", async () => {
  const call = caller({ storageFull: (namespace) => `Namespace ${namespace} is full` });
  const answer = await call("/deliveries/17/resend");
  expect(answer).toMatchObject({
    status: 429,
    headers: { "retry-after": "60" },
    body: { code: "quota_exceeded", detail: "Namespace shop is full" },
  });
});

it("a resend is accepted with 202", async () => {
  expect(await caller({ resend: async () => "resent" })("/deliveries/17/resend")).toMatchObject({ status: 202, body: { id: "17" } });
});

it("a test of a blocked subscription says what is missing", async () => {
  const call = caller({ test: async () => ({ kind: "blocked", message: "Secret pipe-key is not there" }) });
  expect(await call("/subscriptions/orders/test")).toMatchObject({
    status: 409,
    body: { code: "subscription_not_ready", detail: "Secret pipe-key is not there" },
  });
});

it("more tests at once than the bound are turned away, and the places come free again", async () => {
  const done = Promise.withResolvers<{ kind: "blocked"; message: string }>();
  const call = caller({ test: () => done.promise });
  const running = Array.from({ length: TESTS_MAX }, () => call("/subscriptions/orders/test"));
  expect(await call("/subscriptions/orders/test")).toMatchObject({
    status: 429,
    headers: { "retry-after": "5" },
    body: { code: "tests_busy" },
  });
  done.resolve({ kind: "blocked", message: "-" });
  await Promise.all(running);
  expect((await call("/subscriptions/orders/test")).status).toBe(409);
});
