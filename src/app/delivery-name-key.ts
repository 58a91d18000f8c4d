import { DELIVERY_NAME_KEY_BYTES, DeliveryNames } from "../core/delivery-name.ts";
import type { Random } from "../lib/random.ts";
import type { Log } from "../observe/log.ts";
import type { Store } from "../store/store.ts";

/** A state entry of kind `meta`. */
const KEY = "deliveryNames";

/** The names that this store's deliveries have always had; the key is made with the first start. @throws StoreError when the store cannot be read. */
export async function keptDeliveryNames(store: Pick<Store, "listState" | "putState">, random: Random, log: Log): Promise<DeliveryNames> {
  const kept = (await store.listState("meta")).find(({ key }) => key === KEY);
  const known = kept === undefined ? undefined : Buffer.from(String(JSON.parse(kept.value)), "base64url");
  if (known?.length === DELIVERY_NAME_KEY_BYTES) return new DeliveryNames(known);
  const made = random.bytes(DELIVERY_NAME_KEY_BYTES);
  await store
    .putState([{ kind: "meta", key: KEY, value: JSON.stringify(Buffer.from(made).toString("base64url")) }])
    // A full disk is no reason not to deliver.
    .catch((error: unknown) => log.warn({ err: error }, "the key for delivery ids could not be stored: the ids change at the next start"));
  return new DeliveryNames(made);
}
