import type { RouteTable } from "../core/route-table.ts";
import { KeptMap } from "../lib/kept-map.ts";
import type { Log } from "../observe/log.ts";
import type { Store } from "../store/store.ts";

/** The longest history there is (720 h), and a day: results name a deleted subscription for no longer. */
const KEPT_MS = 31 * 86_400_000;
/** Names of deleted subscriptions remembered at most; about 100 bytes each. */
export const NAMES_LEFT_MAX = 100_000;

/**
 * Remembers the name of every subscription, in the store, so that results can name one that has been deleted, as long as there are results of it.
 * A crash before the write leaves a name unknown until the subscription is seen again.
 */
export class NameBook {
  readonly #names: KeptMap<string>;

  constructor(store: Pick<Store, "putState" | "listState" | "deleteState">, log: Log) {
    this.#names = new KeptMap({
      keep: {
        load: () => store.listState("name"),
        put: (entries) => store.putState(entries.map(({ key, value }) => ({ kind: "name", key, value }))),
        remove: (key) => store.deleteState("name", key),
      },
      keptMs: KEPT_MS,
      leftMax: NAMES_LEFT_MAX,
      equal: (known, now) => known === now,
      failed: (error) => log.warn({ err: error }, "subscription names could not be stored: retrying at the next change"),
    });
  }

  /** Reads what earlier processes have remembered. @throws when the store cannot be read */
  load(): Promise<void> {
    return this.#names.load();
  }

  note(table: RouteTable): void {
    this.#names.note(namesOf(table));
  }

  /** Once in a while: forgets the names of subscriptions of which nothing is known any more. Never rejects. */
  tidy(nowMs: number): Promise<void> {
    return this.#names.tidy(nowMs);
  }

  nameOf(uid: string): string | undefined {
    return this.#names.get(uid);
  }
}

function* namesOf(table: RouteTable): Generator<readonly [uid: string, name: string]> {
  for (const { subscription } of table.routes()) yield [subscription.uid, subscription.name];
}
