import type { StateKind, Store } from "../store/store.ts";

/** What the engine keeps in the store by the uid of a subscription, or of its dead letters' queue. */
const KINDS: readonly StateKind[] = ["health", "suspension", "handshake"];

/**
 * Lets go of state whose subscription is gone: one that was deleted while nobody was running, or written a moment too late. `isKnown` is asked
 * right before each deletion. A crash leaves the rest for the next time. @throws when the store does not take it
 */
export async function dropLeftovers(store: Pick<Store, "listState" | "deleteState">, isKnown: (uid: string) => boolean): Promise<number> {
  let dropped = 0;
  for (const kind of KINDS) {
    for (const { key } of await store.listState(kind)) {
      if (isKnown(key)) continue;
      await store.deleteState(kind, key);
      dropped += 1;
    }
  }
  return dropped;
}
