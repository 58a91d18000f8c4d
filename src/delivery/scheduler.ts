import { FairQueue, type WorkKind } from "../core/fair-queue.ts";
import { TokenBucket } from "../core/rate-limit.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../observe/log.ts";
import type { DeliveryId, Store } from "../store/store.ts";
import { DueLoader } from "./due-loader.ts";
import { FOREVER_MS, Lane, WORK_KINDS, type Waiting } from "./lane.ts";
import { WakeHeap } from "./wake-heap.ts";

/** Retries may be 20 % of first sends, and 10 a second (promise 18). */
const RETRY_SHARE = 0.2;
const RETRY_BUDGET = { requests: 10, perMs: 1_000, burst: 100 };
/** A pause longer than this gives the loaded rows back: memory is for those that may send. */
const WINDOW_KEPT_MS = 5_000;

/** One delivery whose turn it is, its slot taken. */
export interface Turn {
  readonly lane: Lane;
  readonly waiting: Waiting;
  readonly probe: boolean;
  readonly lone: boolean;
}

export interface SchedulerParts {
  readonly store: { readonly due: Store["due"] };
  readonly clock: Clock;
  readonly log: Log;
  readonly slotsMax: number;
  /** Something may be sendable: `pick` soon. */
  readonly wake: () => void;
}

/**
 * Whose turn it is. Holds every lane, knows when each may send next (pauses, breaker, rate, due times: one heap entry and one timer for
 * all) and asks the fair queue among those that may.
 */
export class Scheduler {
  readonly lanes = new Map<string, Lane>();
  readonly loader: DueLoader;
  readonly #clock: Clock;
  readonly #wake: () => void;
  readonly #queue: FairQueue<Lane>;
  readonly #wakes = new WakeHeap<Lane>();
  readonly #retryBudget: TokenBucket;
  readonly #loneLanes = new Set<Lane>();
  #loneBusy = false;
  #timer: { readonly atMs: number; readonly cancel: () => void } | undefined;

  constructor(parts: SchedulerParts) {
    this.#clock = parts.clock;
    this.#wake = parts.wake;
    this.#queue = new FairQueue(parts.slotsMax);
    this.#retryBudget = new TokenBucket(RETRY_BUDGET, parts.clock.nowMs());
    this.loader = new DueLoader({ store: parts.store, clock: parts.clock, log: parts.log, loaded: (lane) => this.refresh(lane) });
  }

  get inFlight(): number {
    return this.#queue.inFlight;
  }

