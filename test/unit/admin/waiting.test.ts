import { expect, it } from "vitest";
import type { Hold } from "../../../src/admin/directory.ts";
import { deliveryView } from "../../../src/admin/views.ts";
import type { DeliveryRecord } from "../../../src/store/store.ts";
import { outcome, routeOf, World } from "../../support/sim/world.ts";

const NOW_MS = Date.UTC(2026, 0, 1);
const at = (ms: number): string => new Date(NOW_MS + ms).toISOString();

const READY = {
  id: 1,
  namespace: "shop",
  subscription: "uid-1",
  eventId: "e",
  eventType: "t",
  state: "ready",
  reason: undefined,
  attempts: 1,
  crashes: 0,
  acceptedAtMs: NOW_MS,
  dueAtMs: NOW_MS + 1_000,
  endedAtMs: undefined,
} as unknown as DeliveryRecord;

it.each<{ what: string; record?: Partial<DeliveryRecord>; hold?: Hold; waitingFor: unknown; next: string | null }>([
  { what: "nothing holds it back", waitingFor: null, next: at(1_000) },
  {
    what: "the spec suspends it",
    hold: { reason: "BySpec", untilMs: undefined },
    waitingFor: { reason: "BySpec", untilTime: null },
    next: null,
  },
  {
    what: "the circuit is open for longer than it would wait",
    hold: { reason: "CircuitOpen", untilMs: NOW_MS + 30_000 },
    waitingFor: { reason: "CircuitOpen", untilTime: at(30_000) },
    next: at(30_000),
  },
  {
    what: "the receiver asked for peace that ends before it is due",
    hold: { reason: "RetryAfter", untilMs: NOW_MS + 500 },
    waitingFor: { reason: "RetryAfter", untilTime: at(500) },
    next: at(1_000),
  },
  {
    what: "it waits for another spec",
    record: { reason: "PayloadInvalid", dueAtMs: undefined } as never,
    waitingFor: { reason: "PayloadInvalid", untilTime: null },
    next: null,
  },
  {
    what: "it has ended",
    record: { state: "delivered", reason: "Delivered", dueAtMs: undefined, endedAtMs: NOW_MS },
    hold: { reason: "BySpec", untilMs: undefined },
    waitingFor: null,
    next: null,
  },
])("a row says why it waits, and when it is tried next: $what", ({ record, hold, waitingFor, next }) => {
  const label = { id: "x", uid: "uid-1", name: "orders", isDeadLetter: false, hold };
  const view = deliveryView({ ...READY, ...record }, label, { shownMs: (atMs) => atMs });
  expect(view).toMatchObject({ waitingFor, nextAttemptTime: next });
});

it("the engine says what holds a queue back, and until when", async () => {
  const world = new World({
    receiver: ({ route }) =>
      route.subscription.uid === "asked"
        ? { afterMs: 1, outcome: outcome("server_error", { statusCode: 503, retryAfterMs: 60_000 }) }
        : { afterMs: 1, outcome: outcome("server_error", { statusCode: 500 }) },
  });
  await world.start([
    routeOf("asked"),
    routeOf("broken", { policy: { circuitBreaker: { consecutiveFailures: 1, openForMs: 45_000, halfOpenProbes: 1 } } }),
    routeOf("suspended", { suspend: true }),
    routeOf("unresolved", { blocked: true }),
    routeOf("slow", { policy: { rateLimit: { requests: 1, perMs: 10_000, burst: 1 }, retry: { maxAttempts: 1 } } }),
  ]);
  await world.post();
  await world.post();
  await world.clock.advance(100);
  const held = (uid: string): unknown => {
    const hold = world.engine.heldBack(uid);
    return hold === undefined
      ? undefined
      : [hold.reason, hold.untilMs === undefined ? undefined : Math.round((hold.untilMs - world.clock.nowMs()) / 1_000)];
  };
  expect(held("asked")).toEqual(["RetryAfter", 60]);
  expect(held("broken")).toEqual(["CircuitOpen", 45]);
  expect(held("suspended")).toEqual(["BySpec", undefined]);
  expect(held("unresolved")).toEqual(["RefsUnresolved", undefined]);
  expect(held("slow")).toEqual(["RateLimit", 10]);
  expect(held("nobody")).toBeUndefined();
});
