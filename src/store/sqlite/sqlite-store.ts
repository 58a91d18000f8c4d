import { statSync } from "node:fs";
import type { Event } from "../../core/event.ts";
import { SystemClock, type ClockFrame } from "../../lib/clock.ts";
import {
  StoreError,
  type AcceptRequest,
  type AcceptResult,
  type AttemptRecord,
  type BootReport,
  type ClaimRequest,
  type Claimed,
  type Completion,
  type DeliveryFilter,
  type DeliveryId,
  type DeliveryRecord,
  type Dropped,
  type HistoryFilter,
  type HistoryPage,
  type EndAllRequest,
  type OpenOptions,
  type ParkedQueue,
  type PauseReason,
  type QueueState,
  type ReadyDelivery,
  type Resent,
  type StateEntry,
  type StateKind,
  type Store,
  type StoreHealth,
  type StoredResult,
  type UnparkRequest,
} from "../store.ts";
import { ToldTime } from "../told-time.ts";
import { UsageBook, type StorageUsage } from "../usage-book.ts";
import type { AnswerTo, Call, ReadCalls, WriteCalls } from "./calls.ts";
import { databasePath } from "./database.ts";
import { capacityBytes, freeBytes } from "./disk.ts";
import { SqliteThreads } from "./sqlite-threads.ts";

export const RESERVE_BYTES_DEFAULT = 64 * 1_048_576;
export const FREE_BYTES_MIN_DEFAULT = 128 * 1_048_576;
const NOTHING_HELD: StorageUsage = new UsageBook();

export interface SqliteStoreOptions {
  readonly directory: string;
  /** Kept aside so that completions still land when the disk is full; less when little is free. */
  readonly reserveBytes?: number;
  /** Below this much free space nothing new is accepted. */
  readonly freeBytesMin?: number;
  /** The store takes no more of its volume than this, as if that had no more; undefined = all of it. */
  readonly sizeMax?: number | undefined;
  /** Opens on NFS, CIFS, 9p, FUSE or Ceph all the same: events can be lost there. */
  readonly allowUnsafeFileSystem?: boolean;
  /** For tests: a database that is full at so many pages. */
  readonly pageCountMax?: number;
}

/**
 * The embedded store: one directory, one process, one thread that writes in groups and others that read. A resolved promise survives a
 * kill and a power loss. After `onFatal` nothing is taken any more: the process must exit and open the store again.
 */
export class SqliteStore implements Store {
  readonly #options: SqliteStoreOptions;
  readonly #time = new ToldTime();
  /** For lengths only: the store is told what time it is. */
  readonly #clock = new SystemClock();
  #threads: SqliteThreads | undefined;
  #closing: Promise<void> | undefined;
  #owner = "";
  #dead = false;

  constructor(options: SqliteStoreOptions) {
    this.#options = options;
  }

  async open(options: OpenOptions): Promise<BootReport> {
    this.#owner = options.owner;
    const { threads, opened } = await SqliteThreads.start({
      writer: {
        directory: this.#options.directory,
        nowMs: options.nowMs,
        idempotencyTtlMs: options.idempotencyTtlMs,
        reserveBytes: this.#options.reserveBytes ?? RESERVE_BYTES_DEFAULT,
        freeBytesMin: this.#options.freeBytesMin ?? FREE_BYTES_MIN_DEFAULT,
        sizeMax: this.#options.sizeMax,
        allowUnsafeFileSystem: this.#options.allowUnsafeFileSystem ?? false,
        pageCountMax: this.#options.pageCountMax,
      },
      clock: this.#clock,
      onCommit: options.onCommit,
      onFatal: (error) => {
        this.#dead = true;
        options.onFatal?.(error);
      },
    });
    this.#threads = threads;
    const { interrupted, pending, warnings, clock } = opened;
    this.#time.advanceTo(clock.nowMs);
    this.#time.setClock(clock);
    return { interrupted, pending, warnings, clock };
  }

  async close(): Promise<void> {
    this.#closing ??= this.#threads?.close();
    await this.#closing;
  }

  async accept(request: AcceptRequest): Promise<AcceptResult> {
    this.#time.advanceTo(request.nowMs);
    return this.#open().writes.accept(request);
  }

  async release(_owner: string): Promise<void> {
    this.#open();
  }

  async due(subscription: string, nowMs: number, limit: number): Promise<readonly ReadyDelivery[]> {
    return this.#read({ method: "due", args: [subscription, nowMs, limit] });
  }

  async nextDue(limit: number): Promise<readonly { readonly subscription: string; readonly dueAtMs: number }[]> {
    return this.#read({ method: "nextDue", args: [limit] });
  }

  async fresh(afterId: DeliveryId, limit: number): Promise<readonly ReadyDelivery[]> {
    return this.#read({ method: "fresh", args: [afterId, limit] });
  }

  async claimed(afterId: DeliveryId, limit: number): Promise<readonly ReadyDelivery[]> {
    return this.#read({ method: "claimed", args: [afterId, limit] });
  }

  async index(ids: readonly DeliveryId[]): Promise<void> {
    await this.#write({ method: "index", args: [ids] });
  }

  async claim(claims: readonly ClaimRequest[]): Promise<readonly (Claimed | undefined)[]> {
    return this.#open().writes.claim(claims);
  }

  async complete(completions: readonly Completion[]): Promise<readonly boolean[]> {
    for (const completion of completions) this.#time.advanceTo(completion.nowMs);
    return this.#open().writes.complete(completions);
  }

