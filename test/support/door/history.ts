import type { HandlerParts } from "../../../src/admin/handlers.ts";
import type { AttemptRecord, DeliverySummary } from "../../../src/store/store.ts";
import { UNREACHED } from "./unreached.ts";

export interface HistorySetup {
  /** Deliveries of a namespace; ids count down from this number. */
  readonly deliveries: number;
  readonly attemptsEach: number;
  readonly bodyBytes: number;
  /** Called before the attempts of a delivery are told. */
  readonly onAttempts?: () => void;
}

/** A history of deliveries with large bodies, as a store and the acts would tell it: the same for every namespace. */
export function historyOf(setup: HistorySetup): Pick<HandlerParts, "store" | "acts"> {
  const { deliveries, attemptsEach, bodyBytes } = setup;
  const delivery = (id: number, namespace: string): DeliverySummary => ({
    id,
    eventId: `event-${id}`,
    eventType: "order.paid",
    subscription: "uid-orders",
    namespace,
    state: "delivered",
    reason: undefined,
    attempts: attemptsEach,
    crashes: 0,
    acceptedAtMs: 0,
    dueAtMs: undefined,
    endedAtMs: 1,
    recordId: undefined,
    firstAttemptAtMs: undefined,
    lastAttempt: undefined,
  });
  const attempt = (deliveryId: number, n: number): AttemptRecord => ({
    deliveryId,
    eventId: `event-${deliveryId}`,
    subscription: "uid-orders",
    namespace: "shop",
    eventType: "order.paid",
    attempt: n,
    startedAtMs: 0,
    durationMs: 1,
    outcome: "success",
    statusCode: 200,
    connectionStatus: "ok",
    tlsStatus: "none",
    message: "HTTP 200 OK",
    url: "https://example.com/",
    recordId: undefined,
    requestHeaders: [],
    requestBody: undefined,
    responseHeaders: [],
    responseBody: undefined,
  });
  return {
    store: {
      ...UNREACHED.store,
      history: async ({ namespace, limit, beforeId = deliveries + 1 }) => {
        const ids = Array.from({ length: Math.max(0, Math.min(limit, beforeId - 1)) }, (_, i) => beforeId - 1 - i);
        const last = ids.at(-1) ?? 1;
        return { deliveries: ids.map((id) => delivery(id, namespace)), nextBeforeId: last > 1 ? last : undefined };
      },
      readDelivery: async (id) => delivery(id, "shop"),
      attemptsOf: async (id) => {
        setup.onAttempts?.();
        return Array.from({ length: attemptsEach }, (_, i) => attempt(id, i + 1));
      },
      readBody: async () => undefined,
    },
    acts: { ...UNREACHED.acts, bodyOf: () => Buffer.alloc(bodyBytes, "x") },
  };
}
