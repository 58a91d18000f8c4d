import type { DeliveryId } from "../store.ts";
import type { DeliveryRow } from "./memory-row.ts";

type Ordered = Pick<DeliveryRow, "id" | "subscription" | "orderKey">;

/** The unfinished deliveries of each order key, lowest first. A resent one was taken out when it ended and stands outside the order. */
export class OrderBook {
  readonly #keys = new Map<string, Set<DeliveryId>>();

  /** Ids grow, so the order of adding is the order of ids. */
  add(row: Ordered): void {
    if (row.orderKey === undefined) return;
    const ids = this.#keys.get(placeOf(row)) ?? new Set();
    this.#keys.set(placeOf(row), ids.add(row.id));
  }

  remove(row: Ordered): void {
    const ids = this.#keys.get(placeOf(row));
    if (ids?.delete(row.id) === true && ids.size === 0) this.#keys.delete(placeOf(row));
  }

  /** Whether a lower one of its key is unfinished. */
  isBehind(row: Ordered): boolean {
    const ids = row.orderKey === undefined ? undefined : this.#keys.get(placeOf(row));
    if (ids?.has(row.id) !== true) return false;
    for (const lowest of ids) return lowest !== row.id;
    return false;
  }
}

function placeOf({ subscription, orderKey }: Ordered): string {
  return `${subscription}\0${orderKey ?? ""}`;
}
