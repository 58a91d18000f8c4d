import { firstDueAtMs } from "../../core/delivery-state.ts";
import type { Event } from "../../core/event.ts";
import { orderKeyOf } from "../../core/event-value.ts";
import type { Route } from "../../core/route-table.ts";
import type { SlotHold } from "../../core/fairness/slot-hold.ts";
import { assert } from "../../lib/assert.ts";
import type { DeliveryId, NewDelivery } from "../../store/store.ts";
import type { EngineBounds } from "./bounds.ts";
import type { Lane, Waiting } from "./lane.ts";
import type { Scheduler, Turn } from "./scheduler.ts";

const SHARE_OF_FREE = 0.5;
/** What a held delivery takes beside its body, bytes. */
const FRESH_OVERHEAD_BYTES = 400;

export interface IntakeDeskParts {
  readonly scheduler: Scheduler;
  readonly bounds: Pick<EngineBounds, "freshMax" | "freshBytesMax" | "freshPerLaneMin">;
  /** False while booting or draining: everything goes through the due index. */
  readonly isOpen: () => boolean;
  /** The route of a lane as the event saw it: may be newer than the engine's. */
  readonly adopt: (lane: Lane, route: Route) => void;
  /** Committed as claimed: send it now. */
  readonly send: (turn: Turn) => void;
  readonly accepted: (lane: Lane, nowMs: number) => void;
  /** Something was committed to a queue that is being ended: it is ended too. */
  readonly acceptedLate: (lane: Lane) => void;
}

/**
 * Decides how each delivery of an event is stored and keeps the promise of memory made with it. `claimed`: a slot is free, the accept
 * transaction writes the claim too, the send follows the commit at once. `fresh`: waits in memory for its turn. `indexed`: no room, paused, due later, or of an order key.
 */
export class IntakeDesk {
  readonly #parts: IntakeDeskParts;
  /** Fresh deliveries that have an id: those in memory, and those on their way to a claim or into the due index. */
  readonly #ids = new Set<DeliveryId>();
  #held = 0;
  #heldBytes = 0;

  constructor(parts: IntakeDeskParts) {
    this.#parts = parts;
  }

  /** Fresh deliveries held or promised. */
  get held(): number {
    return this.#held;
  }

  holds(id: DeliveryId): boolean {
    return this.#ids.has(id);
  }

  admit(event: Event, routes: readonly Route[], nowMs: number): readonly NewDelivery[] {
    return routes.map((route) => this.#admitOne(event, route, nowMs));
  }

  committed(event: Event, deliveries: readonly NewDelivery[], ids: readonly DeliveryId[]): void {
    for (const [i, delivery] of deliveries.entries()) {
      const id = ids[i];
      const lane = this.#parts.scheduler.lane(delivery.subscription, delivery.namespace);
      lane.offered -= 1;
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
        this.#parts.send({ lane, waiting, hold: reservedOf(lane), probe: lane.breaker.begun, suspect: undefined });
        continue;
      }
      if (delivery.as === "fresh") {
        this.#ids.add(id);
        if (lane.ending === undefined) lane.fresh.push(waiting);
        else this.taken(lane, waiting);
      } else lane.noteDue(delivery.dueAtMs);
      if (lane.ending !== undefined) this.#parts.acceptedLate(lane);
      this.#parts.scheduler.refresh(lane);
    }
  }

  abandoned(event: Event, deliveries: readonly NewDelivery[]): void {
    for (const delivery of deliveries) {
      const lane = this.#parts.scheduler.lane(delivery.subscription, delivery.namespace);
      lane.offered -= 1;
      if (delivery.as === "fresh") this.#letGo(lane, event);
      if (delivery.as === "claimed") this.#parts.scheduler.release({ lane, hold: reservedOf(lane), ...NO_PROBE }, { sent: false });
    }
  }

  /** A fresh delivery left memory. */
  taken(lane: Lane, waiting: Pick<Waiting, "id" | "event">): void {
    this.#ids.delete(waiting.id);
    this.#letGo(lane, waiting.event);
  }

  /** A fresh delivery of the last process came back, or one that was forgotten; its body comes with the claim. */
  restored(lane: Lane, waiting: Waiting): void {
    // A start that failed half-way is made again.
    if (this.#ids.has(waiting.id)) return;
    lane.fresh.push(waiting);
    this.#ids.add(waiting.id);
    this.#hold(lane, undefined);
  }

  #admitOne(event: Event, route: Route, nowMs: number): NewDelivery {
    const { uid, namespace, policy, spec } = route.subscription;
    const lane = this.#parts.scheduler.lane(uid, namespace);
    this.#parts.adopt(lane, route);
    lane.offered += 1;
    const dueAtMs = firstDueAtMs(policy, nowMs);
    const orderKey = spec.ordering === undefined ? undefined : orderKeyOf(event, spec.ordering.key);
    // Whose turn it is within a key only the store knows, so nothing with a key is claimed or held in memory here.
    const as = orderKey === undefined ? this.#howStored(lane, event, { nowMs, dueAtMs }) : "indexed";
    return { subscription: uid, namespace, orderKey, dueAtMs, as, epoch: lane.epoch };
  }

  #howStored(lane: Lane, event: Event, times: { readonly nowMs: number; readonly dueAtMs: number }): NewDelivery["as"] {
    if (!this.#parts.isOpen() || times.dueAtMs > times.nowMs || lane.ending !== undefined) return "indexed";
    const hold = this.#parts.scheduler.reserveNow(lane);
    if (hold !== undefined) {
      lane.reserved.push(hold);
      return "claimed";
    }
    if (!this.#fits(lane, event) || lane.route?.subscription.target === undefined || lane.pausedUntil(times.nowMs) !== undefined)
      return "indexed";
    this.#hold(lane, event);
    return "fresh";
  }

  #fits(lane: Lane, event: Event): boolean {
    const { freshMax, freshBytesMax, freshPerLaneMin } = this.#parts.bounds;
    const heldBytes = this.#heldBytes + bytesOf(event);
    if (this.#held >= freshMax || heldBytes > freshBytesMax) return false;
    if (lane.freshReserved < freshPerLaneMin) return true;
    const freeShare = Math.min(1 - this.#held / freshMax, 1 - heldBytes / freshBytesMax) * SHARE_OF_FREE;
    return lane.freshReserved < freshMax * freeShare;
  }

  #hold(lane: Lane, event: Event | undefined): void {
    lane.freshReserved += 1;
    this.#held += 1;
    this.#heldBytes += bytesOf(event);
  }

  #letGo(lane: Lane, event: Event | undefined): void {
    lane.freshReserved -= 1;
    this.#held -= 1;
    this.#heldBytes -= bytesOf(event);
  }
}

const NO_PROBE = { probe: 0, suspect: undefined } as const;

/** The slot that a claimed delivery was accepted with: which of several of a lane makes no difference. */
function reservedOf(lane: Lane): SlotHold<Lane> {
  const hold = lane.reserved.shift();
  assert(hold !== undefined, "a delivery is stored as claimed only with a slot");
  return hold;
}

function bytesOf(event: Event | undefined): number {
  return FRESH_OVERHEAD_BYTES + (event?.data.length ?? 0);
}
