import type { Deliveries } from "../../../src/controller/deliveries.ts";
import type { SubscriptionHealth } from "../../../src/core/health.ts";

/** The engine as the controller sees it, with numbers that a test sets. */
export class FakeDeliveries implements Deliveries {
  ready = true;
  /** Deliveries whose attempts are under way: these no end can end. */
  underWay = 0;
  readonly healths = new Map<string, SubscriptionHealth>();
  readonly pendings = new Map<string, number>();
  readonly resumed: string[] = [];
  readonly ended: { readonly uid: string; readonly how: string }[] = [];
  #callbacks: ((uid: string, kind: "transition" | "counters") => void)[] = [];

  health(uid: string): SubscriptionHealth | undefined {
    return this.healths.get(uid);
  }

  onHealthChange(callback: (uid: string, kind: "transition" | "counters") => void): void {
    this.#callbacks.push(callback);
  }

  tell(uid: string, kind: "transition" | "counters"): void {
    for (const callback of this.#callbacks) callback(uid, kind);
  }

  resume(uid: string): Promise<void> {
    this.resumed.push(uid);
    return Promise.resolve();
  }

  pending(uid: string): number {
    return this.pendings.get(uid) ?? 0;
  }

  owing(): Iterable<string> {
    return [...this.pendings].filter(([, pending]) => pending > 0).map(([uid]) => uid);
  }

  end(uid: string, how: "dead-letter" | "discard"): Promise<number> {
    this.ended.push({ uid, how });
    const count = this.pending(uid) - this.underWay;
    this.pendings.set(uid, this.underWay);
    return Promise.resolve(count);
  }
}

/** A subscription that has done nothing yet. */
export const QUIET: SubscriptionHealth = {
  sinceMs: 0,
  accepted: 0,
  delivered: 0,
  retried: 0,
  failed: 0,
  deadLettered: 0,
  pending: 0,
  oldestPendingAtMs: undefined,
  consecutiveFailures: 0,
  nextAttemptAtMs: undefined,
  lastSuccessAtMs: undefined,
  lastFailureAtMs: undefined,
  lastAttempt: undefined,
  recentFailures: [],
  endpoint: { healthy: undefined, reason: "Idle", message: "nothing has been sent yet" },
  suspension: undefined,
  keysWithoutValue: [],
};
