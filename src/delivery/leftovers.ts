import type { Store } from "../store/store.ts";
import type { LanePart } from "./lane-state/lane-part.ts";

/**
 * Lets go of state whose subscription is gone: one that was deleted while nobody was running, or written a moment too late. `isKnown` is asked
 * right before each deletion. A crash leaves the rest for the next time. @throws when the store does not take it
 */
export async function dropLeftovers(
  store: Pick<Store, "listState" | "deleteState">,
  laneParts: readonly Pick<LanePart, "stateKind">[],
  isKnown: (uid: string) => boolean,
): Promise<number> {
  let dropped = 0;
  for (const { stateKind: kind } of laneParts) {
    if (kind === undefined) continue;
    for (const { key } of await store.listState(kind)) {
      if (isKnown(key)) continue;
      await store.deleteState(kind, key);
      dropped += 1;
    }
  }
  return dropped;
}
