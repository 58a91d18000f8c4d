import { expect, test } from "vitest";
import { World, outcome, routeOf, type Receiver } from "../support/sim/world.ts";

const FOREVER_MS = 1e9;
const NEVER_OPENS = { consecutiveFailures: 1e9, openForMs: 1_000, halfOpenProbes: 3 };

/** Longest time that a delivery to a healthy receiver waited beside so many namespaces that hang. */
async function slowestBeside(hanging: number, slots: number): Promise<number> {
  const receiver: Receiver = ({ route }) => {
    const hangs = route.subscription.namespace.startsWith("hangs");
    return { afterMs: hangs ? FOREVER_MS : 20, outcome: outcome("success") };
  };
  const world = new World({ receiver, slotsMax: slots });
  // Both the time-out and the cap are as bad as they can be: only the shares hold them back.
  const policy = { maxInFlight: 1_000, timeoutMs: 300_000, circuitBreaker: NEVER_OPENS };
  const bad = Array.from({ length: hanging }, (_, n) => routeOf(`h${n}`, { namespace: `hangs${n}`, policy }));
  await world.start([...bad, routeOf("well", { namespace: "well" })]);
  for (let n = 0; n < 2 * slots; n++) for (const route of bad) await world.post(route.subscription.namespace);
  await world.clock.advance(1_000);
  for (let n = 0; n < 50; n++) {
    await world.post("well");
    await world.clock.advance(100);
  }
  const latencies = world.network.sent.filter((sent) => sent.uid === "well").map((sent) => sent.latencyMs);
  expect(latencies).toHaveLength(50);
  return Math.max(...latencies);
}

test.each([
  [2, 3],
  [2, 8],
  [2, 64],
  [4, 64],
  [6, 64],
])("%d namespaces whose receivers hang leave a healthy one its slots, of %d in all", { timeout: 60_000 }, async (hanging, slots) => {
  expect(await slowestBeside(hanging, slots)).toBeLessThanOrEqual(20);
});
