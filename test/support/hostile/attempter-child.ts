import { setTimeout as wait } from "node:timers/promises";
import type { Outcome } from "../../../src/core/outcome.ts";
import { HttpAttempter } from "../../../src/attempt/http-attempter.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { anEvent, aRoute } from "../delivery/attempt-input.ts";
import type { AttemptsAsked, AttemptsMade, AttemptSeen } from "./attempts.ts";

const WARM_UP_ROUNDS = 5;
const SAMPLE_MS = 25;

/**
 * A process of its own with a real HttpAttempter: it makes the attempts it is asked for, all at once, and says what came of each and how its
 * resident memory moved meanwhile.
 */
process.once("message", (asked: AttemptsAsked) => {
  void run(asked).then((made) => process.send?.(made, () => process.disconnect()));
});

async function run({ benignUrl, targets, connections, timeoutMs, connectTimeoutMs }: AttemptsAsked): Promise<AttemptsMade> {
  const clock = new SystemClock();
  const attempter = new HttpAttempter({ clock, version: "1" });
  const policy = { timeoutMs, connectTimeoutMs, maxInFlight: connections };
  // Warm: as many connections to receivers that behave, so that what is measured is what hostility adds.
  const benign = Array.from({ length: targets.length }, (_, i) => aRoute({ url: benignUrl, uid: `benign-${i}`, policy }));
  for (let round = 0; round < WARM_UP_ROUNDS; round++) {
    await Promise.all(
      benign.flatMap((route) => Array.from({ length: connections }, () => attempter.attempt({ route, event: anEvent(), attempt: 1 }))),
    );
  }
  for (const { subscription } of benign) attempter.forget(subscription.uid);
  const restBytes = process.memoryUsage.rss();
  let peakBytes = restBytes;
  const sampler = setInterval(() => (peakBytes = Math.max(peakBytes, process.memoryUsage.rss())), SAMPLE_MS);

  const attempts: AttemptSeen[] = [];
  const routes = targets.map((url, kind) => ({ kind, route: aRoute({ url, uid: `kind-${kind}`, policy }) }));
  await Promise.all(
    routes.flatMap(({ kind, route }) =>
      Array.from({ length: connections }, async () => {
        const startedMs = clock.monotonicMs();
        const { outcome } = await attempter.attempt({ route, event: anEvent(), attempt: 1 });
        attempts.push({ ...seenOf(outcome), kind, tookMs: Math.round(clock.monotonicMs() - startedMs) });
      }),
    ),
  );
  peakBytes = Math.max(peakBytes, process.memoryUsage.rss());
  clearInterval(sampler);
  await attempter.close();
  // A destroyed socket's handle goes with its close event, a turn later.
  await wait(100);
  const openSockets = process.getActiveResourcesInfo().filter((resource) => /TCPSocket|TLS|TCPWrap/.test(resource)).length;
  return { attempts, restBytes, peakBytes, openSockets };
}

function seenOf(outcome: Outcome): Omit<AttemptSeen, "kind" | "tookMs"> {
  return {
    class: outcome.class,
    statusCode: outcome.statusCode,
    connectionStatus: outcome.connectionStatus,
    tlsStatus: outcome.tlsStatus,
    message: outcome.message,
    head: outcome.responseHeaders.map(([name]) => name),
    body: Buffer.from(outcome.responseBody.subarray(0, 16)).toString("latin1"),
    bodyBytes: outcome.responseBody.length,
  };
}
