import type { StorageLimit } from "../../core/storage-share.ts";
import type { ObjectRef, Resources } from "../objects.ts";
import type { PolicyView } from "./policy-view.ts";

/** Namespaces remembered at once. */
const REMEMBERED_MAX = 10_000;

/** `limits.storage` by namespace, as of the policies and labels that are there now; asked for every event, so an answer is kept until one of them changes. */
export class StorageLimits {
  readonly #resources: Pick<Resources, "isListed">;
  readonly #policies: PolicyView;
  readonly #known = new Map<string, StorageLimit>();

  constructor(resources: Pick<Resources, "isListed">, policies: PolicyView) {
    this.#resources = resources;
    this.#policies = policies;
  }

  of(namespace: string): StorageLimit {
    const known = this.#known.get(namespace);
    if (known !== undefined) return known;
    if (!this.#resources.isListed(namespace)) return "unread";
    if (this.#known.size >= REMEMBERED_MAX) this.#known.clear();
    const limit = this.#policies.storageBytes(namespace) ?? "none";
    this.#known.set(namespace, limit);
    return limit;
  }

  changed(ref: ObjectRef | undefined): void {
    if (ref === undefined || ref.kind === "ClusterDeliveryPolicy" || ref.kind === "Namespace") this.#known.clear();
  }
}
