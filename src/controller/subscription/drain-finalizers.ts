import type { WebhookSubscription } from "../../api/generated/custom-resources.ts";
import { drainFinalizersAfter } from "../../core/drain-finalizer.ts";
import { refOfKey } from "../objects.ts";
import type { SubscriptionKey } from "../objects.ts";
import { WorkQueue } from "../work-queue.ts";
import type { SubscriptionParts } from "./subscription-parts.ts";

/** Adds and removes the drain finalizer as the spec wants it. A crash loses nothing: at the next start every subscription is looked at. */
export class DrainFinalizers {
  readonly #parts: SubscriptionParts;
  readonly #queue: WorkQueue<SubscriptionKey>;

  constructor(parts: SubscriptionParts) {
    this.#parts = parts;
    this.#queue = new WorkQueue({
      clock: parts.clock,
      namespaceOf: (key) => refOfKey(key).namespace,
      work: (key) => this.#settle(key),
      onFailure: (key, error) => {
        const { namespace, name } = refOfKey(key);
        parts.log.warn({ err: error, subscription: `${namespace}/${name}` }, "the drain finalizer could not be set: retrying");
      },
    });
  }

  start(): void {
    this.#queue.start();
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  /** Looks whether a subscription has the finalizer that its spec wants. */
  add(key: SubscriptionKey): void {
    this.#queue.add(key);
  }

  /** Rejects to be called again. */
  async #settle(key: SubscriptionKey): Promise<void> {
    const { resources, known: book, sink, className } = this.#parts;
    const { namespace, name } = refOfKey(key);
    const object = resources.get("WebhookSubscription", namespace, name);
    const known = book.get(key);
    if (object === undefined || known?.uid !== object.metadata.uid || object.metadata.deletionTimestamp !== undefined) return;
    const wanted = known?.verdict.active?.spec.deletionPolicy === "Drain";
    if (isHeldAsWanted(object, className, wanted)) return;
    const result = await sink.setFinalizer(object, wanted);
    if (result.kind === "failed") throw new Error(result.message);
    if (result.kind === "conflict") throw new Error("the object has changed in the meantime");
  }
}

export function isHeldAsWanted({ metadata }: WebhookSubscription, className: string, isWanted: boolean): boolean {
  const { finalizers = [] } = metadata;
  return drainFinalizersAfter(finalizers, className, isWanted) === finalizers;
}
