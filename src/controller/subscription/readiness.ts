import type { Clock } from "../../lib/clock.ts";
import type { Deliveries } from "../deliveries.ts";
import type { Resources, SubscriptionKey } from "../objects.ts";
import { FirstLooks } from "./first-looks.ts";
import type { Leavers } from "./leavers.ts";
import type { RouteBook } from "./route-book.ts";

const STRANGERS_AGAIN_MS = 1_000;

export interface ReadinessOptions {
  readonly resources: Resources;
  readonly deliveries: Deliveries;
  readonly clock: Clock;
  readonly routes: RouteBook;
  readonly leavers: Pick<Leavers, "departStrangers">;
  /** Called once, when `ready` turns true. */
  readonly onReady?: (() => void) | undefined;
}

/**
 * The way from a start to a routing table that may be believed: at once if the store gave routes back, else when everything that was listed first
 * has been looked at. At its end what is owed to nobody is let go of, once.
 */
export class Readiness {
  readonly #options: ReadinessOptions;
  readonly #first = new FirstLooks();
  #ready = false;
  #running = false;
  #hasBegun = false;
  #hasStored = false;
  #strangersGone = false;

  constructor(options: ReadinessOptions) {
    this.#options = options;
  }

  get ready(): boolean {
    return this.#ready;
  }

  /** The store was read; stays so when it is stopped, because the ingest may go on for a while. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** `hasStored`: the store gave routes back. */
  begin(hasStored: boolean): void {
    this.#hasStored = hasStored;
    if (hasStored) {
      this.#options.routes.build();
      this.#turnReady();
    }
    this.#running = true;
    this.#hasBegun = true;
  }

  end(): void {
    this.#running = false;
  }

  /** Whether the table may be believed for this namespace: an event that matches nothing is one that nobody wants. */
  isReady(namespace: string): boolean {
    if (!this.#hasBegun || !(this.#hasStored || this.#options.resources.isListed(namespace))) return false;
    if (!this.#hasStored && !this.#first.done(namespace)) return false;
    if (!this.#ready) this.#options.routes.settle();
    return true;
  }

  /** Notes what a listing gave. */
  expect(keys: Iterable<SubscriptionKey>): void {
    this.#first.expect(keys);
  }

  looked(key: SubscriptionKey): void {
    this.#first.looked(key);
    if (!this.#strangersGone) this.settle();
  }

  /** Looks whether the end is reached. */
  settle(): void {
    if (!this.#running || !this.#first.done() || !this.#options.resources.synced) return;
    if (!this.#ready) this.#options.routes.build();
    this.#turnReady();
    this.#departStrangers();
  }

  /** As soon as the engine knows what it owes, and nothing is left unread to which it might owe it. */
  #departStrangers(): void {
    const { deliveries, clock, resources, leavers } = this.#options;
    if (!this.#running || this.#strangersGone || resources.unlisted().length > 0) return;
    if (!deliveries.ready) {
      clock.after(STRANGERS_AGAIN_MS, () => this.#departStrangers());
      return;
    }
    this.#strangersGone = true;
    leavers.departStrangers();
  }

  #turnReady(): void {
    if (this.#ready) return;
    this.#ready = true;
    this.#options.onReady?.();
  }
}
