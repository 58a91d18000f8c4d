import { LONE_CRASHES_MAX } from "../../core/delivery.ts";
import { WINDOW_ROWS_MAX, type AcceptItem, type DeliveryId, type NewDelivery, type ReadyDelivery } from "../store.ts";
import { interruptedAttempt, type OwnerlessAttempt } from "../interrupted-attempt.ts";
import type { ToldTime } from "../told-time.ts";
import { bump, deadLetterOf, emptyQueue, endRow, isPending, newRow, toReady, type DeliveryRow, type QueueRow } from "./memory-row.ts";
import type { MemoryUsage } from "./memory-usage.ts";
import { OrderBook } from "./order-book.ts";

/** Deliveries from their acceptance until they are forgotten, and the queues that count them. */
export class DeliveryBook {
  readonly rows = new Map<DeliveryId, DeliveryRow>();
  readonly queues = new Map<string, QueueRow>();
  readonly #order = new OrderBook();
  readonly #usage: MemoryUsage;
  readonly #time: Pick<ToldTime, "nowMs" | "asOfMs">;
  #lastId = 0;

  constructor(usage: MemoryUsage, time: Pick<ToldTime, "nowMs" | "asOfMs">) {
    this.#usage = usage;
    this.#time = time;
  }

  /** A delivery of an event that has just been accepted. */
  accept(item: AcceptItem, delivery: NewDelivery, nowMs: number): DeliveryId {
    const row = newRow(++this.#lastId, item, delivery, nowMs);
    this.#order.add(row);
    return this.#owe(row);
  }

  log(row: DeliveryRow, attempt: OwnerlessAttempt, expiresAtMs: number, bodiesUntilMs = expiresAtMs): void {
    const { id: deliveryId, eventId, eventType, subscription, namespace } = row;
    const record = { ...attempt, deliveryId, eventId, eventType, subscription, namespace };
    this.#usage.attempt(namespace, record);
    row.history = [...row.history, { attempt: record, expiresAtMs, bodiesUntilMs }];
  }

  /** Makes a row final and counts it; a failed one may leave a dead letter. */
  end(row: DeliveryRow, how: Parameters<typeof endRow>[1]): void {
    endRow(row, how);
    this.#order.remove(row);
    const queue = this.queueOf(row.subscription, row.namespace);
    queue.pending -= 1;
    this.#usage.add(row.namespace, 0, -1);
    bump(queue, how.state);
    if (how.state === "failed" && queue.forwards) this.#owe(deadLetterOf(row, ++this.#lastId, how.reason));
  }

  /** The process ended during its attempt. */
  interrupt(row: DeliveryRow, nowMs: number): void {
    this.log(row, interruptedAttempt(row.attempt, row.dueAtMs), nowMs + row.historyRetentionMs);
    // It may never have reached the receiver: it uses up nothing.
    row.cutOff += 1;
    row.crashes += 1;
    if (row.lone) row.loneCrashes += 1;
    if (row.loneCrashes >= LONE_CRASHES_MAX) {
      this.end(row, { state: "failed", reason: "Quarantined", nowMs, retentionMs: row.historyRetentionMs });
      return;
    }
    Object.assign(row, { state: "ready", indexed: true, dueAtMs: nowMs, lone: false });
  }

  /** The queue of a subscription, made on first use. */
  queueOf(subscription: string, namespace: string): QueueRow {
    const found = this.queues.get(subscription) ?? emptyQueue(subscription, namespace, this.#time.nowMs);
    if (found.namespace === "") found.namespace = namespace;
    this.queues.set(subscription, found);
    return found;
  }

  /** Whether one of its order key before it has not ended. */
  isBehind(row: DeliveryRow): boolean {
    return this.#order.isBehind(row);
  }

  claimed(): DeliveryRow[] {
    return [...this.rows.values()].filter((row) => row.state === "claimed");
  }

  pending(): number {
    return [...this.rows.values()].filter(isPending).length;
  }

  /** What the due index holds. */
  indexed(): DeliveryRow[] {
    return [...this.rows.values()].filter((row) => row.state === "ready" && row.indexed && !this.isBehind(row));
  }

  /** A window by id of what is wanted. */
  byId(wanted: (row: DeliveryRow) => boolean, afterId: DeliveryId, limit: number): ReadyDelivery[] {
    const rows = [...this.rows.values()].filter((row) => row.id > afterId && wanted(row)).toSorted((a, b) => a.id - b.id);
    return rows.slice(0, Math.min(limit, WINDOW_ROWS_MAX)).map(toReady);
  }

  /** What is not past its retention. */
  visible(): DeliveryRow[] {
    return [...this.rows.values()].filter((row) => this.#isVisible(row));
  }

  findVisible(id: DeliveryId): DeliveryRow | undefined {
    const row = this.rows.get(id);
    return row !== undefined && this.#isVisible(row) ? row : undefined;
  }

  #isVisible({ expiresAtMs }: DeliveryRow): boolean {
    return expiresAtMs === undefined || expiresAtMs > this.#time.asOfMs;
  }

  #owe(row: DeliveryRow): DeliveryId {
    this.rows.set(row.id, row);
    this.#usage.row(row);
    const queue = this.queueOf(row.subscription, row.namespace);
    queue.pending += 1;
    bump(queue, "accepted");
    return row.id;
  }
}
