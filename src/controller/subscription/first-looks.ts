import { refOfKey } from "../objects.ts";
import type { SubscriptionKey } from "../objects.ts";

/** Which subscriptions of the first listing have not been looked at yet, by namespace. */
export class FirstLooks {
  readonly #left = new Map<string, Set<SubscriptionKey>>();
  /** Namespaces whose first listing is past: what comes later to them is a change. */
  readonly #begun = new Set<string>();

  /** Notes what a listing gave. Namespaces of which one was noted before are left out. */
  expect(keys: Iterable<SubscriptionKey>): void {
    const fresh = new Set<string>();
    for (const key of keys) {
      const { namespace } = refOfKey(key);
      if (this.#begun.has(namespace) && !fresh.has(namespace)) continue;
      fresh.add(namespace);
      this.#begun.add(namespace);
      const left = this.#left.get(namespace);
      if (left === undefined) this.#left.set(namespace, new Set([key]));
      else left.add(key);
    }
  }

  looked(key: SubscriptionKey): void {
    const { namespace } = refOfKey(key);
    const left = this.#left.get(namespace);
    left?.delete(key);
    if (left?.size === 0) this.#left.delete(namespace);
  }

  /** Whether everything of the namespace was looked at; without one, of all. */
  done(namespace?: string): boolean {
    return namespace === undefined ? this.#left.size === 0 : !this.#left.has(namespace);
  }
}
