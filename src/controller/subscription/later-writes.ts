import { refOfKey } from "../objects.ts";
import type { SubscriptionKey } from "../objects.ts";
import { WorkQueue } from "../work-queue.ts";
import type { SubscriptionParts } from "./subscription-parts.ts";

export interface LaterWrite {
  /** Looks whether something is to be written for a subscription, and writes it. Rejects to be called again. */
  readonly settle: (key: SubscriptionKey) => Promise<void>;
  /** What the log says of one that is tried again. */
  readonly retrying: string;
}

/**
 * What is written for subscriptions without a look waiting for it: ten thousand must not wait for as many writes. A crash loses nothing: at the next start
 * every subscription is looked at.
 */
export function laterWrites({ clock, log }: SubscriptionParts, { settle, retrying }: LaterWrite): WorkQueue<SubscriptionKey> {
  return new WorkQueue({
    clock,
    namespaceOf: (key) => refOfKey(key).namespace,
    work: settle,
    onFailure: (key, error) => {
      const { namespace, name } = refOfKey(key);
      log.warn({ err: error, subscription: `${namespace}/${name}` }, retrying);
    },
  });
}
