import { firstDueAtMs } from "../core/delivery-state.ts";
import type { Event } from "../core/event.ts";
import { orderKeyOf } from "../core/event-value.ts";
import type { Route } from "../core/route-table.ts";
import type { DeliveryId, NewDelivery } from "../store/store.ts";
import type { Lane, Waiting } from "./lane.ts";
import type { Scheduler } from "./scheduler.ts";

/** Fresh deliveries in memory, of all subscriptions, and their bodies' bytes together. */
export const FRESH_MAX = 20_000;
/**
 * One subscription may always hold so many, and more while memory is free: at most as many as half of what is left. So a busy one never
 * takes the last room, and a burst of one alone need not go through the due index, which costs twice as much.
 */
const FRESH_PER_LANE_MIN = 256;
const SHARE_OF_FREE = 0.5;
const FRESH_BYTES_MAX = 64 * 1024 * 1024;
/** What a held delivery takes beside its body, bytes. */
const FRESH_OVERHEAD_BYTES = 400;

export interface IntakeDeskParts {
  readonly scheduler: Scheduler;
  /** False while booting or draining: everything goes through the due index. */
  readonly isOpen: () => boolean;
  /** The route of a lane as the event saw it: may be newer than the engine's. */
  readonly adopt: (lane: Lane, route: Route) => void;
  /** Committed as claimed: send it now. */
  readonly send: (lane: Lane, waiting: Waiting) => void;
  readonly accepted: (lane: Lane, nowMs: number) => void;
}

/**
 * Decides how each delivery of an event is stored and keeps the promise of memory made with it. `claimed`: a slot is free, the accept
 * transaction writes the claim too, the send follows the commit at once. `fresh`: waits in memory for its turn. `indexed`: no room, paused, due later, or of an order key.
 */
export class IntakeDesk {
  readonly #parts: IntakeDeskParts;
  #held = 0;
  #heldBytes = 0;

  constructor(parts: IntakeDeskParts) {
    this.#parts = parts;
  }

  /** Fresh deliveries held or promised. */
  get held(): number {
    return this.#held;
  }

  admit(event: Event, routes: readonly Route[], nowMs: number): readonly NewDelivery[] {
    return routes.map((route) => this.#admitOne(event, route, nowMs));
  }

  committed(event: Event, deliveries: readonly NewDelivery[], ids: readonly DeliveryId[]): void {
    for (const [i, delivery] of deliveries.entries()) {
      const id = ids[i];
      const lane = this.#parts.scheduler.lane(delivery.subscription, delivery.namespace);
      this.#parts.accepted(lane, event.receivedAtMs);
      if (id === undefined) continue;
      const waiting = {
        id,
        made: 0,
        crashes: 0,
        acceptedAtMs: event.receivedAtMs,
        dueAtMs: delivery.dueAtMs,
        resent: false,
        orderKey: delivery.orderKey,
        event,
        isFresh: true,
      };
      if (delivery.as === "claimed") {
        this.#parts.send(lane, waiting);
        continue;
      }
      if (delivery.as === "fresh") lane.fresh.push(waiting);
      else lane.noteDue(delivery.dueAtMs);
      this.#parts.scheduler.refresh(lane);
    }
  }

  abandoned(event: Event, deliveries: readonly NewDelivery[]): void {
    for (const delivery of deliveries) {
      const lane = this.#parts.scheduler.lane(delivery.subscription, delivery.namespace);
      if (delivery.as === "fresh") this.taken(lane, event);
      if (delivery.as === "claimed") this.#parts.scheduler.release(lane, NOT_SENT);
    }
  }

  /** A fresh delivery left memory. */
  taken(lane: Lane, event: Event | undefined): void {
    lane.freshReserved -= 1;
    this.#held -= 1;
    this.#heldBytes -= bytesOf(event);
  }

  /** At boot: a fresh delivery of the last process came back; its body comes with the claim. */
  restored(lane: Lane, waiting: Waiting): void {
    lane.fresh.push(waiting);
    this.#hold(lane, undefined);
  }

  #admitOne(event: Event, route: Route, nowMs: number): NewDelivery {
    const { uid, namespace, policy, spec } = route.subscription;
    const lane = this.#parts.scheduler.lane(uid, namespace);
    this.#parts.adopt(lane, route);
    const dueAtMs = firstDueAtMs(policy, nowMs);
    const orderKey = spec.ordering === undefined ? undefined : orderKeyOf(event, spec.ordering.key);
    // Whose turn it is within a key only the store knows, so nothing with a key is claimed or held in memory here.
    const as = orderKey === undefined ? this.#howStored(lane, event, { nowMs, dueAtMs }) : "indexed";
    return { subscription: uid, namespace, orderKey, dueAtMs, as, epoch: lane.epoch };
  }

  #howStored(lane: Lane, event: Event, times: { readonly nowMs: number; readonly dueAtMs: number }): NewDelivery["as"] {
    if (!this.#parts.isOpen() || times.dueAtMs > times.nowMs || lane.ending !== undefined) return "indexed";
    if (this.#parts.scheduler.reserveNow(lane)) return "claimed";
    if (!this.#fits(lane, event) || lane.route?.subscription.target === undefined || lane.pausedUntil(times.nowMs) !== undefined)
      return "indexed";
    this.#hold(lane, event);
    return "fresh";
  }

  #fits(lane: Lane, event: Event): boolean {
    const heldBytes = this.#heldBytes + bytesOf(event);
    if (this.#held >= FRESH_MAX || heldBytes > FRESH_BYTES_MAX) return false;
    if (lane.freshReserved < FRESH_PER_LANE_MIN) return true;
    const freeShare = Math.min(1 - this.#held / FRESH_MAX, 1 - heldBytes / FRESH_BYTES_MAX) * SHARE_OF_FREE;
    return lane.freshReserved < FRESH_MAX * freeShare;
  }

  #hold(lane: Lane, event: Event | undefined): void {
    lane.freshReserved += 1;
    this.#held += 1;
    this.#heldBytes += bytesOf(event);
  }
}

const NOT_SENT = { probe: false, lone: false, sent: false } as const;

function bytesOf(event: Event | undefined): number {
  return FRESH_OVERHEAD_BYTES + (event?.data.length ?? 0);
}
