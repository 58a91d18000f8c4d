import { FairQueue, type FairTurn } from "../../core/fairness/fair-queue.ts";
import { RetryBudget } from "../../core/retry-budget.ts";
import type { SlotHold } from "../../core/fairness/slot-hold.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Soon } from "../../lib/soon.ts";
import type { Log } from "../../observe/log.ts";
import type { DeliveryId, Store } from "../../store/store.ts";
import type { EngineBounds } from "./bounds.ts";
import { DueLoader } from "./due-loader.ts";
import type { FreshMemory } from "./fresh-memory.ts";
import { Lane } from "./lane.ts";
import { LONE_LEVEL, WORK_KINDS, type Waiting } from "./lane-backlog.ts";
import { FOREVER_MS } from "./lane-gate.ts";
import { Shelf } from "./shelf.ts";
import { Suspects } from "./suspects.ts";
import { WakeHeap } from "./wake-heap.ts";

/** A pause longer than this gives the loaded rows back: memory is for those that may send. */
const WINDOW_KEPT_MS = 5_000;

/** One delivery whose turn it is, its slot taken. */
export interface Turn {
  readonly lane: Lane;
  readonly waiting: Waiting;
  /** Since when its lane had been free to send it. */
  readonly freeSinceMs: number;
  /** Its slot. */
  readonly hold: SlotHold<Lane>;
  /** What the breaker wants back at the end of the attempt; > 0 = a probe. */
  readonly probe: number;
  /** The group of suspects it is tried in (see suspects.ts); undefined = no crash behind it. */
  readonly suspect: number | undefined;
}

/** How a flight ended: `sent` false = it never got as far as an attempt; `tookMs` = how long the receiver took, if the end says that. */
export interface FlightEnd {
  readonly sent: boolean;
  readonly tookMs?: number | undefined;
}

/** Tried alone: a crash during such a try counts towards quarantine. */
export function isLone({ suspect }: Pick<Turn, "suspect">): boolean {
  return suspect === LONE_LEVEL;
}

export interface SchedulerParts {
  readonly store: Pick<Store, "due" | "index">;
  readonly clock: Clock;
  readonly log: Log;
  readonly slotsMax: number;
  readonly bounds: EngineBounds;
  readonly fresh: Pick<FreshMemory, "taken">;
  /** Asked when something may be sendable: `pick` is called then. */
  readonly soon: Pick<Soon, "ask">;
}

/**
 * Whose turn it is. Holds every lane, knows when each may send next (pauses, breaker, rate, due times: one heap entry and one timer for
 * all) and asks the fair queue among those that may.
 */
export class Scheduler {
  readonly lanes = new Map<string, Lane>();
  readonly loader: DueLoader;
  readonly #clock: Clock;
  readonly #soon: Pick<Soon, "ask">;
  readonly #queue: FairQueue<Lane>;
  readonly #wakes = new WakeHeap<Lane>();
  readonly #retryBudget: RetryBudget;
  /** Namespaces whose retries are held back, and until when. */
  readonly #held = new Map<string, number>();
  #heldUntilMs = Number.POSITIVE_INFINITY;
  readonly #suspects: Suspects;
  readonly #shelf: Shelf;
  #timer: { readonly atMs: number; readonly cancel: () => void } | undefined;

