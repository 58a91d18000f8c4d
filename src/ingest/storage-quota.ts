import type { Event } from "../core/event.ts";
import { withoutData } from "../core/event.ts";
import { storageShare, type StorageLimit, type StorageShare } from "../core/storage-share.ts";
import { deliveryBytes, EVENT_ROW_BYTES, eventBytes, KEY_ROW_BYTES, RESULT_ROW_BYTES } from "../core/stored-bytes.ts";
import { type Refusal, refuse } from "./refusal.ts";

export interface StorageParts {
  /** What is held, as of the last write that was answered. */
  readonly usage: () => {
    readonly totalBytes: number;
    of(namespace: string): number;
    entries(): Iterable<readonly [namespace: string, bytes: number]>;
  };
  /** What all namespaces together may hold, bytes; undefined where nobody knows. */
  readonly roomBytes: () => number | undefined;
  /** Of the cluster policy that applies. */
  readonly limitOf: (namespace: string) => StorageLimit;
}

/** No event takes less, bytes. */
const SMALLEST_BYTES = EVENT_ROW_BYTES + RESULT_ROW_BYTES;
/** What is over is told to try again after so long: room comes when a day of history is dropped, or a limit is raised. */
const RETRY_AFTER_SECONDS = 60;

/**
 * Whether a namespace may store more. What is on its way into the store counts as held, so that requests that come together cannot pass together.
 * Only what comes new is judged: deliveries of what was accepted go on, whatever they write.
 */
export class StorageQuota {
  readonly #parts: StorageParts;
  readonly #coming = new Map<string, number>();
  #allComing = 0;

  constructor(parts: StorageParts) {
    this.#parts = parts;
  }

  /** Why not even the smallest event would be taken now, if so. */
  full(namespace: string): Refusal | undefined {
    return this.#refusal(namespace, SMALLEST_BYTES);
  }

  /** Takes so many bytes, which must be given back once the store has answered; or why they would be too many. */
  take(namespace: string, bytes: number): Refusal | undefined {
    const refusal = this.#refusal(namespace, bytes);
    if (refusal !== undefined) return refusal;
    this.#coming.set(namespace, this.#comingOf(namespace) + bytes);
    this.#allComing += bytes;
    return undefined;
  }

  give(namespace: string, bytes: number): void {
    const left = this.#comingOf(namespace) - bytes;
    if (left > 0) this.#coming.set(namespace, left);
    else this.#coming.delete(namespace);
    this.#allComing -= bytes;
  }

  /** Undefined where it is not known how large the volume is, or where that is full: free space is judged by others. */
  shareOf(namespace: string): StorageShare | undefined {
    const roomBytes = this.#parts.roomBytes();
    if (roomBytes === undefined || roomBytes <= 0) return undefined;
    const { usage, limitOf } = this.#parts;
    const held = usage();
    const others = held.totalBytes - held.of(namespace) + this.#allComing - this.#comingOf(namespace);
    return storageShare({ roomBytes, othersBytes: others, limit: limitOf(namespace) });
  }

  /** Of each namespace that holds something, how much, and how much it may hold. */
  *held(): Generator<{ readonly namespace: string; readonly bytes: number; readonly limitBytes: number | undefined }> {
    for (const [namespace, bytes] of this.#parts.usage().entries()) yield { namespace, bytes, limitBytes: this.shareOf(namespace)?.bytes };
  }

  #refusal(namespace: string, bytes: number): Refusal | undefined {
    const share = this.shareOf(namespace);
    if (share === undefined) return undefined;
    const holds = this.#parts.usage().of(namespace) + this.#comingOf(namespace);
    return holds + bytes <= share.bytes ? undefined : quotaExceeded({ namespace, holds, bytes, share });
  }

  #comingOf(namespace: string): number {
    return this.#coming.get(namespace) ?? 0;
  }
}

/** What storing this will take at once, bytes. */
export function bytesToStore(event: Event, deliveries: number, hasKey: boolean): number {
  const kept = deliveries === 0 ? withoutData(event) : event;
  const rows =
    RESULT_ROW_BYTES +
    (hasKey ? KEY_ROW_BYTES : 0) +
    deliveries * deliveryBytes({ type: event.type, orderKey: undefined, note: undefined });
  return eventBytes(kept, JSON.stringify(event.extensions)) + rows;
}

function quotaExceeded(found: {
  readonly namespace: string;
  readonly holds: number;
  readonly bytes: number;
  readonly share: StorageShare;
}): Refusal {
  const { namespace, holds, bytes, share } = found;
  const more = bytes > SMALLEST_BYTES ? ` and would add ${bytes}` : "";
  const detail = `Namespace ${namespace} holds ${holds} bytes of events and history${more}; it may hold ${share.bytes}, ${BOUND[share.by]}: nothing was stored. Room comes by itself when a day of history is over (retention.bodies, retention.history); ${RAISED[share.by]}.`;
  return refuse("quota_exceeded", detail, { retryAfterSeconds: RETRY_AFTER_SECONDS });
}

const BOUND: Readonly<Record<StorageShare["by"], string>> = {
  limit: "by limits.storage of the cluster policy",
  default: "the default share of the store's volume",
  others: "its share of what other namespaces leave of the store's volume",
};

const RAISED: Readonly<Record<StorageShare["by"], string>> = {
  limit: "whoever runs the cluster can raise limits.storage in the ClusterDeliveryPolicy",
  default: "whoever runs the cluster can set limits.storage in a ClusterDeliveryPolicy",
  others: "whoever runs the cluster can give the volume room, or set limits.storage in a ClusterDeliveryPolicy",
};
