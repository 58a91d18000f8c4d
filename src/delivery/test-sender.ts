import type { Event } from "../core/event.ts";
import type { Outcome } from "../core/outcome.ts";
import type { RouteTable } from "../core/route-table.ts";
import type { Subscription } from "../core/subscription.ts";
import type { Clock } from "../lib/clock.ts";
import { uuidv7 } from "../lib/random.ts";
import type { Attempter } from "./attempter.ts";

const TEST_SOURCE = "/postrider/test";
const TEST_DATA = Buffer.from('{"test":true}');

export interface TestSenderParts {
  readonly clock: Clock;
  readonly attempter: Pick<Attempter, "attempt">;
  readonly table: () => RouteTable;
  /** Lifts an automatic suspension. */
  readonly resume: (uid: string) => Promise<void>;
}

export interface TestOrder {
  readonly namespace: string;
  readonly uid: string;
  readonly type: string | undefined;
  readonly data: Uint8Array | undefined;
}

export type TestDone =
  | { readonly kind: "tested"; readonly event: Event; readonly url: string; readonly outcome: Outcome }
  | { readonly kind: "blocked"; readonly message: string };

/**
 * Sends test events: made, signed, guarded and bounded like any attempt, but past queue, limits and pauses, and kept nowhere. What the receiver
 * said is the answer; a success lifts an automatic suspension.
 */
export class TestSender {
  readonly #parts: TestSenderParts;

  constructor(parts: TestSenderParts) {
    this.#parts = parts;
  }

  /** Never rejects for what the receiver does; settles by the policy's time-out. */
  async send(order: TestOrder): Promise<TestDone> {
    const { clock, attempter, table, resume } = this.#parts;
    const route = table().byUid(order.uid);
    if (route === undefined)
      return { kind: "blocked", message: "the subscription has not been accepted, so nothing can be sent: see its conditions" };
    const { subscription } = route;
    if (subscription.target === undefined) {
      return { kind: "blocked", message: subscription.blocked?.message ?? "the subscription's references are not resolved" };
    }
    const event = testEvent(order, subscription, clock);
    const { outcome, url } = await attempter.attempt({ route, event, attempt: 1 });
    if (outcome.class === "success") await resume(order.uid);
    return { kind: "tested", event, url, outcome };
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
