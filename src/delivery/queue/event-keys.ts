import type { Event } from "../../core/event.ts";
import { orderKeyOf, recordIdOf } from "../../core/event-value.ts";
import type { SubscriptionSpec } from "../../core/subscription.ts";

type Spec = Pick<SubscriptionSpec, "ordering" | "history">;

/**
 * What an event is ordered and found by, for each subscription that it goes to. A thousand of them mostly read the same path: its data, 256 KiB at most, is
 * searched once for each. Only the latest event is remembered.
 */
export class EventKeys {
  #event: Event | undefined;
  readonly #orderKeys = new Map<string, string | undefined>();
  readonly #recordIds = new Map<string, string | undefined>();

  orderKey(event: Event, { ordering }: Spec): string | undefined {
    return ordering === undefined ? undefined : this.#read(event, ordering.key, { known: this.#orderKeys, read: orderKeyOf });
  }

  recordId(event: Event, { history }: Spec): string | undefined {
    const path = history.recordIdField;
    return path === undefined ? undefined : this.#read(event, path, { known: this.#recordIds, read: recordIdOf });
  }

  #read(event: Event, path: string, how: { known: Map<string, string | undefined>; read: typeof orderKeyOf }): string | undefined {
    if (this.#event !== event) {
      this.#event = event;
      this.#orderKeys.clear();
      this.#recordIds.clear();
    }
    const { known, read } = how;
    if (!known.has(path)) known.set(path, read(event, path));
    return known.get(path);
  }
}
