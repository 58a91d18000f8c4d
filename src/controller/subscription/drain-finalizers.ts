import type { WebhookSubscription } from "../../api/generated/custom-resources.ts";
import { drainFinalizersAfter } from "../../core/drain-finalizer.ts";
import { refOfKey } from "../objects.ts";
import type { SubscriptionKey } from "../objects.ts";
import type { WorkQueue } from "../work-queue.ts";
import { laterWrites } from "./later-writes.ts";
import type { SubscriptionParts } from "./subscription-parts.ts";

/** Adds and removes the drain finalizer as the spec wants it. */
export function drainFinalizers(parts: SubscriptionParts): WorkQueue<SubscriptionKey> {
  return laterWrites(parts, { settle: (key) => settle(parts, key), retrying: "the drain finalizer could not be set: retrying" });
}

async function settle({ resources, known: book, sink, className }: SubscriptionParts, key: SubscriptionKey): Promise<void> {
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

export function isHeldAsWanted({ metadata }: WebhookSubscription, className: string, isWanted: boolean): boolean {
  const { finalizers = [] } = metadata;
  return drainFinalizersAfter(finalizers, className, isWanted) === finalizers;
}
