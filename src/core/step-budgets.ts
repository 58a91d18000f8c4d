/** What all filters may take for one event, in steps (expression-meter.ts): 60 ms at most. */
export const EVENT_STEPS_MAX = 600_000;
/** What one request may take, however many events it brings: a quarter of a second at most. */
export const REQUEST_STEPS_MAX = 4 * EVENT_STEPS_MAX;
/** What a request of a namespace that is in debt may take: enough for filters without loops. */
export const STEPS_IN_DEBT_MAX = 4_000;
/** What a namespace's expressions may take in a second: a fifth of a processor. */
export const NAMESPACE_STEPS_PER_SECOND = 2_000_000;
/** Namespaces remembered at once; beyond that the one that was seen first is forgotten. */
const NAMESPACES_MAX = 10_000;

/** Steps that are left for something. */
export interface StepAllowance {
  left: number;
}

interface Account {
  /** Below zero it is in debt. */
  left: number;
  atMs: number;
}

/**
 * What the expressions of each namespace may take, in steps and by time: NAMESPACE_STEPS_PER_SECOND, and one second's worth at once. What has been taken is
 * taken: whoever is not in debt may begin something whose cost nobody knows yet, and pays for it afterwards.
 */
export class StepBudgets {
  readonly perSecond: number;
  readonly #accounts = new Map<string, Account>();

  constructor(perSecond = NAMESPACE_STEPS_PER_SECOND) {
    this.perSecond = perSecond;
  }

  /** Steps left; below zero a debt. */
  left(namespace: string, nowMs: number): number {
    return this.#account(namespace, nowMs).left;
  }

  spend(namespace: string, steps: number, nowMs: number): void {
    this.#account(namespace, nowMs).left -= steps;
  }

  /** How long the namespace stays in debt, ms; 0 when it is in none. */
  debtMs(namespace: string, nowMs: number): number {
    const left = this.left(namespace, nowMs);
    return left >= 0 ? 0 : Math.ceil((-left / this.perSecond) * 1_000);
  }

  #account(namespace: string, nowMs: number): Account {
    const found = this.#accounts.get(namespace);
    if (found !== undefined) {
      found.left = Math.min(this.perSecond, found.left + (Math.max(0, nowMs - found.atMs) / 1_000) * this.perSecond);
      found.atMs = nowMs;
      return found;
    }
    if (this.#accounts.size >= NAMESPACES_MAX) this.#accounts.delete(this.#accounts.keys().next().value ?? "");
    const account = { left: this.perSecond, atMs: nowMs };
    this.#accounts.set(namespace, account);
    return account;
  }
}
