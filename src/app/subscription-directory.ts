import type { KnownSubscription, SubscriptionDirectory } from "../admin/directory.ts";
import type { WebhookSubscription } from "../api/generated/custom-resources.ts";
import type { Controller } from "../controller/controller.ts";
import { objectKey } from "../controller/objects.ts";
import type { Resources } from "../controller/objects.ts";
import type { NameBook } from "../ingest/name-book.ts";

/** The subscriptions as provider and controller know them; status is the one that the controller would write now; names outlive them. */
export function subscriptionDirectory(
  resources: Resources,
  controller: Pick<Controller, "compose">,
  names: Pick<NameBook, "nameOf" | "uidsOf">,
): SubscriptionDirectory {
  const known = ({ metadata, spec, status }: WebhookSubscription): KnownSubscription => {
    const { namespace, name, uid = "", generation = 1 } = metadata;
    const due = controller.compose(objectKey({ kind: "WebhookSubscription", namespace, name }));
    return { uid, namespace, name, generation, spec, status: due?.status ?? status ?? null };
  };
  return {
    list: (namespace) => [...resources.list("WebhookSubscription", namespace)].map(known).toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    get: (namespace, name) => {
      const found = resources.get("WebhookSubscription", namespace, name);
      return found === undefined ? undefined : known(found);
    },
    refusalOf: (namespace, name) => resources.refusalOf?.({ kind: "WebhookSubscription", namespace, name })?.message,
    nameOf: (uid) => names.nameOf(uid),
    uidsOf: (namespace, name) => {
      const live = resources.get("WebhookSubscription", namespace, name)?.metadata.uid;
      return [...new Set([...(live === undefined ? [] : [live]), ...names.uidsOf(namespace, name)])];
    },
  };
}
