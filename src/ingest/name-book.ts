import type { RouteTable } from "../core/route-table.ts";
import type { Log } from "../observe/log.ts";
import type { Store } from "../store/store.ts";

/**
 * Remembers the name of every subscription, in the store, so that results can name one that has been deleted. About 100 bytes for each that ever
 * was. A crash before the write leaves a name unknown until the subscription is seen again.
 */
export class NameBook {
  readonly #store: Pick<Store, "putState" | "listState">;
  readonly #log: Log;
  readonly #names = new Map<string, string>();

  constructor(store: Pick<Store, "putState" | "listState">, log: Log) {
    this.#store = store;
    this.#log = log;
  }

  /** Reads what earlier processes have remembered. @throws when the store cannot be read */
  async load(): Promise<void> {
    for (const { key, value } of await this.#store.listState("name")) this.#names.set(key, JSON.parse(value) as string);
  }

  note(table: RouteTable): void {
    const entries: { kind: "name"; key: string; value: string }[] = [];
    for (const { subscription } of table.routes()) {
      if (this.#names.get(subscription.uid) === subscription.name) continue;
      this.#names.set(subscription.uid, subscription.name);
      entries.push({ kind: "name", key: subscription.uid, value: JSON.stringify(subscription.name) });
    }
    if (entries.length === 0) return;
    this.#store.putState(entries).catch((error: unknown) => {
      for (const { key } of entries) this.#names.delete(key);
      this.#log.warn({ err: error }, "names of subscriptions could not be remembered: trying again with the next change");
    });
  }

  nameOf(uid: string): string | undefined {
    return this.#names.get(uid);
  }
}
