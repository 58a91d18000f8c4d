import { expect, it } from "vitest";
import { objectKey, refOfKey } from "../../../src/controller/objects.ts";
import type { ObjectRef, SubscriptionKey } from "../../../src/controller/objects.ts";

it.each<[string, ObjectRef]>([
  ["WebhookSubscription/shop/orders", { kind: "WebhookSubscription", namespace: "shop", name: "orders" }],
  ["ClusterDeliveryPolicy//fence", { kind: "ClusterDeliveryPolicy", namespace: "", name: "fence" }],
  ["Namespace//shop", { kind: "Namespace", namespace: "", name: "shop" }],
])("%s is made of an object's name and leads back to it", (text, ref) => {
  const key = objectKey(ref);
  expect(key).toBe(text);
  expect(refOfKey(key)).toEqual(ref);
});

it("a text, or the key of another kind, is no key of a subscription: it does not compile", () => {
  // @ts-expect-error: keys are made by objectKey only
  const made: SubscriptionKey = "WebhookSubscription/shop/orders";
  // @ts-expect-error: the kind is part of the type
  const other: SubscriptionKey = objectKey({ kind: "DeliveryReplay", namespace: "shop", name: "orders" });
  expect([made, other].map((key) => refOfKey(key).name)).toEqual(["orders", "orders"]);
});
