import { Line } from "../../core/line.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../observe/log.ts";
import { WINDOW_ROWS_MAX, type DeliveryId, type ReadyDelivery, type Store } from "../../store/store.ts";
import type { EngineBounds } from "./bounds.ts";
import type { Lane } from "./lane.ts";

/** Rows due this soon are loaded too, so that a stream of retries costs one read a second. */
const LOOKAHEAD_MS = 1_000;
const RETRY_MS = 1_000;
/** A window in which every row is held already is read again after this: those rows are on their way to the store. */
const FULL_AGAIN_MS = 100;
/** Above what a subscription may always hold it gets at most this share of what is free. */
const SHARE_OF_FREE = 0.5;

export interface DueLoaderParts {
  readonly store: Pick<Store, "due">;
  readonly clock: Clock;
  readonly log: Log;
  readonly bounds: Pick<EngineBounds, "loadsMax" | "rowsMax" | "rowsPerNamespaceMax" | "rowsFloor" | "windowMax">;
  /** Rows of the lane have come (or could not be read): look at it again. */
  readonly loaded: (lane: Lane) => void;
}

/**
 * Reads due rows in windows, each row at most once in memory however often it is read. Namespaces take turns to read, and each subscription may
 * always hold some rows whatever the others hold: a crowd of backlogs makes nobody wait.
 */
export class DueLoader {
  readonly #parts: DueLoaderParts;
  /** Lanes that want to read, by namespace; namespaces in the order of their turns. */
  readonly #wanting = new Map<string, Line<Lane>>();
  /** Rows in windows or under way: a window read meanwhile may show them again. */
  readonly #held = new Set<DeliveryId>();
  readonly #heldOf = new Map<string, number>();
  #loading = 0;

  constructor(parts: DueLoaderParts) {
    this.#parts = parts;
  }

  /** Reads a window for the lane when it is its namespace's turn. */
  want(lane: Lane): void {
    if (lane.backlog.loading || lane.backlog.wantsToLoad || this.#room(lane) <= 0) return;
    lane.backlog.loadWanted();
    const line = this.#wanting.get(lane.namespace);
    if (line === undefined) {
      const first = new Line<Lane>();
      first.push(lane);
      this.#wanting.set(lane.namespace, first);
    } else line.push(lane);
    this.#go();
  }

  holds(id: DeliveryId): boolean {
    return this.#held.has(id);
  }

  /** The row is ready in the store again, or ended. */
  letGo(lane: Lane, id: DeliveryId): void {
    if (!this.#held.delete(id)) return;
    this.#count(lane, -1);
    lane.backlog.letGo(id);
  }

  /** How many more rows the lane may hold now. */
  #room(lane: Lane): number {
    const { rowsMax, rowsPerNamespaceMax, rowsFloor, windowMax } = this.#parts.bounds;
    const free = Math.min(rowsMax - this.#held.size, rowsPerNamespaceMax - (this.#heldOf.get(lane.namespace) ?? 0));
    // More than two windows help nobody: they only wait for the retry budget.
    return Math.max(rowsFloor, Math.min(Math.floor(free * SHARE_OF_FREE), 2 * windowMax)) - lane.backlog.windowRows;
  }

  #go(): void {
    while (this.#loading < this.#parts.bounds.loadsMax) {
      const lane = this.#next();
      if (lane === undefined) return;
      lane.backlog.loadGranted();
      this.#loading += 1;
      void this.#load(lane);
    }
  }

  #next(): Lane | undefined {
    const [turn] = this.#wanting;
    if (turn === undefined) return undefined;
    const [namespace, line] = turn;
    const lane = line.shift();
    this.#wanting.delete(namespace);
    if (line.length > 0) this.#wanting.set(namespace, line);
    return lane;
  }

  async #load(lane: Lane): Promise<void> {
    const { store, clock, log, bounds } = this.#parts;
    const horizonMs = clock.nowMs() + LOOKAHEAD_MS;
    const wanted = Math.max(1, Math.min(lane.backlog.windowLimit, bounds.windowMax, this.#room(lane)));
    // Rows that are held may still be in the index: the read must reach beyond them.
    const limit = Math.min(wanted + lane.backlog.held, WINDOW_ROWS_MAX);
    // What is noted or let go of from here on must not be lost: the read may not have seen it. What was before, it sees.
    lane.backlog.loadBegins();
    lane.backlog.forgetDue();
    try {
      // One row beyond the horizon tells when to look again.
      this.#take(lane, await store.due(lane.uid, Number.MAX_SAFE_INTEGER, limit), { horizonMs, limit });
    } catch (error) {
      log.warn({ err: error, subscription: lane.uid }, "due deliveries could not be read: retrying");
      lane.backlog.noteDue(clock.nowMs() + RETRY_MS);
    }
    lane.backlog.loadEnds();
    this.#loading -= 1;
    this.#parts.loaded(lane);
    this.#go();
  }

  #take(lane: Lane, rows: readonly ReadyDelivery[], asked: { readonly horizonMs: number; readonly limit: number }): void {
    const taken: ReadyDelivery[] = [];
    let beyond = false;
    for (const row of rows) {
      if (row.dueAtMs > asked.horizonMs) {
        lane.backlog.noteDue(row.dueAtMs);
        beyond = true;
        break;
      }
      if (this.#held.has(row.id) || lane.backlog.wasLetGo(row.id)) continue;
      this.#held.add(row.id);
      taken.push(row);
    }
    this.#count(lane, taken.length);
    lane.backlog.hold(taken.length);
    const last = rows.at(-1);
    const isFull = !beyond && last !== undefined && rows.length >= asked.limit;
    if (isFull) lane.backlog.noteDue(taken.length > 0 ? last.dueAtMs : Math.max(last.dueAtMs, this.#parts.clock.nowMs() + FULL_AGAIN_MS));
    lane.backlog.windowWas(isFull, this.#parts.bounds.windowMax);
    lane.backlog.addRows(taken);
  }

  #count(lane: Lane, by: number): void {
    const held = (this.#heldOf.get(lane.namespace) ?? 0) + by;
    if (held > 0) this.#heldOf.set(lane.namespace, held);
    else this.#heldOf.delete(lane.namespace);
  }
}
