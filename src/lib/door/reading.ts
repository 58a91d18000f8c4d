/** Whoever takes nothing of an answer for so long is no reader, ms. */
export const UNREAD_MS_MAX = 30_000;
/** After that time, an answer that is never quite taken must have gone at this rate, in bytes per second. */
const READ_RATE_MIN = 4_096;
/** Whoever has taken nothing for so long counts as slow, ms. */
const SLOW_MS = 1_000;

/** How one connection takes what is written to it, from when something first waited until all of it has gone. */
export class Reading {
  readonly #sinceMs: number;
  readonly #takenBefore: number;
  #takenBytes: number;
  unreadBytes: number;
  /** When it was last seen to have taken something, ms. */
  takenAtMs: number;

  constructor(takenBytes: number, unreadBytes: number, nowMs: number) {
    this.#sinceMs = nowMs;
    this.#takenBefore = takenBytes;
    this.#takenBytes = takenBytes;
    this.unreadBytes = unreadBytes;
    this.takenAtMs = nowMs;
  }

  /** What has been taken in all, and what waits now. */
  look(takenBytes: number, unreadBytes: number, nowMs: number): void {
    this.unreadBytes = unreadBytes;
    if (takenBytes === this.#takenBytes) return;
    this.#takenBytes = takenBytes;
    this.takenAtMs = nowMs;
  }

  isSlow(nowMs: number): boolean {
    return nowMs - this.takenAtMs >= SLOW_MS;
  }

  /** Whether it is not worth waiting for any longer. */
  isHopeless(nowMs: number): boolean {
    if (nowMs - this.takenAtMs >= UNREAD_MS_MAX) return true;
    const ageMs = nowMs - this.#sinceMs;
    return ageMs >= UNREAD_MS_MAX && this.#takenBytes - this.#takenBefore < (ageMs / 1_000) * READ_RATE_MIN;
  }
}
