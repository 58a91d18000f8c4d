import type { Outcome } from "../../../src/core/outcome.ts";
import { casesOf } from "../../support/fields/field-case.ts";
import type { FieldCase } from "../../support/fields/field-case.ts";
import type { FieldRig } from "../../support/fields/field-rig.ts";
import { outcome } from "../../support/sim/world.ts";
import type { World } from "../../support/sim/world.ts";

type PolicyCase = Omit<FieldCase, "kind">;

const SECOND = 1_000;
const HOUR = 3_600 * SECOND;
const NS = "shop";
const FAILS = outcome("server_error");

interface Story {
  /** How each attempt ends, by its number from 1; the last one repeats. */
  readonly answers: readonly Outcome[];
  readonly events?: number;
  /** How long time runs after the events. */
  readonly forMs: number;
  /** How long each attempt takes. */
  readonly takesMs?: number;
}

/** Lets it happen in virtual time; answers the world afterwards. */
async function happens(rig: FieldRig, { answers, events = 1, forMs, takesMs = 1 }: Story): Promise<World> {
  let attempts = 0;
  const world = await rig.world(() => ({ afterMs: takesMs, outcome: answers[Math.min(attempts++, answers.length - 1)] ?? FAILS }));
  for (let i = 0; i < events; i++) await world.post(NS);
  await world.clock.advance(forMs);
  return world;
}

/** Delivers one event; answers what its log still has of the receiver's answers, at these ages. */
async function keptAfter(rig: FieldRig, agesMs: readonly number[]): Promise<(string | undefined)[][]> {
  const world = await rig.world(() => ({ afterMs: 1, outcome: outcome("success", { responseBody: Buffer.from("thanks") }) }));
  const event = await world.post(NS);
  const [delivery] = await world.store.deliveriesOf(event?.id ?? "");
  const acceptedAtMs = world.clock.nowMs();
  const kept: (string | undefined)[][] = [];
  for (const ageMs of agesMs) {
    await world.clock.advance(acceptedAtMs + ageMs - world.clock.nowMs());
    world.store.advanceTo(world.clock.nowMs());
    const attempts = await world.store.attemptsOf(delivery?.id ?? 0);
    kept.push(attempts.map(({ responseBody }) => responseBody && Buffer.from(responseBody).toString()));
  }
  return kept;
}

/** Whole seconds after acceptance at which each attempt was made. */
const secondsOf = (world: World): number[] => world.network.sent.map(({ latencyMs }) => Math.round(latencyMs / SECOND));
const attemptsOf = (world: World): number => world.network.sent.length;

const NO_JITTER = { "spec.retry.jitterPercent": 0 };
const EVERY_SECOND = { ...NO_JITTER, "spec.retry.backoff": { policy: "Constant", initialDelay: "1s", maxDelay: "1s" } };
const PATIENT = { ...EVERY_SECOND, "spec.circuitBreaker.consecutiveFailures": 1_000, "spec.retry.maxAttempts": 100 };

