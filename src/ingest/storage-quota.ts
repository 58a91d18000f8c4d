import type { Event } from "../core/event.ts";
import { withoutData } from "../core/event.ts";
import { type RecordKept, recordKept, storageShare, type StorageLimit, type StorageShare } from "../core/storage-share.ts";
import { deliveryBytes, ENDING_BYTES, EVENT_ROW_BYTES, eventBytes, KEY_ROW_BYTES, RESULT_ROW_BYTES } from "../core/stored-bytes.ts";
import { type Refusal, refuse } from "./refusal.ts";

export interface StorageParts {
  /** What is held, as of the last write that was answered. */
  readonly usage: () => {
    readonly totalBytes: number;
    readonly totalOwed: number;
    of(namespace: string): number;
    owed(namespace: string): number;
    namespaces(): Iterable<string>;
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
    const { totalBytes, totalOwed } = usage();
    const othersBytes = totalBytes + totalOwed * ENDING_BYTES + this.#allComing - this.#holds(namespace);
    return storageShare({ roomBytes, othersBytes, limit: limitOf(namespace) });
  }

  /** Of each namespace that holds something, how much, and how much it may hold. */
  *held(): Generator<{ readonly namespace: string; readonly bytes: number; readonly limitBytes: number | undefined }> {
    for (const namespace of this.#parts.usage().namespaces())
      yield { namespace, bytes: this.#holds(namespace), limitBytes: this.shareOf(namespace)?.bytes };
  }

  /** What may be kept of an attempt that has ended now. */
  recordKept(namespace: string): RecordKept {
    const share = this.shareOf(namespace);
    return share === undefined ? "whole" : recordKept(this.#holds(namespace), share);
  }

  #refusal(namespace: string, bytes: number): Refusal | undefined {
    const share = this.shareOf(namespace);
    if (share === undefined) return undefined;
    const holds = this.#holds(namespace);
    return holds + bytes <= share.bytes ? undefined : quotaExceeded({ namespace, holds, bytes, share });
  }

  /** With what is on its way, and what the deliveries that it is owed will still write at least. */
  #holds(namespace: string): number {
    const usage = this.#parts.usage();
    return usage.of(namespace) + usage.owed(namespace) * ENDING_BYTES + this.#comingOf(namespace);
  }

  #comingOf(namespace: string): number {
    return this.#coming.get(namespace) ?? 0;
  }
}

/** What storing this will take, bytes: at once, and for the ends of its deliveries. */
export function bytesToStore(event: Event, deliveries: number, hasKey: boolean): number {
  const kept = deliveries === 0 ? withoutData(event) : event;
  const rows =
    RESULT_ROW_BYTES +
    (hasKey ? KEY_ROW_BYTES : 0) +
    deliveries * (ENDING_BYTES + deliveryBytes({ type: event.type, orderKey: undefined, recordId: undefined, note: undefined }));
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
  const detail = `Namespace ${namespace} holds ${holds} bytes of events and history (${ENDING_BYTES} of them reserved for the results of open deliveries)${more}; it may hold ${share.bytes}, ${BOUND[share.by]}. Nothing was stored. Space is freed as days of history expire (retention.bodies, retention.history); ${RAISED[share.by]}.`;
  return refuse("quota_exceeded", detail, { retryAfterSeconds: RETRY_AFTER_SECONDS });
}

const BOUND: Readonly<Record<StorageShare["by"], string>> = {
  limit: "by limits.storage of the cluster policy",
  default: "the default share of the store's volume",
  others: "its share of what other namespaces leave free on the store's volume",
};

const RAISED: Readonly<Record<StorageShare["by"], string>> = {
  limit: "the cluster's operators can raise limits.storage in the ClusterDeliveryPolicy",
  default: "the cluster's operators can set limits.storage in a ClusterDeliveryPolicy",
  others: "the cluster's operators can enlarge the volume, or set limits.storage in a ClusterDeliveryPolicy",
};
