import { createHash } from "node:crypto";
import type { Event } from "../../../src/core/event.ts";
import { uuidv7 } from "../../../src/lib/random.ts";
import type { AcceptItem, AttemptRecord, Completion, NewDelivery, Store } from "../../../src/store/store.ts";

export const START_MS = Date.UTC(2026, 0, 1, 12);
export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
export const NAMESPACE = "shop";
/** Subscription whose deliveries are claimed ahead, in the process that is killed. */
export const AHEAD = "sub-d";

export function event(overrides: Partial<Event> = {}): Event {
  const receivedAtMs = overrides.receivedAtMs ?? START_MS;
  return {
    id: uuidv7(receivedAtMs),
    namespace: NAMESPACE,
    sourceId: "source-1",
    source: "/namespaces/shop",
    type: "order.created",
    subject: undefined,
    time: undefined,
    dataContentType: "application/json",
    dataKind: "json",
    data: new TextEncoder().encode('{"total":1.10}'),
    extensions: {},
    receivedAtMs,
    ...overrides,
  };
}

export function delivery(overrides: Partial<NewDelivery> = {}): NewDelivery {
  return { subscription: "sub-a", namespace: NAMESPACE, orderKey: undefined, dueAtMs: START_MS, as: "indexed", epoch: 1, ...overrides };
}

export function item(overrides: Partial<AcceptItem> = {}): AcceptItem {
  const stored = overrides.event ?? event();
  return {
    event: stored,
    idempotencyKey: undefined,
    contentHash: createHash("sha256").update(stored.data).digest(),
    deliveries: [delivery()],
    bodyRetentionMs: DAY_MS,
    historyRetentionMs: 3 * DAY_MS,
    ...overrides,
  };
}

/** Accepts and answers the delivery ids of all items in order. */
export async function accept(store: Store, items: readonly AcceptItem[], nowMs = START_MS): Promise<number[]> {
  const result = await store.accept({ namespace: NAMESPACE, items, nowMs });
  if (!result.ok) throw new Error(`conflict at ${result.conflict.index}`);
  return result.items.flatMap((each) => each.deliveryIds);
}

export function attempt(id: number, overrides: Partial<AttemptRecord> = {}): AttemptRecord {
  return {
    deliveryId: id,
    eventId: "",
    subscription: "sub-a",
    namespace: NAMESPACE,
    eventType: "order.created",
    attempt: 1,
    startedAtMs: START_MS,
    durationMs: 12.5,
    outcome: "success",
    statusCode: 200,
    connectionStatus: "ok",
    tlsStatus: "ok",
    message: "",
    url: "https://receiver.example/hook",
    recordId: undefined,
    requestHeaders: [["webhook-id", "x"]],
    requestBody: undefined,
    responseHeaders: [["content-type", "text/plain"]],
    responseBody: new TextEncoder().encode("ok"),
    ...overrides,
  };
}

export function completion(id: number, overrides: Partial<Completion> = {}): Completion {
  return {
    id,
    epoch: 1,
    attempt: attempt(id),
    next: { state: "delivered", reason: "Delivered" },
    nowMs: START_MS,
    historyRetentionMs: 3 * DAY_MS,
    ...overrides,
  };
}

export async function claimOne(store: Store, id: number, overrides: { epoch?: number; lone?: boolean; withEvent?: boolean } = {}) {
  const [claimed] = await store.claim([{ id, epoch: 1, lone: false, withEvent: false, ...overrides }]);
  return claimed;
}

export async function pendingOf(store: Store, subscription: string): Promise<number> {
  return (await store.queues()).find((queue) => queue.subscription === subscription)?.pending ?? 0;
}

/** Everything that is over, piece by piece, as the hourly sweep does it. Answers what was dropped in all. */
export async function dropAll(
  store: Pick<Store, "dropExpired">,
  nowMs: number,
): Promise<{ readonly tables: number; readonly idempotencyKeys: number }> {
  const sum = { tables: 0, idempotencyKeys: 0 };
  for (let more = true; more;) {
    const dropped = await store.dropExpired(nowMs);
    sum.tables += dropped.tables;
    sum.idempotencyKeys += dropped.idempotencyKeys;
    more = dropped.more;
  }
  return sum;
}
