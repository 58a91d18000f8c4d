import type { Transition } from "../../core/delivery-state.ts";
import type { Event } from "../../core/event.ts";
import type { Outcome } from "../../core/outcome.ts";
import { pauseUntilMs } from "../../core/retry-after.ts";
import type { Route } from "../../core/route-table.ts";
import { traceIdOf } from "../../core/trace-context.ts";
import type { Clock } from "../../lib/clock.ts";
import type { BusinessEvents } from "../../observe/events.ts";
import type { DeliveryId } from "../../store/store.ts";
import type { AttemptDone } from "../attempter.ts";
import type { HealthBook } from "../lane-state/health-book.ts";
import type { PauseKeeper } from "../lane-state/pause-keeper.ts";
import type { Turn } from "../queue/scheduler.ts";

/** One attempt under way, with the route it was claimed under. */
export interface Flight extends Turn {
  readonly id: DeliveryId;
  readonly route: Route;
  readonly event: Event;
  readonly attempt: number;
  /** Where the delivery has none of its own. */
  readonly recordId: string | undefined;
  /** How long it waited for us before this attempt, ms. */
  readonly waitedMs: number;
}

export interface AftermathParts {
  readonly clock: Clock;
  readonly pauses: PauseKeeper;
  readonly health: HealthBook;
  readonly events: BusinessEvents;
}

/** What an attempt means beyond its own delivery: for the subscription's breaker, cap, pauses and health, and for those who watch. */
export class Aftermath {
  readonly #parts: AftermathParts;

  constructor(parts: AftermathParts) {
    this.#parts = parts;
  }

  react(flight: Flight, outcome: Outcome, transition: Transition): void {
    const { lane, route, probe } = flight;
    const { gate } = lane;
    const { policy } = route.subscription;
    const { pauses } = this.#parts;
    const nowMs = this.#parts.clock.nowMs();
    if (outcome.class === "success") {
      if (gate.succeeded(probe, nowMs)) pauses.set(lane, "CircuitOpen", null);
      // Not the receiver's doing: a probe that was never sent, or whose end nobody saw, may be sent again.
    } else if (outcome.permanent === true || outcome.stalled === true) gate.abandoned(probe);
    else if (gate.failed(probe, nowMs, policy.circuitBreaker)) pauses.set(lane, "CircuitOpen", gate.circuitOpenUntilMs ?? null);
    if (transition.slowDown) gate.slowDown();
    if (transition.pauseMs !== undefined) {
      pauses.set(lane, "RetryAfter", pauseUntilMs(nowMs, transition.pauseMs, gate.pauseEndMs("RetryAfter")));
    }
    const { event, attempt } = flight;
    const { statusCode, durationMs } = outcome;
    const atMs = Math.round(nowMs - durationMs);
    const last = { eventId: event.id, eventType: event.type, attempt, statusCode, durationMs, outcome: outcome.class, atMs };
    if (outcome.permanent === true || outcome.stalled === true) {
      this.#parts.health.unsendable(lane, last, outcome);
      return;
    }
    this.#parts.health.attempted(lane, last, outcome);
    if (transition.endpointGone) pauses.suspend(lane, "EndpointGone", "The receiver answered 410 Gone.");
    const failingSinceMs = lane.standing.record.failingSinceMs;
    if (failingSinceMs !== undefined && nowMs - failingSinceMs >= policy.autoSuspendAfterMs) {
      pauses.suspend(lane, "AutoSuspended", `Every attempt has failed since ${this.#shown(failingSinceMs)}.`);
    }
  }

  #shown(atMs: number): string {
    return new Date(this.#parts.clock.shownMs(atMs)).toISOString();
  }

  /** One log line and the metrics of the attempt. */
  report(flight: Flight, done: AttemptDone, transition: Transition): void {
    const { event, waiting, attempt } = flight;
    const { namespace, name } = flight.route.subscription;
    const nowMs = this.#parts.clock.nowMs();
    const { next } = transition;
    const decision = next.state !== "ready" ? next.state : next.parked === undefined ? "retry" : "wait";
    this.#parts.events.attemptEnded({
      namespace,
      name,
      eventId: event.id,
      eventType: event.type,
      deliveryId: flight.id,
      attempt,
      outcome: done.outcome,
      url: done.url,
      decision,
      reason: next.state === "ready" ? undefined : next.reason,
      nextInMs: next.state === "ready" && decision === "retry" ? next.dueAtMs - nowMs : undefined,
      traceId: traceIdOf(event.extensions["traceparent"]),
      acceptedAtMs: waiting.acceptedAtMs,
      waitedMs: flight.waitedMs,
      policy: flight.route.subscription.spec.policyName,
      keptMs: flight.route.subscription.policy.retention.historyMs,
      nowMs,
    });
  }
}
