import { expect, it } from "vitest";
import type { AttemptTold } from "../../../src/observe/attempt-lines.ts";
import { BusinessEvents } from "../../../src/observe/events.ts";
import { Metrics } from "../../../src/observe/metrics.ts";
import { testDeliveryNames } from "../../support/delivery/test-delivery-names.ts";
import { recordingLog } from "../../support/recording-log.ts";
import { outcome } from "../../support/sim/world.ts";

const ORDERS = { namespace: "shop", name: "orders" };

function told(part: Partial<AttemptTold> = {}): AttemptTold {
  return {
    ...ORDERS,
    eventId: "e",
    eventType: "order.paid",
    deliveryId: 7,
    attempt: 2,
    outcome: outcome("success", { message: "HTTP 204 No Content", durationMs: 12.34 }),
    url: "https://example.com/",
    decision: "delivered",
    reason: "Delivered",
    nextInMs: undefined,
    traceId: "0af7651916cd43dd8448eb211c80319c",
    acceptedAtMs: 1_000,
    waitedMs: 3.4,
    policy: "gold",
    keptMs: 7 * 86_400_000,
    nowMs: 31_000,
    ...part,
  };
}

function scene(successOneIn?: number, level?: "info" | "warn") {
  const { log, lines } = recordingLog(level);
  const metrics = new Metrics({ version: "test", defaults: false });
  return { lines, metrics, events: new BusinessEvents(metrics, log, testDeliveryNames, successOneIn) };
}

const FAILED = outcome("server_error", { message: "HTTP 500 Internal Server Error" });
const ID = testDeliveryNames.nameOf("shop", 7);

it("the line of an attempt says how long it waited for us, how long the receiver took, how old it is, its policy and its trace", () => {
  const { events, lines } = scene();
  events.attemptEnded(told());
  expect(lines).toMatchObject([
    {
      level: "info",
      waitedMs: 3,
      durationMs: 12.3,
      ageMs: 30_000,
      policy: "gold",
      trace: "0af7651916cd43dd8448eb211c80319c",
      deliveryID: ID,
    },
  ]);
  expect(lines[0]).not.toHaveProperty("sampled");
});

it("the parts of an attempt are in its line and counted, those that it did not need are not", async () => {
  const { events, lines, metrics } = scene();
  const parts = { dnsMs: 1.25, connectMs: 2, tlsMs: undefined, firstByteMs: 300 };
  events.attemptEnded(told({ outcome: outcome("success", { phases: parts }) }));
  events.attemptEnded(told({ outcome: outcome("success", { phases: { firstByteMs: 10 } }) }));
  expect(lines[0]).toMatchObject({ dnsMs: 1.3, connectMs: 2, tlsMs: undefined, firstByteMs: 300 });
  const text = await metrics.expose();
  const counts = ["dns", "connect", "tls", "first_byte"].map(
    (phase) => new RegExp(`^postrider_attempt_phase_seconds_count\\{phase="${phase}"\\} (\\d+)$`, "m").exec(text)?.[1],
  );
  expect(counts).toEqual(["1", "1", "0", "2"]);
});

it("of successes one in so many is written, with the number; of failures each is", () => {
  const { events, lines, metrics } = scene(10);
  for (let i = 0; i < 35; i++) events.attemptEnded(told());
  expect(lines.map(({ sampled }) => sampled)).toEqual([10, 10, 10]);
  for (let i = 0; i < 5; i++) events.attemptEnded(told({ outcome: FAILED, decision: "retry", reason: undefined, nextInMs: 30_000 }));
  expect(lines).toHaveLength(8);
  expect(lines.slice(3).every(({ level, sampled }) => level === "warn" && sampled === undefined)).toBe(true);
  expect(metrics.perSubscription.level).toBe("full");
});

it("a failure is a warning, at the level warn too, and says when it is retried", () => {
  const { events, lines } = scene(1, "warn");
  events.attemptEnded(told());
  events.attemptEnded(told({ outcome: FAILED, decision: "retry", reason: undefined, nextInMs: 30_000 }));
  events.attemptEnded(told({ outcome: FAILED, decision: "wait", reason: undefined }));
  expect(lines.map(({ level, msg }) => `${level}: ${msg}`)).toEqual([
    "warn: HTTP 500 Internal Server Error; retried in 30 s",
    "warn: HTTP 500 Internal Server Error; it waits for a change of the spec of shop/orders",
  ]);
});

it("a final loss says why, until when it is kept and how it is sent again", () => {
  const { events, lines } = scene();
  events.attemptEnded(told({ outcome: FAILED, decision: "failed", reason: "AttemptsExhausted" }));
  expect(lines[0]).toMatchObject({ level: "warn", decision: "failed", reason: "AttemptsExhausted" });
  expect(lines[0]?.msg).toBe(
    `HTTP 500 Internal Server Error; failed for good (AttemptsExhausted); to send it again within 7 days: POST /v1/namespaces/shop/deliveries/${ID}/resend on the API port`,
  );
});

it("deliveries that fail without an attempt have one line with their number, the first and the last", () => {
  const { events, lines } = scene(1, "warn");
  events.deliveriesLost(ORDERS, { reason: "BySpec", count: 0, ids: [] });
  events.deliveriesLost(ORDERS, { reason: "BySpec", count: 3, ids: [7, 8, 9] });
  expect(lines).toMatchObject([
    {
      level: "warn",
      event: "delivery.lost",
      reason: "BySpec",
      count: 3,
      firstDeliveryID: ID,
      lastDeliveryID: testDeliveryNames.nameOf("shop", 9),
    },
  ]);
  expect(lines[0]?.msg).toMatch(/^3 deliveries have failed for good without an attempt \(BySpec\); to send them again: GET \/v1/);
});

it("what fails for good is counted by reason, from 0 on, and by namespace without dead letters", async () => {
  const { events, metrics } = scene();
  expect(await metrics.expose()).toContain('\npostrider_deliveries_failed_total{reason="AgeExceeded"} 0\n');
  events.deliveryEnded(ORDERS, "failed", "AgeExceeded");
  events.deliveryEnded({ ...ORDERS, name: "orders#deadletter" }, "failed", "AgeExceeded");
  events.deliveryEnded(ORDERS, "discarded", "Discarded");
  const text = await metrics.expose();
  expect(text).toContain('\npostrider_deliveries_failed_total{reason="AgeExceeded"} 2\n');
  expect(text).toContain('\npostrider_deliveries_ended_total{namespace="shop",outcome="failed"} 1\n');
  expect(text).not.toContain('reason="Discarded"');
});

it("an attempt's exemplar names its delivery and its trace, in OpenMetrics only", async () => {
  const { events, metrics } = scene();
  events.attemptEnded(told({ outcome: outcome("success", { durationMs: 700 }) }));
  const line = 'postrider_attempt_duration_seconds_bucket{le="1.0"} 1';
  expect(await metrics.expose("openmetrics")).toContain(
    `\n${line} # {delivery_id="${ID}",trace_id="0af7651916cd43dd8448eb211c80319c"} 0.7\n`,
  );
  expect(await metrics.expose()).toContain(`\n${line}\n`);
});
