import { Breaker, type BreakerPolicy } from "../../core/breaker.ts";
import type { RateLimit } from "../../core/policy.ts";
import { TokenBucket } from "../../core/rate-limit.ts";
import type { Route } from "../../core/route-table.ts";
import type { PauseReason } from "../../store/store.ts";

/** Pauses that follow from the spec in force. They are never stored: derived, they are right again with the next route. */
export type SpecPause = Extract<PauseReason, "BySpec" | "RefsUnresolved">;
/** Pauses that the receiver, or with `Paused` a person, brought about. */
export type ReceiverPause = Exclude<PauseReason, SpecPause>;

/** What holds a lane back. */
export interface Held {
  readonly reason: PauseReason | "RateLimit";
  readonly untilMs: number | undefined;
}

/** An end that only an event can bring: a suspension, an unresolved reference. */
export const FOREVER_MS = Number.MAX_SAFE_INTEGER;

/** When a lane may send one more: its pauses, circuit, rates and cap. A crash loses the cap, the ramp and the tokens; pauses are stored by PauseKeeper. */
export class LaneGate {
  #route: Route | undefined;
  #breaker = new Breaker();
  /** What the receiver brought about, each reason with its end. What the spec says is not here: see `#specPause`. */
  readonly #pauses: Partial<Record<ReceiverPause, number>> = {};
  #cap = Number.POSITIVE_INFINITY;
  #bucket: TokenBucket | undefined;
  /** The receiver's own limit, beside the policy's. */
  #obeyed: TokenBucket | undefined;
  #obeyedPerMs = 0;

  /** Most attempts at once now: the policy's, halved by each sign of overload, one more with each success. */
  get capNow(): number {
    return Math.min(this.#cap, this.#route?.subscription.policy.maxInFlight ?? 1);
  }

  /** Open or half-open. */
  get circuitIsOpen(): boolean {
    return this.#breaker.isOpen;
  }

  /** Until when the circuit sends nothing; undefined while it is closed. */
  get circuitOpenUntilMs(): number | undefined {
    return this.#breaker.openUntilMs;
  }

  /** What the end of an attempt gives back that begins now, was counted by `started` before and is no probe. */
  get begun(): number {
    return this.#breaker.begun;
  }

  /** Why the spec holds everything back. Worked out from the route in force and kept nowhere, so it cannot outlive what it comes from. */
  get #specPause(): SpecPause | undefined {
    const subscription = this.#route?.subscription;
    if (subscription === undefined) return undefined;
    if (subscription.spec.suspend) return "BySpec";
    return subscription.target === undefined ? "RefsUnresolved" : undefined;
  }

  /** A new route: policies apply at once; the bucket is replaced only if its limit changed. */
  adopt(route: Route | undefined, nowMs: number): void {
    const before = this.#route?.subscription.policy.rateLimit;
    this.#route = route;
    const limit = route?.subscription.policy.rateLimit;
    const same = before?.requests === limit?.requests && before?.perMs === limit?.perMs && before?.burst === limit?.burst;
    if (!same) this.#bucket = limit === undefined ? undefined : new TokenBucket(limit, nowMs);
  }

