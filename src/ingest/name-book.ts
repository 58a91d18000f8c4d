import type { RouteTable } from "../core/route-table.ts";
import { KeptMap } from "../lib/kept-map.ts";
import type { Log } from "../observe/log.ts";
import type { Store } from "../store/store.ts";

/** The longest history there is (720 h), and a day: a deleted subscription is named for no longer. */
const KEPT_MS = 31 * 86_400_000;
/** Names of deleted subscriptions remembered at most; about 200 bytes each. */
export const NAMES_LEFT_MAX = 100_000;
/** Subscriptions of one name that are searched for at most, the latest that this process knows: one statement names all of them. */
export const SAME_NAME_MAX = 1_000;

/**
 * Remembers the name of every subscription, in the store, so that results can name one that has been deleted, and history can be asked for by that
 * name, as long as there is any of it. Kept as `namespace/name`; version 0.1 has left names alone, which count in every namespace. A crash before the write leaves a name unknown until the subscription is seen again.
 */
export class NameBook {
  readonly #names: KeptMap<string>;
  /** Who has or had a name, by what is kept. */
  readonly #uids = new Map<string, Set<string>>();

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
      forgot: (uid, text) => this.#unindex(uid, text),
      failed: (error) => log.warn({ err: error }, "subscription names could not be stored: retrying at the next change"),
    });
  }

  /** Reads what earlier processes have remembered. @throws when the store cannot be read */
  async load(): Promise<void> {
    await this.#names.load();
    for (const [uid, text] of this.#names.entries()) this.#index(uid, text);
  }

  note(table: RouteTable): void {
    this.#names.note(this.#noted(table));
  }

  /** Once in a while: forgets the names of subscriptions of which nothing is known any more. Never rejects. */
  tidy(nowMs: number): Promise<void> {
    return this.#names.tidy(nowMs);
  }

  nameOf(uid: string): string | undefined {
    const text = this.#names.get(uid);
    return text?.slice(text.indexOf("/") + 1);
  }

  /** Who has this name, or had it; the latest last. */
  uidsOf(namespace: string, name: string): readonly string[] {
    const [anywhere, here] = [this.#uids.get(name) ?? [], this.#uids.get(`${namespace}/${name}`) ?? []];
    return [...anywhere, ...here].slice(-SAME_NAME_MAX);
  }

  /** Everything in the table; what is new or has changed is indexed on the way. */
  *#noted(table: RouteTable): Generator<readonly [uid: string, text: string]> {
    for (const { subscription } of table.routes()) {
      const text = `${subscription.namespace}/${subscription.name}`;
      const before = this.#names.get(subscription.uid);
      if (before !== text) {
        if (before !== undefined) this.#unindex(subscription.uid, before);
        this.#index(subscription.uid, text);
      }
      yield [subscription.uid, text];
    }
  }

  #index(uid: string, text: string): void {
    const uids = this.#uids.get(text);
    if (uids === undefined) this.#uids.set(text, new Set([uid]));
    else uids.add(uid);
  }

  #unindex(uid: string, text: string): void {
    const uids = this.#uids.get(text);
    uids?.delete(uid);
    if (uids?.size === 0) this.#uids.delete(text);
  }
}
