import type { Event } from "../../../src/core/event.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import type { AcceptRequest, ClaimRequest, Completion, ReadyDelivery, Store } from "../../../src/store/store.ts";

interface Row extends ReadyDelivery {
  readonly event: Event;
}

/** A backlog of retries: so many queues of one namespace with so many due rows each. */
export interface Backlog {
  readonly namespace: string;
  readonly subscriptions: readonly string[];
  readonly rows: number;
  readonly nowMs: number;
  readonly event: (n: number) => Event;
}

/** Just enough of a store, with a due index, to hold 100,000 rows in virtual time. Everything else is the memory store's. */
export function dueIndexStore({ namespace, subscriptions, rows, nowMs, event }: Backlog): Store {
  const queues = new Map<string, Map<number, Row>>();
  const rowOf = new Map<number, Row>();
  const claimed = new Set<number>();
  let lastId = 0;
  const add = (row: Omit<Row, "id">): number => {
    const stored = { ...row, id: ++lastId };
    rowOf.set(stored.id, stored);
    const queue = queues.get(row.subscription) ?? new Map<number, Row>();
    queues.set(row.subscription, queue.set(stored.id, stored));
    return stored.id;
  };
  const base = { cutOff: 0, crashes: 0, orderKey: undefined, resent: false };
  for (const subscription of subscriptions) {
    for (let n = 0; n < rows; n++) {
      const it = event(lastId);
      add({
        ...base,
        eventId: it.id,
        subscription,
        namespace,
        dueAtMs: nowMs - 1_000 + n,
        attempt: 1,
        acceptedAtMs: nowMs - 60_000,
        event: it,
      });
    }
  }
  const memory = new MemoryStore();
  const counters = { sinceMs: nowMs, accepted: 0, delivered: 0, retried: 0, failed: 0, discarded: 0 };
  const dueOf = (subscription: string): Row[] => [...(queues.get(subscription)?.values() ?? [])].filter(({ id }) => !claimed.has(id));
  const own: Partial<Store> = {
    queues: async () =>
      [...queues].map(([subscription, held]) => ({
        subscription,
        namespace: held.values().next().value?.namespace ?? namespace,
        epoch: 1,
        owner: undefined,
        pauses: {},
        pending: held.size,
        oldestAcceptedAtMs: nowMs,
        forwards: false,
        counters,
      })),
    nextDue: async () =>
      [...queues.keys()].map((subscription) => ({ subscription, dueAtMs: Math.min(...dueOf(subscription).map(({ dueAtMs }) => dueAtMs)) })),
    due: async (subscription, untilMs, limit) =>
      dueOf(subscription)
        .filter(({ dueAtMs }) => dueAtMs <= untilMs)
        .toSorted((a, b) => a.dueAtMs - b.dueAtMs || a.id - b.id)
        .slice(0, limit),
    fresh: async () => [],
    claimed: async () => [],
    accept: async (request: AcceptRequest) => ({
      ok: true,
      items: request.items.map(({ event: it, deliveries }) => ({
        eventId: it.id,
        matched: deliveries.length,
        duplicate: false,
        deliveryIds: deliveries.map((delivery) => {
          const id = add({
            ...base,
            ...delivery,
            eventId: it.id,
            attempt: delivery.as === "claimed" ? 1 : 0,
            acceptedAtMs: request.nowMs,
            event: it,
          });
          if (delivery.as === "claimed") claimed.add(id);
          return id;
        }),
      })),
    }),
    claim: async (claims: readonly ClaimRequest[]) =>
      claims.map(({ id }) => {
        const row = rowOf.get(id);
        if (row === undefined || claimed.has(id)) return undefined;
        claimed.add(id);
        return { id, attempt: row.attempt + 1, event: row.event };
      }),
    complete: async (completions: readonly Completion[]) =>
      completions.map(({ id, next }) => {
        const row = rowOf.get(id);
        if (row === undefined) return false;
        claimed.delete(id);
        const queue = queues.get(row.subscription);
        if (next.state === "ready") {
          const again = { ...row, dueAtMs: next.dueAtMs, attempt: row.attempt + 1 };
          rowOf.set(id, again);
          queue?.set(id, again);
        } else {
          rowOf.delete(id);
          queue?.delete(id);
        }
        return true;
      }),
  };
  return new Proxy(memory, {
    get: (target, name) => {
      const mine: unknown = own[name as keyof Store];
      if (mine !== undefined) return mine;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === "function" ? (...args: unknown[]): unknown => Reflect.apply(member, target, args) : member;
    },
  });
}
