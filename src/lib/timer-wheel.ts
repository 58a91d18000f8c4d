import type { Clock } from "./clock.ts";
import { Slots } from "./slots.ts";

/** Something to be called once when its time is over, unless it is taken out before. */
export interface WheelEntry {
  expire(): void;
}

/** A place in the wheel, for `cancel`. */
export interface WheelSlot {
  readonly entries: Slots<WheelEntry>;
  readonly at: number;
}

/** How exact the wheel is, ms: an entry expires at its time or up to one tick later, never before. */
export const WHEEL_TICK_MS = 20;

/**
 * One timer for thousands of deadlines: adding and cancelling cost next to nothing (a timer or AbortSignal per request costs
 * up to 60 % of a request). Nothing runs while it is empty.
 */
export class TimerWheel {
  readonly #clock: Clock;
  readonly #slots = new Map<number, Slots<WheelEntry>>();
  #cancelTimer: (() => void) | undefined;
  /** The slot for which the timer is set. */
  #armedTick = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `entry.expire()` after `delayMs` (>= 0). @returns where it stands, for `cancel`. */
  add(delayMs: number, entry: WheelEntry): WheelSlot {
    const tick = this.#tickAt(delayMs) + 1;
    let entries = this.#slots.get(tick);
    if (entries === undefined) {
      entries = new Slots();
      this.#slots.set(tick, entries);
      if (tick < this.#armedTick) this.#arm(tick);
    }
    return { entries, at: entries.add(entry) };
  }

  cancel(slot: WheelSlot, entry: WheelEntry): void {
    slot.entries.remove(slot.at, entry);
  }

  /** Drops every entry without calling it. */
  clear(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#armedTick = Number.POSITIVE_INFINITY;
    this.#slots.clear();
  }

  #tickAt(delayMs: number): number {
    return Math.floor((this.#clock.monotonicMs() + Math.max(0, delayMs)) / WHEEL_TICK_MS);
  }

  #arm(tick: number): void {
    this.#cancelTimer?.();
    this.#armedTick = tick;
    this.#cancelTimer = this.#clock.after(tick * WHEEL_TICK_MS - this.#clock.monotonicMs(), () => this.#turn());
  }

  #turn(): void {
    this.#cancelTimer = undefined;
    this.#armedTick = Number.POSITIVE_INFINITY;
    const now = this.#tickAt(0);
    const due: number[] = [];
    let next = Number.POSITIVE_INFINITY;
    // Slots are visited by key, not by walking ticks: a process that slept for an hour does not walk an hour of ticks.
    for (const [tick, slot] of this.#slots) {
      if (tick <= now) due.push(tick);
      else if (slot.size === 0) this.#slots.delete(tick);
      else next = Math.min(next, tick);
    }
    // Armed before anything is called: an entry that throws must not stop the wheel.
    if (next !== Number.POSITIVE_INFINITY) this.#arm(next);
    for (const tick of due.sort((a, b) => a - b)) {
      const slot = this.#slots.get(tick);
      this.#slots.delete(tick);
      for (const entry of slot ?? []) entry.expire();
    }
  }
}
