import { DebtBuckets } from "../../lib/debt-buckets.ts";

/** What all filters may take for one event, in steps (meter.ts): 60 ms at most. */
export const EVENT_STEPS_MAX = 600_000;
/** What one request may take, however many events it brings: a quarter of a second at most. */
export const REQUEST_STEPS_MAX = 4 * EVENT_STEPS_MAX;
/** What a request of a namespace that is in debt may take: enough for filters without loops. */
export const STEPS_IN_DEBT_MAX = 4_000;
/** What a namespace's expressions may take in a second: a fifth of a processor. */
export const NAMESPACE_STEPS_PER_SECOND = 2_000_000;
/** Steps that are left for something. */
export interface StepAllowance {
  left: number;
}

/** What the expressions of each namespace may take, in steps and by time; what has been taken beyond that is a debt. */
export class StepBudgets extends DebtBuckets {
  constructor(perSecond = NAMESPACE_STEPS_PER_SECOND) {
    super(perSecond);
  }

  /** How long the namespace stays in debt, ms; 0 when it is in none. */
  debtMs(namespace: string, nowMs: number): number {
    const left = this.left(namespace, nowMs);
    return left >= 0 ? 0 : Math.ceil((-left / this.perSecond) * 1_000);
  }
}
