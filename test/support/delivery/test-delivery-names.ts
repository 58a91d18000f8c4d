import { DELIVERY_NAME_KEY_BYTES, DeliveryNames } from "../../../src/core/delivery-name.ts";

/** Under a key that is always the same. */
export const testDeliveryNames = new DeliveryNames(Buffer.alloc(DELIVERY_NAME_KEY_BYTES, 7));
