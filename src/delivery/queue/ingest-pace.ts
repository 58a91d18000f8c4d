import { Line } from "../../core/line.ts";
import type { Route } from "../../core/route-table.ts";
import type { Clock } from "../../lib/clock.ts";
import type { LoopLoad } from "../../lib/loop-load.ts";
import type { EngineBounds } from "./bounds.ts";
import type { Lane } from "./lane.ts";

/** A request waits at most this long. */
const WAIT_MAX_MS = 50;
/** How often those that wait are looked at: longest to wait once the loop is no longer busy. */
const LOOK_EVERY_MS = 10;
/** A lane whose oldest has waited longer is slow by itself: then its receiver is what deliveries wait for. */
const QUICK_MS = 100;
/** A lane with so few that wait is not full, however few it may have in flight: they are gone within a commit. */
const FULL_MIN = 16;
/** Routes of one request that are looked at. */
const ROUTES_MAX = 64;

export interface IngestPaceParts {
  readonly clock: Pick<Clock, "nowMs" | "monotonicMs" | "after">;
  /** Never busy where it is not given. */
  readonly load?: Pick<LoopLoad, "isBusy"> | undefined;
  readonly bounds: Pick<EngineBounds, "paceAt">;
}

interface Waiting {
  readonly lane: Lane;
  readonly untilMs: number;
  readonly go: () => void;
  isOver: boolean;
}

/**
 * Takes in at the pace of what goes out, while the event loop is the bottleneck and for subscriptions whose deliveries move: what is accepted faster is
 * sent no sooner, but costs a claim of its own, memory, and the way through the due index. A receiver that is slow slows no request: its lane does not
 * move quickly, so it is not asked about. Bounds: a request waits once, 50 ms at most, and 10 ms once the loop is no longer busy. Kept in memory only: a
 * crash ends requests that were not answered.
 */
export class IngestPace {
  readonly #parts: IngestPaceParts;
  readonly #lanes = new Map<Lane, Line<Waiting>>();
  /** Oldest first. */
  readonly #all = new Line<Waiting>();
  #isLooking = false;

  constructor(parts: IngestPaceParts) {
    this.#parts = parts;
  }

  /** Settles when a request for these routes may go on; undefined = at once. */
  room(routes: Iterable<Route>, laneOf: (uid: string) => Lane | undefined): Promise<void> | undefined {
    const { clock, load } = this.#parts;
    if (load?.isBusy() !== true) return undefined;
    const nowMs = clock.nowMs();
    let left = ROUTES_MAX;
    for (const { subscription } of routes) {
      if (left-- === 0) return undefined;
      const lane = laneOf(subscription.uid);
      if (lane !== undefined && this.#isFull(lane) && lane.backlog.isMoving(nowMs, QUICK_MS)) return this.#wait(lane);
    }
    return undefined;
  }

  /** A delivery of the lane left memory. All go once half of it is empty: what comes together is committed together, and one at a time would cost a commit each. */
  left(lane: Lane): void {
    const line = this.#lanes.get(lane);
    if (line === undefined || lane.backlog.freshCount >= this.#fullAt(lane) / 2) return;
    this.#lanes.delete(lane);
    for (let first = line.shift(); first !== undefined; first = line.shift()) if (!first.isOver) this.#release(first);
  }

  #isFull(lane: Lane): boolean {
    return lane.backlog.freshCount >= this.#fullAt(lane);
  }

  /** As many wait as may be in flight: then no slot waits for a delivery. What is on its way through a commit is not counted, however long that takes. */
  #fullAt({ capNow }: Lane): number {
    return Math.min(this.#parts.bounds.paceAt, Math.max(FULL_MIN, capNow));
  }

  #wait(lane: Lane): Promise<void> {
    return new Promise((go) => {
      const waiting = { lane, untilMs: this.#parts.clock.monotonicMs() + WAIT_MAX_MS, go, isOver: false };
      this.#all.push(waiting);
      const line = this.#lanes.get(lane);
      if (line !== undefined) line.push(waiting);
      else {
        const first = new Line<Waiting>();
        first.push(waiting);
        this.#lanes.set(lane, first);
      }
      this.#lookSoon();
    });
  }

  #release(waiting: Waiting): void {
    waiting.isOver = true;
    waiting.go();
  }

  #lookSoon(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#parts.clock.after(LOOK_EVERY_MS, () => {
      this.#isLooking = false;
      this.#look();
    });
  }

  /** Releases those that have waited long enough, and all once the loop is not busy. */
  #look(): void {
    const { clock, load } = this.#parts;
    const nowMs = load?.isBusy() === true ? clock.monotonicMs() : Number.POSITIVE_INFINITY;
    for (let first = this.#all.peek(); first !== undefined; first = this.#all.peek()) {
      if (!first.isOver && first.untilMs > nowMs) break;
      this.#all.shift();
      if (!first.isOver) this.#release(first);
    }
    for (const [lane, line] of this.#lanes) {
      while (line.peek()?.isOver === true) line.shift();
      if (line.length === 0) this.#lanes.delete(lane);
    }
    if (this.#all.length > 0) this.#lookSoon();
  }
}
