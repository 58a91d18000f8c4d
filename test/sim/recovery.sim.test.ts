import { expect, test } from "vitest";
import { World, outcome, routeOf, type PolicyChange, type Receiver } from "../support/sim/world.ts";
import { latencyOf } from "../support/sim/latent-store.ts";

const WINDOW_MS = 10_000;

/** Sends per window of 10 s from `fromMs` on. */
function perWindow(sentAtMs: readonly number[], fromMs: number): number[] {
  const counts: number[] = [];
  for (const atMs of sentAtMs) {
    if (atMs < fromMs) continue;
    const window = Math.floor((atMs - fromMs) / WINDOW_MS);
    while (counts.length <= window) counts.push(0);
    counts[window]! += 1;
  }
  return counts;
}

/** Promise 17: a receiver that was dead gets one probe, then at most twice as much per 10 s as in the 10 s before, never above its rate. */
test.each([
  ["without a rate limit", undefined],
  ["with one", { requests: 15, perMs: 1_000, burst: 15 }],
])("a recovering receiver with a backlog of 20,000 is not stampeded, %s", { timeout: 120_000 }, async (_name, rateLimit) => {
  const HEALS_AFTER_MS = 60_000;
  let startMs = 0;
  const receiver: Receiver = (_input, nowMs) => ({
    afterMs: 20,
    outcome: outcome(nowMs - startMs < HEALS_AFTER_MS ? "server_error" : "success"),
  });
  const policy: PolicyChange = {
    maxInFlight: 64,
    rateLimit,
    circuitBreaker: { consecutiveFailures: 20, openForMs: 30_000, halfOpenProbes: 1 },
    retry: { maxAttempts: 100, delays: { kind: "backoff", growth: "Constant", initialMs: 1_000, maxMs: 1_000 } },
  };
  const world = new World({ latency: latencyOf(1), receiver });
  await world.start([routeOf("s", { policy })]);
  startMs = world.clock.nowMs();
  for (let i = 0; i < 20_000; i++) await world.post();
  await world.clock.advance(HEALS_AFTER_MS + 1_000);
  const sentAtMs = () => world.network.sent.map((sent) => sent.atMs);
  const whileDead = sentAtMs().filter((atMs) => atMs - startMs < HEALS_AFTER_MS);
  // Twenty to open it, those under way then, and one probe each 30 s.
  expect(whileDead.length).toBeLessThanOrEqual(20 + 64 + 2);
  const healedMs = startMs + HEALS_AFTER_MS;
  await world.clock.advance(90_000);
  const afterHeal = sentAtMs().filter((atMs) => atMs >= healedMs);
  const [probeMs = 0, nextMs = 0] = afterHeal;
  // One probe, alone until it was answered.
  expect(nextMs).toBeGreaterThanOrEqual(probeMs + 20);
  const counts = perWindow(afterHeal, probeMs + 20);
  expect(counts[0]).toBeLessThanOrEqual(20);
  for (let i = 1; i < Math.min(counts.length, 6); i++)
    expect(counts[i], `window ${i} of ${counts.join(" ")}`).toBeLessThanOrEqual((counts[i - 1] ?? 0) * 2);
  expect(Math.max(...counts)).toBeGreaterThan(counts[0] ?? 0);
  if (rateLimit === undefined) return;
  for (const [i, atMs] of afterHeal.entries()) {
    const inSecond = afterHeal.slice(i).findIndex((later) => later >= atMs + 1_000);
    if (inSecond >= 0) expect(inSecond).toBeLessThanOrEqual(rateLimit.requests + rateLimit.burst);
  }
});
