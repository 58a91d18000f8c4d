import type { RetryPolicy } from "./policy.ts";

/** The longest delay ever given, ms (720 h, the bound of `maxAge`): anything longer is clamped. */
export const DELAY_MAX_MS = 720 * 3_600_000;

/**
 * How long to wait before `attempt` (1 = the first send), ms, jitter included. Before the first send there is never jitter.
 * `random` is in [0, 1): the delay is multiplied by 1 + U[0, p/100].
 */
export function delayBefore(attempt: number, retry: Pick<RetryPolicy, "delays" | "jitterPercent">, random: number): number {
  const base = Math.min(Math.max(0, baseDelay(attempt, retry.delays)), DELAY_MAX_MS);
  if (attempt <= 1) return base;
  return Math.min(Math.round(base * (1 + (random * retry.jitterPercent) / 100)), DELAY_MAX_MS);
}

function baseDelay(attempt: number, delays: RetryPolicy["delays"]): number {
  if (delays.kind === "schedule") {
    const { delaysMs } = delays;
    return delaysMs[Math.min(attempt, delaysMs.length) - 1] ?? 0;
  }
  if (attempt <= 1) return 0;
  const step = attempt - 2;
  const grown =
    delays.growth === "Exponential"
      ? delays.initialMs * 2 ** Math.min(step, 64)
      : delays.growth === "Linear"
        ? delays.initialMs * (step + 1)
        : delays.initialMs;
  return Math.min(grown, delays.maxMs);
}