  /** The lane of a subscription, made when it is first heard of. */
  lane(uid: string, namespace: string): Lane {
    let lane = this.lanes.get(uid);
    if (lane === undefined) {
      lane = new Lane(uid, namespace, this.#clock.nowMs());
      this.lanes.set(uid, lane);
    }
    return lane;
  }

  /** Looks at a lane again after anything about it changed: in the ring, or when to look next. */
  refresh(lane: Lane): void {
    const nowMs = this.#clock.nowMs();
    const openAtMs = lane.openAtMs(nowMs);
    if (openAtMs > nowMs) {
      for (const kind of WORK_KINDS) this.#queue.withdraw(lane, kind);
      this.#loneLanes.delete(lane);
      if (openAtMs - nowMs > WINDOW_KEPT_MS && lane.windowRows > 0) {
        for (const id of lane.dropWindow()) this.loader.letGo(lane, id);
      }
      this.#setWake(lane, openAtMs >= FOREVER_MS ? Number.POSITIVE_INFINITY : openAtMs);
      return;
    }
    let ready = false;
    for (const kind of WORK_KINDS) {
      if (lane.hasReady(kind, nowMs)) {
        this.#queue.offer(lane, kind);
        ready = true;
      } else this.#queue.withdraw(lane, kind);
    }
    if (lane.lone.length > 0) {
      this.#loneLanes.add(lane);
      ready = true;
    }
    if (lane.wantsRows(nowMs, this.#retryBudget.readyAtMs(nowMs) > nowMs)) this.loader.want(lane);
    this.#setWake(lane, lane.nextRowAtMs(nowMs));
    if (ready) this.#wake();
  }

  /** A slot for a delivery that is being accepted, if nothing stands in its way; the caller sends it right after the commit. */
  reserveNow(lane: Lane): boolean {
    const nowMs = this.#clock.nowMs();
    // Probes are picked, never reserved: an abandoned accept must not use one up.
    if (lane.fresh.length > 0 || this.#queue.freshWaits || lane.breaker.isOpen || lane.openAtMs(nowMs) > nowMs) return false;
    if (!this.#queue.takeNow(lane)) return false;
    lane.started(nowMs);
    this.#retryBudget.add(RETRY_SHARE);
    return true;
  }

  /** The next delivery to claim; undefined when none may go now. */
  pick(): Turn | undefined {
    const nowMs = this.#clock.nowMs();
    const lone = this.#pickLone(nowMs);
    if (lone !== undefined) return lone;
    for (;;) {
      const budgetAtMs = this.#retryBudget.readyAtMs(nowMs);
      const turn = this.#queue.take(budgetAtMs <= nowMs);
      if (turn === undefined) {
        if (budgetAtMs > nowMs && this.#queue.retriesWait) this.#arm(budgetAtMs);
        return undefined;
      }
      const picked = this.#take(turn.lane, turn.kind, nowMs);
      if (picked !== undefined) return picked;
    }
  }

  /** A picked or reserved one gave its slot back; `sent` false = it never got as far as an attempt. */
  release(lane: Lane, flight: { readonly probe: boolean; readonly lone: boolean; readonly sent: boolean }): void {
    if (flight.lone) this.#loneBusy = false;
    if (!flight.sent) lane.breaker.abandoned(flight.probe);
    this.#queue.release(lane);
    this.refresh(lane);
    if (this.#queue.hasWaiting || this.#loneLanes.size > 0) this.#wake();
  }

  setFailing(lane: Lane, failing: boolean): void {
    this.#queue.setFailing(lane, failing);
  }

  /** Rows let go by their completion may be read again. */
  letGo(lane: Lane, id: DeliveryId): void {
    this.loader.letGo(lane, id);
  }

  forget(lane: Lane): void {
    for (const kind of WORK_KINDS) this.#queue.withdraw(lane, kind);
    this.#loneLanes.delete(lane);
    this.#wakes.set(lane, Number.POSITIVE_INFINITY);
    this.lanes.delete(lane.uid);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #take(lane: Lane, kind: WorkKind, nowMs: number): Turn | undefined {
    const waiting = lane.openAtMs(nowMs) <= nowMs ? lane.take(kind, nowMs) : undefined;
    if (waiting === undefined) {
      this.#queue.release(lane);
      this.refresh(lane);
      return undefined;
    }
    const probe = lane.started(nowMs);
    if (kind === "retry") this.#retryBudget.take(nowMs);
    else this.#retryBudget.add(RETRY_SHARE);
    this.refresh(lane);
    return { lane, waiting, probe, lone: false };
  }

  /** Deliveries with a crash behind them go one at a time, those of healthy receivers first: a hanging one must not hold up the rest. */
  #pickLone(nowMs: number): Turn | undefined {
    if (this.#loneBusy || this.#loneLanes.size === 0) return undefined;
    const candidates = [...this.#loneLanes].toSorted((a, b) => a.record.consecutiveFailures - b.record.consecutiveFailures);
    for (const lane of candidates) {
      if (lane.openAtMs(nowMs) > nowMs || !this.#queue.takeNow(lane)) continue;
      const waiting = lane.lone.shift();
      if (lane.lone.length === 0) this.#loneLanes.delete(lane);
      if (waiting === undefined) {
        this.#queue.release(lane);
        continue;
      }
      this.#loneBusy = true;
      const probe = lane.started(nowMs);
      this.refresh(lane);
      return { lane, waiting, probe, lone: true };
    }
    return undefined;
  }

  #setWake(lane: Lane, atMs: number): void {
    this.#wakes.set(lane, atMs);
    this.#arm(this.#wakes.nextAtMs);
  }

  #arm(atMs: number): void {
    if (atMs === Number.POSITIVE_INFINITY || (this.#timer !== undefined && this.#timer.atMs <= atMs)) return;
    this.#timer?.cancel();
    const cancel = this.#clock.after(atMs - this.#clock.nowMs(), () => this.#fired());
    this.#timer = { atMs, cancel };
  }

  #fired(): void {
    this.#timer = undefined;
    const nowMs = this.#clock.nowMs();
    for (let lane = this.#wakes.takeDue(nowMs); lane !== undefined; lane = this.#wakes.takeDue(nowMs)) this.refresh(lane);
    this.#arm(this.#wakes.nextAtMs);
    this.#wake();
  }
}