  /** The receiver allows at most this rate; undefined = any. */
  obey(limit: RateLimit | undefined, nowMs: number): void {
    const perMs = limit === undefined ? 0 : limit.requests / limit.perMs;
    if (perMs === this.#obeyedPerMs) return;
    this.#obeyedPerMs = perMs;
    this.#obeyed = limit === undefined ? undefined : new TokenBucket(limit, nowMs);
  }

  /** Sets (or with null lifts) the end of one reason; answers whether that changed anything. */
  pause(reason: ReceiverPause, untilMs: number | null): boolean {
    if ((this.#pauses[reason] ?? null) === untilMs) return false;
    if (untilMs === null) delete this.#pauses[reason];
    else this.#pauses[reason] = untilMs;
    return true;
  }

  /** The end of one reason; undefined = it holds nothing back. */
  pauseEndMs(reason: ReceiverPause): number | undefined {
    return this.#pauses[reason];
  }

  /** Why and until when nothing may be sent; the latest end wins. */
  pausedUntil(nowMs: number, but?: PauseReason): { readonly reason: PauseReason; readonly untilMs: number } | undefined {
    const bySpec = this.#specPause;
    if (bySpec !== undefined) return { reason: bySpec, untilMs: FOREVER_MS };
    let latest: { readonly reason: PauseReason; readonly untilMs: number } | undefined;
    for (const reason in this.#pauses) {
      if (reason === but) continue;
      const untilMs = this.#pauses[reason as ReceiverPause] ?? 0;
      if (untilMs > nowMs && untilMs > (latest?.untilMs ?? 0)) latest = { reason: reason as ReceiverPause, untilMs };
    }
    return latest;
  }

  /** Why nothing is sent now, and until when; undefined as an end = until something happens. */
  heldBack(nowMs: number): Held | undefined {
    const pause = this.pausedUntil(nowMs);
    if (pause !== undefined) return { reason: pause.reason, untilMs: pause.untilMs === FOREVER_MS ? undefined : pause.untilMs };
    const openAtMs = this.openAtMs(nowMs);
    if (openAtMs <= nowMs || !Number.isFinite(openAtMs)) return undefined;
    return { reason: this.#breaker.isOpen ? "CircuitOpen" : "RateLimit", untilMs: openAtMs };
  }

  /** When one more may be sent: `nowMs` = now, a later time, or Infinity = only after something happened. */
  openAtMs(nowMs: number): number {
    const route = this.#route;
    if (route?.subscription.target === undefined) return Number.POSITIVE_INFINITY;
    // How long the circuit is open the breaker knows best: its pause may have been stored under a longer policy.
    const pausedUntilMs = this.pausedUntil(nowMs, "CircuitOpen")?.untilMs ?? nowMs;
    if (pausedUntilMs === FOREVER_MS) return Number.POSITIVE_INFINITY;
    const breakerAtMs = this.#breaker.readyAtMs(nowMs, route.subscription.policy.circuitBreaker);
    return Math.max(pausedUntilMs, breakerAtMs, this.#bucket?.readyAtMs(nowMs) ?? nowMs, this.#obeyed?.readyAtMs(nowMs) ?? nowMs);
  }

  /** One is sent now; what it answers the breaker wants back at its end. */
  started(nowMs: number): number {
    this.#bucket?.take(nowMs);
    this.#obeyed?.take(nowMs);
    return this.#breaker.started(nowMs);
  }

  /** One that was started never got as far as an attempt, or its end says nothing of the receiver. */
  abandoned(probe: number): void {
    this.#breaker.abandoned(probe);
  }

  /** A success: one more at once from now on. Answers whether the circuit closed by it. */
  succeeded(probe: number, nowMs: number): boolean {
    if (this.#cap !== Number.POSITIVE_INFINITY) this.#cap = Math.min(this.#cap + 1, this.#route?.subscription.policy.maxInFlight ?? 1);
    return this.#breaker.succeeded(probe, nowMs);
  }

  /** A failure; answers whether the circuit opened (again) by it. */
  failed(probe: number, nowMs: number, policy: BreakerPolicy): boolean {
    return this.#breaker.failed(probe, nowMs, policy);
  }

  /** A sign of overload. */
  slowDown(): void {
    this.#cap = Math.max(1, Math.floor(this.capNow / 2));
  }

  /** The circuit is closed at once: the endpoint changed, or somebody resumed it. */
  closeCircuit(): void {
    this.#breaker.reset();
  }

  /** At boot: the circuit comes back open, and probes first. */
  restoreCircuit(failures: number, untilMs: number): void {
    this.#breaker = new Breaker(failures, untilMs);
    this.#pauses.CircuitOpen = untilMs;
  }

  /** When the rate allows one more that is no delivery; it counts among them if that is now. */
  takeRate(nowMs: number): number {
    const atMs = this.#bucket?.readyAtMs(nowMs) ?? nowMs;
    if (atMs <= nowMs) this.#bucket?.take(nowMs);
    return atMs;
  }
}
