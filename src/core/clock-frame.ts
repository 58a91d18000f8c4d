import type { ClockFrame } from "../lib/clock.ts";

/** What a store keeps of its clock: engine time when it was last told, and how far the wall was ahead of it. */
export type KeptClock = ClockFrame;

/** Further than this from the last word of the store the wall clock is not followed: nothing that is kept lives longer (720 h, and a day). */
const AWAY_MAX_MS = 31 * 86_400_000;

/**
 * Where engine time goes on at a start. Everything that the store holds (due times, pauses, expiries, ages) is engine time, so it must go on
 * from where it was:
 *   a wall clock that is ahead of it by the time that nobody ran      engine time follows: what fell due meanwhile is due
 *   a wall clock further ahead than anything kept lives (ten years)   engine time follows as far as that, the rest is a step of the wall
 *   a wall clock behind it (put back while nobody ran, a dead battery) engine time stands where it was: nothing is due later than it was
 * `awayMs` is how long nobody ran, as far as can be told.
 */
export function startingFrame(kept: KeptClock | undefined, wallMs: number): ClockFrame & { readonly awayMs: number } {
  if (kept === undefined) return { nowMs: wallMs, offsetMs: 0, awayMs: 0 };
  const awayMs = Math.min(Math.max(0, wallMs - kept.offsetMs - kept.nowMs), AWAY_MAX_MS);
  const nowMs = kept.nowMs + awayMs;
  return { nowMs, offsetMs: wallMs - nowMs, awayMs };
}

/** Reads what `clockText` wrote; undefined where there is none, or nobody can read it. */
export function parseClock(text: string | undefined): KeptClock | undefined {
  if (text === undefined) return undefined;
  try {
    const { nowMs, offsetMs } = JSON.parse(text) as Partial<KeptClock>;
    return Number.isSafeInteger(nowMs) && Number.isSafeInteger(offsetMs) ? { nowMs: nowMs ?? 0, offsetMs: offsetMs ?? 0 } : undefined;
  } catch {
    return undefined;
  }
}

export function clockText({ nowMs, offsetMs }: KeptClock): string {
  return JSON.stringify({ nowMs, offsetMs });
}
