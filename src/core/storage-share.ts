const MIB = 1_048_576;
const GIB = 1_024 * MIB;

/** Without a limit of its own a namespace may hold so much, or a quarter of the room where that is more. */
const DEFAULT_BYTES = GIB;
const DEFAULT_SHARE = 4;
/** What a namespace may hold whatever the others do: so much, and of a small volume a part. */
const FLOOR_BYTES = 256 * MIB;
const FLOOR_SHARE = 32;
/** Of the room so much is left to others by whoever has a limit of its own, however high that is. */
const LEFT_TO_OTHERS = 1 / 4;

/** `limits.storage` of the cluster policy that applies, bytes; `unread`: the policies have not been read since the start. */
export type StorageLimit = number | "none" | "unread";

export interface StorageQuestion {
  /** What all namespaces together may hold, bytes: the volume without what is kept free. */
  readonly roomBytes: number;
  /** What the other namespaces hold. */
  readonly othersBytes: number;
  readonly limit: StorageLimit;
}

export interface StorageShare {
  readonly bytes: number;
  /** What bounds it: the policy's limit, the default, or that others need room too. */
  readonly by: "limit" | "default" | "others";
}

/**
 * How much a namespace may hold. None is given so much that it alone could fill the volume: without a limit it may hold half of what the others leave, with
 * one all of it but a quarter of the room; and each may always hold its floor. Many at their floors can fill the volume; then free space itself is
 * what is judged (507).
 */
export function storageShare({ roomBytes, othersBytes, limit }: StorageQuestion): StorageShare {
  const room = Math.max(0, roomBytes);
  const left = Math.max(0, room - othersBytes);
  const floor = Math.min(FLOOR_BYTES, room / FLOOR_SHARE);
  const share = Math.floor(Math.max(floor, limit === "none" ? left / 2 : left - room * LEFT_TO_OTHERS));
  const wanted = limit === "none" ? Math.max(DEFAULT_BYTES, room / DEFAULT_SHARE) : limit === "unread" ? Number.POSITIVE_INFINITY : limit;
  if (share < wanted) return { bytes: share, by: "others" };
  return { bytes: Math.floor(wanted), by: limit === "none" ? "default" : "limit" };
}

/** What is kept of attempts of a namespace: all; no headers and bodies; or that, and of the last attempt only. */
export type RecordKept = "whole" | "bare" | "last";

/** Beyond its share by a quarter a namespace keeps no record of attempts that are made again. */
const LAST_ONLY_AT = 5 / 4;

/**
 * Deliveries of what was accepted go on beyond the share; what they write is then cut down, or answers of 64 KiB to ten attempts each would fill the
 * volume. The end of each delivery is always written: room for it was kept (ENDING_BYTES).
 */
export function recordKept(holdsBytes: number, share: StorageShare): RecordKept {
  if (holdsBytes <= share.bytes) return "whole";
  return holdsBytes <= share.bytes * LAST_ONLY_AT ? "bare" : "last";
}
