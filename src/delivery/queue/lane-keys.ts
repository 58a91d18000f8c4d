import type { KeyWithoutValue } from "../../core/health.ts";
import type { Route } from "../../core/route-table.ts";
import type { NewDelivery } from "../../store/store.ts";

/** A path that a spec reads from every event. */
interface CountedKey {
  readonly path: string;
  readonly sinceMs: number;
  /** Events without a value there. */
  missing: number;
  /** At least one event had a value: the path is right, and the others may well have none. */
  isFound: boolean;
}

/**
 * Whether `ordering.key` and `history.recordIDField` have ever found anything: a misspelt path means "no order" and "no record id", and nothing else would
 * say so. Two numbers in memory; a restart and another path begin anew.
 */
export class LaneKeys {
  #order: CountedKey | undefined;
  #record: CountedKey | undefined;

  adopt(route: Route | undefined, nowMs: number): void {
    const { ordering, history } = route?.subscription.spec ?? {};
    this.#order = counted(this.#order, ordering?.key, nowMs);
    this.#record = counted(this.#record, history?.recordIdField, nowMs);
  }

  /** A delivery was accepted. */
  accepted({ orderKey, recordId }: Pick<NewDelivery, "orderKey" | "recordId">): void {
    if (this.#order !== undefined) note(this.#order, orderKey);
    if (this.#record !== undefined) note(this.#record, recordId);
  }

  /** Those that no event had a value for; `shownMs` turns engine time into what people read. */
  withoutValue(shownMs: (atMs: number) => number): readonly KeyWithoutValue[] {
    const keys = [
      { field: "ordering.key", key: this.#order },
      { field: "history.recordIDField", key: this.#record },
    ] as const;
    return keys.flatMap(({ field, key }) => {
      if (key === undefined || key.isFound || key.missing === 0) return [];
      return [{ field, path: key.path, events: key.missing, sinceMs: shownMs(key.sinceMs) }];
    });
  }
}

function counted(known: CountedKey | undefined, path: string | undefined, nowMs: number): CountedKey | undefined {
  if (path === undefined) return undefined;
  return known?.path === path ? known : { path, sinceMs: nowMs, missing: 0, isFound: false };
}

function note(key: CountedKey, value: string | undefined): void {
  if (value === undefined) key.missing += 1;
  else key.isFound = true;
}
