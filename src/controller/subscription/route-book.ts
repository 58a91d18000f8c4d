import { RouteTable } from "../../core/route-table.ts";
import type { Route } from "../../core/route-table.ts";
import type { Clock } from "../../lib/clock.ts";

/** Changes are gathered this long before a new table is built. */
export const BUILD_DELAY_MS = 20;
/** While changes keep coming a table is built at least this often. */
export const BUILD_DELAY_MAX_MS = 50;

/** The routes as they are now; hands out a new immutable table for every burst of changes. */
export class RouteBook {
  readonly #clock: Clock;
  readonly #publish: (table: RouteTable) => void;
  readonly #routes = new Map<string, Route>();
  #table = RouteTable.empty;
  #cancel: (() => void) | undefined;
  #changedAtMs: number | undefined;

  constructor(clock: Clock, publish: (table: RouteTable) => void) {
    this.#clock = clock;
    this.#publish = publish;
  }

  get(uid: string): Route | undefined {
    return this.#routes.get(uid);
  }

  set(route: Route): void {
    this.#routes.set(route.subscription.uid, route);
    this.#buildSoon();
  }

  delete(uid: string): void {
    if (this.#routes.delete(uid)) this.#buildSoon();
  }

  #buildSoon(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#changedAtMs ??= nowMs;
    this.#cancel?.();
    const delayMs = Math.max(0, Math.min(BUILD_DELAY_MS, this.#changedAtMs + BUILD_DELAY_MAX_MS - nowMs));
    this.#cancel = this.#clock.after(delayMs, () => this.build());
  }

  /** Hands out at once what is about to be handed out. */
  settle(): void {
    if (this.#cancel !== undefined) this.build();
  }

  /** Builds and hands out a table now. */
  build(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#changedAtMs = undefined;
    this.#table = RouteTable.build(this.#routes.values(), this.#table);
    this.#publish(this.#table);
  }
}
