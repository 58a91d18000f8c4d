import type { Clock } from "./clock.ts";
import { Slots } from "./slots.ts";

/** Something to be called once when its time is over, unless it is taken out before. */
export interface WheelEntry {
  expire(slot: WheelSlot): void;
  /**
   * How much of the time that the process stood still is given back to it, ms from when that is noticed; undefined = none. Asked each time
   * its time is over.
   */
  givenBackMs?(): number;
}

/** A place in the wheel, for `cancel`. */
export class WheelSlot {
  readonly entry: WheelEntry;
  entries: Slots<WheelSlot>;
  at = 0;
  /** When its time is over, on the monotonic clock. */
  dueMs: number;
  /** How long the process had stood in all when the entry was added, and as much of it as has been given back since. */
  readonly stoodBeforeMs: number;
  settledMs: number;
  /** Its time was over while the process stood: only a clock that was late could say so. */
  late = false;

  constructor(entry: WheelEntry, entries: Slots<WheelSlot>, dueMs: number, stoodMs: number) {
    this.entry = entry;
    this.entries = entries;
    this.dueMs = dueMs;
    this.stoodBeforeMs = stoodMs;
    this.settledMs = stoodMs;
  }
}

/** How exact the wheel is, ms: an entry expires at its time or up to one tick later, never before. */
export const WHEEL_TICK_MS = 20;
/** Later than this, sockets are read before anything is judged: what came in time may lie there. */
const POLL_FIRST_MS = 2 * WHEEL_TICK_MS;
/** While something waits the wheel turns at least so often: who does not look cannot see that he stood. */
const BEAT_MS = 200;
/** A wheel that turns so late has stood: shorter is weather on a busy machine. */
export const STOOD_MIN_MS = 250;

/**
 * One timer for thousands of deadlines: adding and cancelling cost next to nothing (a timer or AbortSignal per request costs
 * up to 60 % of a request). Nothing runs while it is empty.
 *
 * A process that stands still (frozen, out of CPU, a long collection) finds all its timers over at once, before it has read a single socket.
 * So a wheel that turns late lets the sockets be read first and judges then; it counts how long it stood, and gives that time back to entries
 * that ask for it.
 */
export class TimerWheel {
  readonly #clock: Clock;
  readonly #slots = new Map<number, Slots<WheelSlot>>();
  #cancelTimer: (() => void) | undefined;
  /** The slot for which the timer is set. */
  #armedTick = Number.POSITIVE_INFINITY;
  /** When the timer should call. */
  #armedForMs = 0;
  #stoodMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `entry.expire()` after `delayMs` (>= 0). @returns where it stands, for `cancel`. */
  add(delayMs: number, entry: WheelEntry): WheelSlot {
    const dueMs = this.#clock.monotonicMs() + Math.max(0, delayMs);
    const tick = tickAfter(dueMs);
    const slot = new WheelSlot(entry, this.#entriesAt(tick), dueMs, this.#stoodMs);
    slot.at = slot.entries.add(slot);
    return slot;
  }

  cancel(slot: WheelSlot): void {
    slot.entries.remove(slot.at, slot);
  }

  /** How long the process stood still since the entry was added, as far as it was noticed, ms. */
  stoodSince(slot: WheelSlot): number {
    return this.#stoodMs - slot.stoodBeforeMs;
  }

  /** Drops every entry without calling it. */
  clear(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#armedTick = Number.POSITIVE_INFINITY;
    this.#slots.clear();
  }

  #entriesAt(tick: number): Slots<WheelSlot> {
    const known = this.#slots.get(tick);
    if (known !== undefined) return known;
    const entries = new Slots<WheelSlot>();
    this.#slots.set(tick, entries);
    if (tick < this.#armedTick) this.#arm(tick);
    return entries;
  }

  #arm(tick: number): void {
    const nowMs = this.#clock.monotonicMs();
    const forMs = Math.min(tick * WHEEL_TICK_MS, nowMs + BEAT_MS);
    // Set for an earlier beat already, the timer finds the tick by itself.
    if (this.#cancelTimer !== undefined && this.#armedForMs <= forMs) {
      this.#armedTick = tick;
      return;
    }
    this.#cancelTimer?.();
    this.#armedTick = tick;
    this.#armedForMs = forMs;
    this.#cancelTimer = this.#clock.after(forMs - nowMs, () => this.#turn());
  }

  #turn(): void {
    this.#cancelTimer = undefined;
    this.#armedTick = Number.POSITIVE_INFINITY;
    const lateMs = this.#clock.monotonicMs() - this.#armedForMs;
    if (lateMs >= STOOD_MIN_MS) this.#stoodMs += lateMs;
    if (lateMs < POLL_FIRST_MS) this.#judge(false);
    else this.#clock.afterPoll(() => this.#judge(lateMs >= STOOD_MIN_MS));
  }

  #judge(late: boolean): void {
    const now = Math.floor(this.#clock.monotonicMs() / WHEEL_TICK_MS);
    const due: number[] = [];
    let next = Number.POSITIVE_INFINITY;
    // Slots are visited by key, not by walking ticks: a process that slept for an hour does not walk an hour of ticks.
    for (const [tick, slots] of this.#slots) {
      if (tick <= now) due.push(tick);
      else if (slots.size === 0) this.#slots.delete(tick);
      else next = Math.min(next, tick);
    }
    // Armed before anything is called: an entry that throws must not stop the wheel.
    if (next !== Number.POSITIVE_INFINITY) this.#arm(next);
    for (const tick of due.sort((a, b) => a - b)) {
      const slots = this.#slots.get(tick);
      this.#slots.delete(tick);
      for (const slot of slots ?? []) {
        slot.late ||= late;
        if (!this.#goesOn(slot)) slot.entry.expire(slot);
      }
    }
  }

  /** Whether an entry gets time back that was lost while the process stood; then it has a new place. */
  #goesOn(slot: WheelSlot): boolean {
    const nowMs = this.#clock.monotonicMs();
    const lostMs = this.#stoodMs - slot.settledMs;
    const dueMs = Math.min(slot.dueMs + lostMs, nowMs + (slot.entry.givenBackMs?.() ?? 0));
    if (lostMs === 0 || dueMs <= nowMs) return false;
    slot.settledMs = this.#stoodMs;
    slot.dueMs = dueMs;
    slot.entries.remove(slot.at, slot);
    slot.entries = this.#entriesAt(tickAfter(dueMs));
    slot.at = slot.entries.add(slot);
    return true;
  }
}

function tickAfter(dueMs: number): number {
  return Math.floor(dueMs / WHEEL_TICK_MS) + 1;
}
