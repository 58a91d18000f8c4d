import { firstDueAtMs } from "../../core/delivery-state.ts";
import type { Event } from "../../core/event.ts";
import { EventKeys } from "./event-keys.ts";
import type { Route } from "../../core/route-table.ts";
import type { DeliveryId, NewDelivery } from "../../store/store.ts";
import type { FreshMemory } from "./fresh-memory.ts";
import type { Lane } from "./lane.ts";
import type { Scheduler, Turn } from "./scheduler.ts";

export interface IntakeDeskParts {
  readonly scheduler: Scheduler;
  readonly fresh: FreshMemory;
  /** While booting or draining everything goes through the due index. */
  readonly life: { readonly isUp: boolean };
  /** Gives a lane the route as the event saw it: may be newer than the engine's. */
  readonly routes: { adopt(lane: Lane, route: Route): void };
  readonly tally: { accepted(lane: Lane, nowMs: number): void };
  /** Sends what was committed as claimed. */
  readonly flights: { send(turn: Turn, attempt: number, event: Event): void };
  /** Something was committed to a queue that is being ended: it is ended too. */
  readonly ending: { attemptOver(lane: Lane, left: boolean): void };
}

/**
 * Decides how each delivery of an event is stored and keeps the promise of memory made with it. `claimed`: a slot is free, the accept
 * transaction writes the claim too, the send follows the commit at once. `fresh`: waits in memory for its turn. `indexed`: no room, paused, due later, or of an order key.
 */
export class IntakeDesk {
  readonly #parts: IntakeDeskParts;
  readonly #keys = new EventKeys();

  constructor(parts: IntakeDeskParts) {
    this.#parts = parts;
  }

  admit(event: Event, routes: readonly Route[], nowMs: number): readonly NewDelivery[] {
    return routes.map((route) => this.#admitOne(event, route, nowMs));
  }

  committed(event: Event, deliveries: readonly NewDelivery[], ids: readonly DeliveryId[]): void {
    for (const [i, delivery] of deliveries.entries()) {
      const id = ids[i];
      const lane = this.#parts.scheduler.lane(delivery.subscription, delivery.namespace);
      lane.count.answered();
      lane.keys.accepted(delivery);
      this.#parts.tally.accepted(lane, event.receivedAtMs);
      if (id === undefined) continue;
      const waiting = {
        id,
        made: 0,
        crashes: 0,
        acceptedAtMs: event.receivedAtMs,
        dueAtMs: delivery.dueAtMs,
        resent: false,
        orderKey: delivery.orderKey,
        recordId: delivery.recordId,
        event,
        isFresh: true,
      };
      if (delivery.as === "claimed") {
        // The accept transaction wrote the claim: attempt 1.
        const hold = lane.takeReserved();
        const turn = { lane, waiting, freeSinceMs: waiting.acceptedAtMs, hold, probe: lane.gate.begun, suspect: undefined };
        this.#parts.flights.send(turn, 1, event);
        continue;
      }
      if (delivery.as === "fresh") {
        if (lane.ending === undefined) this.#parts.fresh.put(lane, waiting);
        else this.#parts.fresh.breakPromise(lane, event);
      } else lane.backlog.noteDue(delivery.dueAtMs);
      if (lane.ending !== undefined) this.#parts.ending.attemptOver(lane, true);
      this.#parts.scheduler.refresh(lane);
    }
  }

  abandoned(event: Event, deliveries: readonly NewDelivery[]): void {
    for (const delivery of deliveries) {
      const lane = this.#parts.scheduler.lane(delivery.subscription, delivery.namespace);
      lane.count.answered();
      if (delivery.as === "fresh") this.#parts.fresh.breakPromise(lane, event);
      if (delivery.as === "claimed") this.#parts.scheduler.release({ lane, hold: lane.takeReserved(), ...NO_PROBE }, { sent: false });
    }
  }

  #admitOne(event: Event, route: Route, nowMs: number): NewDelivery {
    const { uid, namespace, policy, spec } = route.subscription;
    const lane = this.#parts.scheduler.lane(uid, namespace);
    this.#parts.routes.adopt(lane, route);
    lane.count.offered();
    const dueAtMs = firstDueAtMs(policy, nowMs);
    const orderKey = this.#keys.orderKey(event, spec);
    const recordId = this.#keys.recordId(event, spec);
    // Whose turn it is within a key only the store knows, so nothing with a key is claimed or held in memory here.
    const as = orderKey === undefined ? this.#howStored(lane, event, { nowMs, dueAtMs }) : "indexed";
    return { subscription: uid, namespace, orderKey, recordId, dueAtMs, as, epoch: lane.epoch };
  }

  #howStored(lane: Lane, event: Event, times: { readonly nowMs: number; readonly dueAtMs: number }): NewDelivery["as"] {
    if (!this.#parts.life.isUp || times.dueAtMs > times.nowMs || lane.ending !== undefined) return "indexed";
    const { scheduler, fresh } = this.#parts;
    const hold = scheduler.reserveNow(lane);
    if (hold !== undefined) {
      lane.reserve(hold);
      return "claimed";
    }
    if (!fresh.fits(lane, event) || lane.route?.subscription.target === undefined || lane.gate.pausedUntil(times.nowMs) !== undefined)
      return "indexed";
    fresh.promise(lane, event);
    return "fresh";
  }
}

const NO_PROBE = { probe: 0, suspect: undefined } as const;