/** Behaviour of each field that both kinds of policy have. */
const SHARED: readonly PolicyCase[] = [
  {
    field: "spec.timeout",
    value: "200ms",
    instead: "5s",
    observe: async (rig) => {
      rig.receiver.answer = undefined;
      const sent = rig.send().then(({ outcome: { class: cls, durationMs } }) => ({ cls, inTime: durationMs < 2 * SECOND }));
      return Promise.race([sent, new Promise((resolve) => setTimeout(resolve, 3 * SECOND, "still waiting").unref())]);
    },
    shows: { cls: "timeout", inTime: true },
  },
  {
    field: "spec.connectTimeout",
    value: "200ms",
    instead: "5s",
    around: { WebhookSubscription: { "spec.endpoint.url": "https://slow-name.example.com/" } },
    observe: async (rig) => {
      const silent = { resolve: () => new Promise<never>(() => undefined) };
      const sent = rig.send({}, silent).then(({ outcome: { durationMs } }) => durationMs < 2 * SECOND);
      return Promise.race([sent, new Promise((resolve) => setTimeout(resolve, 3 * SECOND, "still waiting").unref())]);
    },
    shows: true,
  },
  {
    field: "spec.retry.maxAttempts",
    value: 3,
    beside: EVERY_SECOND,
    observe: async (rig) => attemptsOf(await happens(rig, { answers: [FAILS], forMs: 30 * SECOND })),
    shows: 3,
  },
  {
    field: "spec.retry.maxAge",
    value: "5s",
    beside: { ...PATIENT },
    observe: async (rig) => attemptsOf(await happens(rig, { answers: [FAILS], forMs: 60 * SECOND })),
    shows: 5,
  },
  {
    field: "spec.retry.schedule[]",
    value: "7s",
    without: "spec.retry.schedule",
    beside: NO_JITTER,
    observe: async (rig) => secondsOf(await happens(rig, { answers: [FAILS], forMs: 15 * SECOND })),
    shows: [7, 14],
  },
  {
    field: "spec.retry.backoff.policy",
    value: "Linear",
    beside: { ...NO_JITTER, "spec.retry.backoff": { initialDelay: "2s", maxDelay: "1h" } },
    observe: async (rig) => secondsOf(await happens(rig, { answers: [FAILS], forMs: 13 * SECOND })),
    shows: [0, 2, 6, 12],
  },
  {
    field: "spec.retry.backoff.initialDelay",
    value: "10s",
    beside: { ...NO_JITTER, "spec.retry.backoff": { policy: "Constant" } },
    observe: async (rig) => secondsOf(await happens(rig, { answers: [FAILS], forMs: 25 * SECOND })),
    shows: [0, 10, 20],
  },
  {
    field: "spec.retry.backoff.maxDelay",
    value: "5s",
    beside: { ...NO_JITTER, "spec.retry.backoff": { policy: "Exponential", initialDelay: "4s" } },
    observe: async (rig) => secondsOf(await happens(rig, { answers: [FAILS], forMs: 15 * SECOND })),
    shows: [0, 4, 9, 14],
  },
  {
    field: "spec.retry.jitterPercent",
    value: 0,
    beside: { "spec.retry.schedule": ["0s", "1000s"] },
    observe: async (rig) => secondsOf(await happens(rig, { answers: [FAILS], forMs: 1_200 * SECOND })),
    shows: [0, 1_000],
  },
  {
    field: "spec.retry.statusCodes[]",
    value: "418",
    without: "spec.retry.statusCodes",
    beside: { ...EVERY_SECOND, "spec.retry.maxAttempts": 2 },
    observe: async (rig) => attemptsOf(await happens(rig, { answers: [outcome("client_error", { statusCode: 418 })], forMs: 5 * SECOND })),
    shows: 2,
  },
  {
    field: "spec.retry.retryAfterMax",
    value: "10s",
    beside: EVERY_SECOND,
    observe: async (rig) => {
      const busy = outcome("client_error", { statusCode: 429, retryAfterMs: 60 * SECOND });
      return secondsOf(await happens(rig, { answers: [busy, outcome("success")], forMs: 90 * SECOND }));
    },
    shows: [0, 10],
  },
  {
    field: "spec.success.statusCodes[]",
    value: "404",
    without: "spec.success.statusCodes",
    observe: async (rig) => {
      rig.receiver.answer = { status: 404 };
      return (await rig.send()).outcome.class;
    },
    shows: "success",
  },
  {
    field: "spec.rateLimit.requests",
    value: 3,
    instead: 6,
    beside: { "spec.rateLimit": { per: "10s", burst: 3 } },
    observe: async (rig) => attemptsOf(await happens(rig, { answers: [outcome("success")], events: 30, forMs: 21 * SECOND })),
    shows: 9,
  },
  {
    field: "spec.rateLimit.per",
    value: "10s",
    beside: { "spec.rateLimit": { requests: 3 } },
    observe: async (rig) => attemptsOf(await happens(rig, { answers: [outcome("success")], events: 30, forMs: 21 * SECOND })),
    shows: 9,
  },
  {
    field: "spec.rateLimit.burst",
    value: 10,
    beside: { "spec.rateLimit": { requests: 1, per: "10s" } },
    observe: async (rig) => attemptsOf(await happens(rig, { answers: [outcome("success")], events: 30, forMs: SECOND })),
    shows: 10,
  },
  {
    field: "spec.maxInFlight",
    value: 3,
    observe: async (rig) => {
      const world = await happens(rig, { answers: [outcome("success")], events: 30, forMs: SECOND, takesMs: 100 });
      return world.network.totalMax;
    },
    shows: 3,
  },
  {
    field: "spec.circuitBreaker.consecutiveFailures",
    value: 3,
    beside: { ...EVERY_SECOND, "spec.circuitBreaker.openFor": "1h", "spec.maxInFlight": 1 },
    observe: async (rig) => attemptsOf(await happens(rig, { answers: [FAILS], events: 10, forMs: 30 * SECOND })),
    shows: 3,
  },
  {
    field: "spec.circuitBreaker.openFor",
    value: "5m",
    beside: { ...EVERY_SECOND, "spec.circuitBreaker.consecutiveFailures": 1, "spec.maxInFlight": 1 },
    observe: async (rig) => attemptsOf(await happens(rig, { answers: [FAILS], events: 3, forMs: 200 * SECOND })),
    shows: 1,
  },
  {
    field: "spec.circuitBreaker.halfOpenProbes",
    value: 3,
    beside: { ...EVERY_SECOND, "spec.circuitBreaker": { consecutiveFailures: 1, openFor: "1s" }, "spec.maxInFlight": 8 },
    observe: async (rig) => {
      // One failure opens the circuit for a second; looked at while the probes are under way.
      const world = await happens(rig, { answers: [FAILS, outcome("success")], events: 1, forMs: 100, takesMs: 50 });
      for (let i = 0; i < 20; i++) await world.post(NS);
      await world.clock.advance(980);
      return world.network.sent.length;
    },
    shows: 4,
  },
  {
    field: "spec.autoSuspendAfter",
    value: "2m",
    beside: { ...PATIENT, "spec.retry.backoff": { policy: "Constant", initialDelay: "30s", maxDelay: "30s" } },
    observe: async (rig) => {
      const world = await happens(rig, { answers: [FAILS], forMs: 600 * SECOND });
      return Object.keys((await world.store.queues())[0]?.pauses ?? {});
    },
    shows: ["AutoSuspended"],
  },
  {
    field: "spec.retention.history",
    value: "5h",
    observe: async (rig) => ({
      accepted: (await rig.ingest()).item?.historyRetentionMs,
      attempts: (await keptAfter(rig, [4 * HOUR, 6 * HOUR])).map((bodies) => bodies.length),
    }),
    shows: { accepted: 5 * HOUR, attempts: [1, 0] },
  },
  {
    field: "spec.retention.bodies",
    value: "2h",
    observe: async (rig) => ({
      accepted: (await rig.ingest()).item?.bodyRetentionMs,
      answers: await keptAfter(rig, [HOUR, 3 * HOUR]),
    }),
    shows: { accepted: 2 * HOUR, answers: [["thanks"], [undefined]] },
  },
  {
    field: "spec.retention.responseBytes",
    value: 5,
    observe: async (rig) => {
      rig.receiver.answer = { status: 200, body: "0123456789" };
      return Buffer.from((await rig.send()).outcome.responseBody).toString();
    },
    shows: "01234",
  },
];

export const POLICY_CASES: readonly FieldCase[] = [...casesOf("DeliveryPolicy", SHARED), ...casesOf("ClusterDeliveryPolicy", SHARED)];