  constructor(parts: SchedulerParts) {
    this.#clock = parts.clock;
    this.#soon = parts.soon;
    this.#queue = new FairQueue(parts.slotsMax);
    this.#retryBudget = new RetryBudget(parts.clock.nowMs());
    this.#suspects = new Suspects(parts.bounds.suspectGroups);
    const { store, clock, log, bounds, fresh } = parts;
    this.loader = new DueLoader({ store, clock, log, bounds, loaded: (lane) => this.refresh(lane) });
    this.#shelf = new Shelf({ store, clock, log, fresh, moved: (lane) => this.refresh(lane) });
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
      lane.closedUntil(openAtMs);
      for (const kind of WORK_KINDS) this.#queue.withdraw(lane, kind);
      this.#suspects.withdraw(lane);
      if (openAtMs - nowMs > WINDOW_KEPT_MS) {
        for (const id of lane.backlog.dropWindow()) this.loader.letGo(lane, id);
        if (lane.backlog.freshCount > 0) this.#shelf.shelve(lane);
      }
      this.#setWake(lane, openAtMs >= FOREVER_MS ? Number.POSITIVE_INFINITY : openAtMs);
      return;
    }
    lane.opened(nowMs);
    let ready = false;
    for (const kind of WORK_KINDS) {
      if (lane.backlog.hasReady(kind, nowMs)) {
        this.#queue.offer(lane, kind);
        ready = true;
      } else this.#queue.withdraw(lane, kind);
    }
    if (lane.backlog.hasSuspects) {
      this.#suspects.offer(lane);
      ready = true;
    }
    if (lane.backlog.wantsRows(nowMs, (this.#held.get(lane.namespace) ?? 0) > nowMs)) this.loader.want(lane);
    this.#setWake(lane, lane.backlog.nextRowAtMs(nowMs));
    if (ready) this.#soon.ask();
  }

  /** A slot for a delivery that is being accepted, if nothing stands in its way; the caller sends it right after the commit. */
  reserveNow(lane: Lane): SlotHold<Lane> | undefined {
    const nowMs = this.#clock.nowMs();
    // Probes are picked, never reserved: an abandoned accept must not use one up.
    if (lane.backlog.freshCount > 0 || this.#queue.freshWaits || lane.gate.circuitIsOpen || lane.openAtMs(nowMs) > nowMs) return undefined;
    const hold = this.#queue.takeNow(lane, nowMs, true);
    if (hold === undefined) return undefined;
    lane.gate.started(nowMs);
    this.#retryBudget.sent(lane.namespace, nowMs);
    return hold;
  }

  /** The next delivery to claim; undefined when none may go now. */
  pick(): Turn | undefined {
    const nowMs = this.#clock.nowMs();
    const suspect = this.#pickSuspect(nowMs);
    if (suspect !== undefined) return suspect;
    this.#allowRetries(nowMs);
    for (;;) {
      const turn = this.#queue.take(nowMs, (namespace) => this.#mayRetry(namespace, nowMs));
      if (turn === undefined) return undefined;
      const picked = this.#take(turn, nowMs);
      if (picked !== undefined) return picked;
    }
  }

  /** A picked or reserved one gives its slot back. */
  release({ lane, hold, probe, suspect }: Omit<Turn, "waiting" | "freeSinceMs">, ended: FlightEnd): void {
    if (suspect !== undefined) this.#suspects.release(lane, suspect);
    if (!ended.sent) lane.gate.abandoned(probe);
    const nowMs = this.#clock.nowMs();
    lane.roomMade(nowMs);
    this.#queue.release(hold, nowMs, ended.tookMs);
    this.refresh(lane);
    if (this.#queue.hasWaiting || this.#suspects.hasWaiting) this.#soon.ask();
  }

  setFailing(lane: Lane, failing: boolean): void {
    this.#queue.setFailing(lane, failing);
  }

  /** Rows let go by their completion may be read again. */
  letGo(lane: Lane, id: DeliveryId): void {
    this.loader.letGo(lane, id);
  }

  forget(lane: Lane): void {
    this.#queue.forget(lane);
    this.#suspects.withdraw(lane);
    this.#wakes.set(lane, Number.POSITIVE_INFINITY);
    this.lanes.delete(lane.uid);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #take({ lane, kind, hold }: FairTurn<Lane>, nowMs: number): Turn | undefined {
    const waiting = lane.openAtMs(nowMs) <= nowMs ? lane.backlog.take(kind, nowMs) : undefined;
    if (waiting === undefined) {
      this.#queue.release(hold, nowMs);
      this.refresh(lane);
      return undefined;
    }
    const { freeSinceMs } = lane;
    const probe = lane.gate.started(nowMs);
    if (kind === "retry") this.#retryBudget.take(lane.namespace, nowMs);
    else this.#retryBudget.sent(lane.namespace, nowMs);
    this.refresh(lane);
    return { lane, waiting, freeSinceMs, hold, probe, suspect: undefined };
  }

  #mayRetry(namespace: string, nowMs: number): boolean {
    const atMs = this.#retryBudget.readyAtMs(namespace, nowMs);
    if (atMs <= nowMs) return true;
    this.#held.set(namespace, atMs);
    this.#heldUntilMs = Math.min(this.#heldUntilMs, atMs);
    this.#arm(atMs);
    return false;
  }

  /** Retries that were held back until now are asked about again. */
  #allowRetries(nowMs: number): void {
    if (this.#heldUntilMs > nowMs) return;
    this.#heldUntilMs = Number.POSITIVE_INFINITY;
    for (const [namespace, atMs] of this.#held) {
      if (atMs > nowMs) {
        this.#heldUntilMs = Math.min(this.#heldUntilMs, atMs);
        continue;
      }
      this.#held.delete(namespace);
      this.#queue.allowRetries(namespace);
    }
  }

  /** Before all others: their number is bounded, and whoever waits for one knows that it was accepted long ago. */
  #pickSuspect(nowMs: number): Turn | undefined {
    let hold: SlotHold<Lane> | undefined;
    const picked = this.#suspects.pick((lane) => {
      hold = lane.openAtMs(nowMs) <= nowMs ? this.#queue.takeNow(lane, nowMs) : undefined;
      return hold !== undefined;
    });
    if (picked === undefined || hold === undefined) return undefined;
    const { lane, waiting, level } = picked;
    const { freeSinceMs } = lane;
    const probe = lane.gate.started(nowMs);
    this.refresh(lane);
    return { lane, waiting, freeSinceMs, hold, probe, suspect: level };
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
    this.#allowRetries(nowMs);
    this.#arm(Math.min(this.#wakes.nextAtMs, this.#heldUntilMs));
    this.#soon.ask();
  }
}
