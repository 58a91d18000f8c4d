import type { Event } from "../core/event.ts";
import type { Outcome } from "../core/outcome.ts";
import type { Route, RouteTable } from "../core/route-table.ts";
import type { Subscription } from "../core/subscription.ts";
import type { Clock } from "../lib/clock.ts";
import { uuidv7 } from "../lib/random.ts";
import type { BusinessEvents } from "../observe/events.ts";
import type { Attempter } from "./attempter.ts";
import type { Lane } from "./queue/lane.ts";

const TEST_SOURCE = "/postrider/test";
const TEST_DATA = Buffer.from('{"test":true}');

export interface TestSenderParts {
  readonly clock: Clock;
  readonly attempter: Pick<Attempter, "attempt">;
  readonly table: () => RouteTable;
  /** Its queue: what a cluster policy's ceiling leaves is left to deliveries and tests together. */
  readonly laneOf: (uid: string) => Pick<Lane, "fair" | "gate"> | undefined;
  readonly events: Pick<BusinessEvents, "testEnded">;
  /** Lifts an automatic suspension. */
  readonly recover: (uid: string) => Promise<void>;
}

export interface TestOrder {
  readonly namespace: string;
  readonly uid: string;
  readonly type: string | undefined;
  readonly data: Uint8Array | undefined;
}

export type TestDone =
  | { readonly kind: "tested"; readonly event: Event; readonly url: string; readonly outcome: Outcome }
  | { readonly kind: "held"; readonly what: "rate" | "in flight"; readonly message: string; readonly retryAfterMs: number }
  | { readonly kind: "blocked"; readonly message: string };

/** A person waits for the answer: longer than this nobody does. */
const TEST_TIMEOUT_MAX_MS = 30_000;
/** A slot of the subscription comes free, or it does not: asked again after this long. */
const IN_FLIGHT_RETRY_MS = 5_000;

/**
 * Sends test events: made, signed, guarded and bounded like any attempt, but past queue, pauses and the subscription's own limits, and kept
 * nowhere but in the log. The ceilings of the cluster policy hold. What the receiver said is the answer; a success lifts an automatic suspension.
 */
export class TestSender {
  readonly #parts: TestSenderParts;
  /** Under way, by subscription. */
  readonly #underWay = new Map<string, number>();

  constructor(parts: TestSenderParts) {
    this.#parts = parts;
  }

  /** Never rejects for what the receiver does; settles by the policy's time-out, by 30 s, and on abort, whatever comes first. */
  async send(order: TestOrder, signal: AbortSignal): Promise<TestDone> {
    const { clock, table } = this.#parts;
    const route = table().byUid(order.uid);
    if (route === undefined)
      return { kind: "blocked", message: "the subscription has not been accepted, so nothing can be sent: see its conditions" };
    const { subscription } = route;
    if (subscription.target === undefined) {
      return { kind: "blocked", message: subscription.blocked?.message ?? "the subscription's references are not resolved" };
    }
    const held = this.#held(subscription);
    if (held !== undefined) return held;
    return this.#send(route, testEvent(order, subscription, clock), signal);
  }

  async #send(route: Route, event: Event, signal: AbortSignal): Promise<TestDone> {
    const { attempter, events, recover } = this.#parts;
    const { uid, namespace, name } = route.subscription;
    this.#count(uid, 1);
    try {
      const { outcome, url } = await attempter.attempt({ route, event, attempt: 1, timeoutMaxMs: TEST_TIMEOUT_MAX_MS, signal });
      events.testEnded({ namespace, name, eventId: event.id, eventType: event.type, url, outcome, callerGone: signal.aborted });
      if (outcome.class === "success") await recover(uid);
      return { kind: "tested", event, url, outcome };
    } finally {
      this.#count(uid, -1);
    }
  }

  #count(uid: string, one: 1 | -1): void {
    const left = (this.#underWay.get(uid) ?? 0) + one;
    if (left > 0) this.#underWay.set(uid, left);
    else this.#underWay.delete(uid);
  }

  /** Whether a ceiling of the cluster policy is reached; otherwise a token of its rate is taken. */
  #held({ uid, ceilings }: Subscription): TestDone | undefined {
    const lane = this.#parts.laneOf(uid);
    if (lane === undefined || ceilings === undefined) return undefined;
    const { maxInFlight, rateLimit } = ceilings;
    if (maxInFlight !== undefined && lane.fair.inFlight + (this.#underWay.get(uid) ?? 0) >= maxInFlight) {
      const message = `The cluster policy allows ${maxInFlight} requests to this receiver at once (limits.maxInFlight), and that many are in flight.`;
      return { kind: "held", what: "in flight", message, retryAfterMs: IN_FLIGHT_RETRY_MS };
    }
    if (rateLimit === undefined) return undefined;
    const nowMs = this.#parts.clock.nowMs();
    const atMs = lane.gate.takeRate(nowMs);
    if (atMs <= nowMs) return undefined;
    const message =
      `The cluster policy allows ${rateLimit.requests} requests in ${rateLimit.perMs / 1_000} s to this receiver (limits.rateLimit), ` +
      `deliveries and tests together: try again after Retry-After.`;
    return { kind: "held", what: "rate", message, retryAfterMs: atMs - nowMs };
  }
}

function testEvent({ namespace, type, data }: TestOrder, subscription: Subscription, clock: Clock): Event {
  const id = uuidv7(clock.trueMs());
  return {
    id,
    namespace,
    sourceId: id,
    source: TEST_SOURCE,
    type: type ?? exampleOf(subscription.spec.types[0] ?? "*"),
    subject: undefined,
    time: undefined,
    dataContentType: "application/json",
    dataKind: "json",
    data: data ?? TEST_DATA,
    extensions: {},
    receivedAtMs: clock.nowMs(),
  };
}

/** A type that the pattern matches. */
function exampleOf(pattern: string): string {
  return pattern.endsWith("*") ? `${pattern.slice(0, -1)}test` : pattern;
}
