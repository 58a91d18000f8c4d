import type { DatabaseSync } from "node:sqlite";
import { SystemClock, type Clock } from "../../lib/clock.ts";
import { DeliveryTable } from "./delivery-table.ts";
import { EventTable } from "./event-table.ts";
import { IdempotencyTable } from "./idempotency-table.ts";
import { ParkedTable } from "./parked-table.ts";
import { QueueTable } from "./queue-table.ts";
import { ResultTable } from "./result-table.ts";
import { Retention } from "./retention.ts";
import { highestId } from "./sequence.ts";
import { UsageTable } from "./usage-table.ts";

export interface TablesMark {
  readonly queues: ReturnType<QueueTable["mark"]>;
  readonly events: number;
  readonly deliveries: ReturnType<DeliveryTable["mark"]>;
  readonly idempotency: ReturnType<IdempotencyTable["mark"]>;
  readonly results: number;
  readonly retention: number;
  readonly parked: number;
  readonly usage: number;
  readonly lastId: number;
}

/**
 * The tables that the writer writes. What they keep in memory (queues, claimed rows, the last id) is ahead of the file until the commit: `mark`
 * before, then `settle` behind the commit or `undo` behind a rollback.
 */
export class WrittenTables {
  readonly queues: QueueTable;
  readonly events: EventTable;
  readonly deliveries: DeliveryTable;
  readonly idempotency: IdempotencyTable;
  readonly results: ResultTable;
  readonly parked: ParkedTable;
  readonly retention: Retention;
  readonly usage: UsageTable;
  /** The highest number given to an event or delivery. */
  lastId: number;

  constructor(db: DatabaseSync, idempotencyTtlMs: number, generationKeys?: number, clock: Pick<Clock, "monotonicMs"> = new SystemClock()) {
    this.queues = new QueueTable(db);
    this.events = new EventTable(db);
    this.usage = new UsageTable(db);
    this.deliveries = new DeliveryTable(db, (queue, day, bytes, owed) =>
      this.usage.add(day, this.queues.byNumber(queue)?.namespace ?? "", bytes, owed),
    );
    this.idempotency = new IdempotencyTable(db, idempotencyTtlMs, generationKeys);
    this.results = new ResultTable(db);
    this.retention = new Retention(db, clock, this.usage);
    this.parked = new ParkedTable(db);
    this.lastId = highestId(db);
  }

  /** A place to come back to: at the begin of a transaction or savepoint, with nothing unflushed. */
  mark(): TablesMark {
    return {
      queues: this.queues.mark(),
      events: this.events.mark(),
      deliveries: this.deliveries.mark(),
      idempotency: this.idempotency.mark(),
      results: this.results.mark(),
      retention: this.retention.mark(),
      parked: this.parked.mark(),
      usage: this.usage.mark(),
      lastId: this.lastId,
    };
  }

  /** The file was rolled back to the mark; so is the memory, at the cost of what was changed since. */
  undo(mark: TablesMark): void {
    this.queues.undo(mark.queues);
    this.events.undo(mark.events);
    this.deliveries.undo(mark.deliveries);
    this.idempotency.undo(mark.idempotency);
    this.results.undo(mark.results);
    this.retention.undo(mark.retention);
    this.parked.undo(mark.parked);
    this.usage.undo(mark.usage);
    this.lastId = mark.lastId;
  }

  /** The transaction is durable: there is no way back. */
  settle(): void {
    this.queues.settle();
    this.events.settle();
    this.deliveries.settle();
    this.idempotency.settle();
    this.results.settle();
    this.retention.settle();
    this.usage.settle();
  }

  /** Last in every transaction and savepoint. */
  flush(): void {
    this.queues.flush();
    this.usage.flush();
  }

  /** Days have been dropped: statements on them are let go. */
  forgetDays(): void {
    this.events.forgetDays();
    this.deliveries.forgetDays();
    this.idempotency.forgetDays();
    this.results.forgetDays();
  }
}