  async endAll(request: EndAllRequest): Promise<number> {
    this.#time.advanceTo(request.nowMs);
    return this.#write({ method: "endAll", args: [request] });
  }

  async resend(id: DeliveryId, nowMs: number): Promise<Resent> {
    this.#time.advanceTo(nowMs);
    return this.#write({ method: "resend", args: [id, this.#time.asOfMs] });
  }

  async setPause(subscription: string, reason: PauseReason, untilMs: number | null): Promise<void> {
    await this.#write({ method: "setPause", args: [subscription, reason, untilMs, this.#time.nowMs] });
  }

  async setForwarding(subscription: string, on: boolean): Promise<void> {
    await this.#write({ method: "setForwarding", args: [subscription, on, this.#time.nowMs] });
  }

  async parked(): Promise<readonly ParkedQueue[]> {
    return this.#read({ method: "parked", args: [] });
  }

  async unpark(request: UnparkRequest): Promise<number> {
    this.#time.advanceTo(request.nowMs);
    return this.#write({ method: "unpark", args: [request] });
  }

  async queues(): Promise<readonly QueueState[]> {
    return this.#read({ method: "queues", args: [this.#owner] });
  }

  async forgetQueue(subscription: string): Promise<void> {
    await this.#write({ method: "forgetQueue", args: [subscription, this.#time.nowMs] });
  }

  async readEvent(namespace: string, eventId: string): Promise<Event | undefined> {
    return this.#question({ method: "readEvent", args: [namespace, eventId, this.#time.asOfMs] });
  }

  async result(namespace: string, eventId: string, nowMs: number): Promise<StoredResult | undefined> {
    this.#time.advanceTo(nowMs);
    return this.#question({ method: "result", args: [namespace, eventId, this.#time.asOfMs] });
  }

  async readBody(id: DeliveryId): Promise<Event | undefined> {
    return this.#question({ method: "readBody", args: [id, this.#time.asOfMs] });
  }

  async readDelivery(id: DeliveryId): Promise<DeliveryRecord | undefined> {
    return this.#question({ method: "readDelivery", args: [id, this.#time.asOfMs] });
  }

  async deliveriesOf(eventId: string): Promise<readonly DeliveryRecord[]> {
    return this.#question({ method: "deliveriesOf", args: [eventId, this.#time.asOfMs] });
  }

  async attemptsOf(id: DeliveryId): Promise<readonly AttemptRecord[]> {
    return this.#question({ method: "attemptsOf", args: [id, this.#time.asOfMs] });
  }

  async listDeliveries(filter: DeliveryFilter): Promise<readonly DeliveryRecord[]> {
    return this.#question({ method: "listDeliveries", args: [filter, this.#time.asOfMs] });
  }

  async history(filter: HistoryFilter): Promise<HistoryPage> {
    return this.#question({ method: "history", args: [filter, this.#time.asOfMs] });
  }

  async putState(entries: readonly StateEntry[]): Promise<void> {
    await this.#write({ method: "putState", args: [entries] });
  }

  async listState(kind: StateKind): Promise<readonly { readonly key: string; readonly value: string }[]> {
    return this.#read({ method: "listState", args: [kind] });
  }

  async deleteState(kind: StateKind, key: string): Promise<void> {
    await this.#write({ method: "deleteState", args: [kind, key] });
  }

  async dropExpired(nowMs: number): Promise<Dropped> {
    this.#time.advanceTo(nowMs);
    return this.#write({ method: "dropExpired", args: [this.#time.asOf(nowMs)] });
  }

  async health(): Promise<StoreHealth> {
    // After a stall of this process answers may lie in the channel: they are taken in before anybody is called late.
    await new Promise<void>((resolve) => this.#clock.afterPoll(resolve));
    const path = databasePath(this.#options.directory);
    const size = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0;
    const freeBytesMin = this.#options.freeBytesMin ?? FREE_BYTES_MIN_DEFAULT;
    const { directory, sizeMax } = this.#options;
    const free = freeBytes(directory, sizeMax);
    const writable = this.#threads !== undefined && this.#closing === undefined && !this.#dead && free >= freeBytesMin;
    const logBytes = size(`${path}-wal`);
    const oldestWriteMs = this.#threads?.writes.oldestMs() ?? 0;
    const sizes = {
      sizeBytes: size(path) + logBytes,
      freeBytes: free,
      capacityBytes: capacityBytes(directory, sizeMax),
      freeBytesMin,
      logBytes,
    };
    return { writable, ...sizes, oldestWriteMs };
  }

  usage(): StorageUsage {
    return this.#threads?.writes.usage ?? NOTHING_HELD;
  }

  #open(): SqliteThreads {
    if (this.#threads === undefined || this.#closing !== undefined) throw new StoreError("closed", "the store is closed");
    return this.#threads;
  }

  /** What the engine asks. */
  #read<C extends Call<ReadCalls>>(call: C): Promise<AnswerTo<ReadCalls, C>> {
    return this.#open().reads.ask(call);
  }

  /** What somebody asks whom no delivery waits for. */
  #question<C extends Call<ReadCalls>>(call: C): Promise<AnswerTo<ReadCalls, C>> {
    return this.#open().questions.ask(call);
  }

  #write<C extends Call<WriteCalls>>(call: C): Promise<AnswerTo<WriteCalls, C>> {
    return this.#open().writes.call(call);
  }

  advanceTo(nowMs: number): void {
    this.#time.advanceTo(nowMs);
  }

  setClock(frame: Pick<ClockFrame, "offsetMs">): void {
    this.#time.setClock(frame);
  }
}
