import type { Event } from "../../core/event.ts";
import type { DeliveryId } from "../../store/store.ts";
import type { EngineBounds } from "./bounds.ts";
import type { IngestPace } from "./ingest-pace.ts";
import type { Lane } from "./lane.ts";
import type { Waiting } from "./lane-backlog.ts";

type Bounds = Pick<EngineBounds, "freshMax" | "freshBytesMax" | "freshPerLaneMin" | "aheadMax">;

/** A subscription may hold this share of what is free. */
const SHARE_OF_FREE = 0.5;
/** What a held delivery takes beside its body, bytes. */
const FRESH_OVERHEAD_BYTES = 400;

/**
 * The memory of fresh deliveries: committed, in no due index, known to nobody but us until they are claimed. Room is promised before the commit
 * and given back when the delivery leaves memory. A crash loses nothing: the next start reads them from the store.
 */
export class FreshMemory {
  readonly #bounds: Bounds;
  readonly #pace: Pick<IngestPace, "left">;
  /** Those that have an id: in memory, or on their way to a claim or into the due index. */
  readonly #ids = new Set<DeliveryId>();
  /** Held or promised, and their bytes. */
  #held = 0;
  #heldBytes = 0;
  /** Of those held or promised, the ones whose claim is written with their accept. */
  #ahead = 0;

  constructor(bounds: Bounds, pace: Pick<IngestPace, "left">) {
    this.#bounds = bounds;
    this.#pace = pace;
  }

  holds(id: DeliveryId): boolean {
    return this.#ids.has(id);
  }

  /** Whether the lane may have room for one more. */
  fits(lane: Lane, event: Event): boolean {
    const { freshMax, freshBytesMax, freshPerLaneMin } = this.#bounds;
    const heldBytes = this.#heldBytes + bytesOf(event);
    if (this.#held >= freshMax || heldBytes > freshBytesMax) return false;
    if (lane.backlog.freshReserved < freshPerLaneMin) return true;
    const freeShare = Math.min(1 - this.#held / freshMax, 1 - heldBytes / freshBytesMax) * SHARE_OF_FREE;
    return lane.backlog.freshReserved < freshMax * freeShare;
  }

  /** Whether the accept may write the claim too, of one that must wait: its turn comes soon, as things are. */
  mayClaim(lane: Lane, nowMs: number): boolean {
    const free = this.#bounds.aheadMax - this.#ahead;
    return lane.backlog.freshClaimed < free * SHARE_OF_FREE && lane.backlog.isMoving(nowMs);
  }

  /** Room for one that is being accepted; `isClaimed`: its claim is written with it. */
  promise(lane: Lane, event: Event | undefined, isClaimed = false): void {
    lane.backlog.reserveFresh(isClaimed);
    if (isClaimed) this.#ahead += 1;
    this.#held += 1;
    this.#heldBytes += bytesOf(event);
  }

  /** One that was promised room was not accepted. */
  breakPromise(lane: Lane, event: Event | undefined, isClaimed = false): void {
    lane.backlog.releaseFresh(isClaimed);
    if (isClaimed) this.#ahead -= 1;
    this.#held -= 1;
    this.#heldBytes -= bytesOf(event);
    this.#pace.left(lane);
  }

  /** One that was promised room is committed, and waits in the lane. */
  put(lane: Lane, waiting: Waiting): void {
    this.#ids.add(waiting.id);
    lane.backlog.addFresh(waiting);
  }

  /** One of the last process came back, or one that was forgotten; its body comes with the claim. */
  restored(lane: Lane, waiting: Waiting): void {
    // A start that failed half-way is made again.
    if (this.#ids.has(waiting.id)) return;
    this.put(lane, waiting);
    this.promise(lane, undefined);
  }

  /** One left memory. */
  taken(lane: Lane, waiting: Pick<Waiting, "id" | "event" | "isClaimed">): void {
    this.#ids.delete(waiting.id);
    this.breakPromise(lane, waiting.event, waiting.isClaimed);
  }
}

function bytesOf(event: Event | undefined): number {
  return FRESH_OVERHEAD_BYTES + (event?.data.length ?? 0);
}
