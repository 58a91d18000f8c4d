import { statSync } from "node:fs";
import { MessageChannel, Worker } from "node:worker_threads";
import type { Event } from "../../core/event.ts";
import {
  SINGLE_OWNER_EPOCH,
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
  type Lease,
  type LeaseRequest,
  type OpenOptions,
  type ParkedQueue,
  type PauseReason,
  type QueueState,
  type ReadyDelivery,
  type StateEntry,
  type StateKind,
  type Store,
  type StoreHealth,
  type StoredResult,
  type UnparkRequest,
} from "../store.ts";
import { databasePath } from "./database.ts";
import { freeBytes } from "./disk.ts";
import { ReadChannel } from "./read-channel.ts";
import { WriteChannel } from "./write-channel.ts";
import type { FromReader, FromWriter, ReaderData, WriterData } from "./worker-message.ts";

export const RESERVE_BYTES_DEFAULT = 64 * 1_048_576;
export const FREE_BYTES_MIN_DEFAULT = 128 * 1_048_576;

export interface SqliteStoreOptions {
  readonly directory: string;
  /** Kept aside so that completions still land when the disk is full; less when little is free. */
  readonly reserveBytes?: number;
  /** Below this much free space nothing new is accepted. */
  readonly freeBytesMin?: number;
  /** Opens on NFS, CIFS, 9p, FUSE or Ceph all the same: events can be lost there. */
  readonly allowUnsafeFileSystem?: boolean;
  /** For tests: a database that is full at so many pages. */
  readonly pageCountMax?: number;
}

interface Parts {
  readonly writer: Worker;
  readonly reader: Worker;
  readonly writes: WriteChannel;
  readonly reads: ReadChannel;
}

/**
 * The embedded store: one directory, one process, one thread that writes in groups and one that reads. A resolved promise survives a
 * kill and a power loss. After `onFatal` nothing is taken any more: the process must exit and open the store again.
 */
export class SqliteStore implements Store {
  readonly capabilities = { durable: true, shared: false } as const;
  readonly #options: SqliteStoreOptions;
  #parts: Parts | undefined;
  #closing: Promise<void> | undefined;
  #owner = "";
  #onFatal: ((error: Error) => void) | undefined;
  #dead = false;
  /** The latest time a write told the store; rows past their retention are hidden as of then. */
  #nowMs = 0;

  constructor(options: SqliteStoreOptions) {
    this.#options = options;
  }

  async open(options: OpenOptions): Promise<BootReport> {
    this.#owner = options.owner;
    this.#onFatal = options.onFatal;
    this.tell(options.nowMs);
    const { port1, port2 } = new MessageChannel();
    const data: WriterData = {
      directory: this.#options.directory,
      nowMs: options.nowMs,
      idempotencyTtlMs: options.idempotencyTtlMs,
      reserveBytes: this.#options.reserveBytes ?? RESERVE_BYTES_DEFAULT,
      freeBytesMin: this.#options.freeBytesMin ?? FREE_BYTES_MIN_DEFAULT,
      allowUnsafeFileSystem: this.#options.allowUnsafeFileSystem ?? false,
      pageCountMax: this.#options.pageCountMax,
      helper: port1,
    };
    const writer = new Worker(new URL("write-worker.ts", import.meta.url), { workerData: data, transferList: [port1], execArgv: [] });
    const opened = await firstMessage<FromWriter>(writer);
    if (opened.type === "refused") throw new StoreError(opened.code, opened.message);
    if (opened.type !== "opened") throw new StoreError("refused", `the writer answered ${opened.type} instead of opening`);
    const readerData: ReaderData = { directory: this.#options.directory, helper: port2 };
    const reader = new Worker(new URL("read-worker.ts", import.meta.url), { workerData: readerData, transferList: [port2], execArgv: [] });
    await firstMessage<FromReader>(reader);
    const writes = new WriteChannel(writer, options.onCommit);
    this.#parts = { writer, reader, writes, reads: new ReadChannel(reader) };
    this.#listen(this.#parts);
    const { interrupted, pending, warnings } = opened;
    return { interrupted, pending, warnings };
  }

  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async accept(request: AcceptRequest): Promise<AcceptResult> {
    this.tell(request.nowMs);
    return this.#open().writes.accept(request);
  }

  async lease(request: LeaseRequest): Promise<readonly Lease[]> {
    if (request.prefer !== undefined) return request.prefer.map(leaseOf);
    const queues = await this.queues();
    return queues
      .filter((queue) => queue.pending > 0)
      .slice(0, request.limit)
      .map((queue) => leaseOf(queue.subscription));
  }

  async renew(_owner: string, _nowMs: number, _ttlMs: number): Promise<readonly Lease[]> {
    return (await this.queues()).map((queue) => leaseOf(queue.subscription));
  }

  async release(_owner: string): Promise<void> {
    this.#open();
  }

  async due(subscription: string, nowMs: number, limit: number): Promise<readonly ReadyDelivery[]> {
    return this.#read("due", subscription, nowMs, limit);
  }

  async nextDue(limit: number): Promise<readonly { readonly subscription: string; readonly dueAtMs: number }[]> {
    return this.#read("nextDue", limit);
  }

  async fresh(afterId: DeliveryId, limit: number): Promise<readonly ReadyDelivery[]> {
    return this.#read("fresh", afterId, limit);
  }

  async claim(claims: readonly ClaimRequest[]): Promise<readonly (Claimed | undefined)[]> {
    return this.#open().writes.claim(claims);
  }

  async complete(completions: readonly Completion[]): Promise<readonly boolean[]> {
    for (const completion of completions) this.tell(completion.nowMs);
    return this.#open().writes.complete(completions);
  }

  async endAll(request: EndAllRequest): Promise<number> {
    this.tell(request.nowMs);
    return this.#write("endAll", request);
  }

  async resend(id: DeliveryId, nowMs: number): Promise<"resent" | "not_found" | "body_gone" | "not_ended"> {
    this.tell(nowMs);
    return this.#write("resend", id, this.#nowMs);
  }

  async setPause(subscription: string, reason: PauseReason, untilMs: number | null): Promise<void> {
    await this.#write("setPause", subscription, reason, untilMs, this.#nowMs);
  }

  async setForwarding(subscription: string, on: boolean): Promise<void> {
    await this.#write("setForwarding", subscription, on, this.#nowMs);
  }

  async parked(): Promise<readonly ParkedQueue[]> {
    return this.#read("parked");
  }

  async unpark(request: UnparkRequest): Promise<number> {
    this.tell(request.nowMs);
    return this.#write("unpark", request);
  }

  async queues(): Promise<readonly QueueState[]> {
    return this.#read("queues", this.#owner);
  }

  async forgetQueue(subscription: string): Promise<void> {
    await this.#write("forgetQueue", subscription, this.#nowMs);
  }

  async readEvent(namespace: string, eventId: string): Promise<Event | undefined> {
    return this.#read("readEvent", namespace, eventId, this.#nowMs);
  }

  async result(namespace: string, eventId: string, nowMs: number): Promise<StoredResult | undefined> {
    this.tell(nowMs);
    return this.#read("result", namespace, eventId, this.#nowMs);
  }

  async readBody(id: DeliveryId): Promise<Event | undefined> {
    return this.#read("readBody", id, this.#nowMs);
  }

  async readDelivery(id: DeliveryId): Promise<DeliveryRecord | undefined> {
    return this.#read("readDelivery", id, this.#nowMs);
  }

  async deliveriesOf(eventId: string): Promise<readonly DeliveryRecord[]> {
    return this.#read("deliveriesOf", eventId, this.#nowMs);
  }

  async attemptsOf(id: DeliveryId): Promise<readonly AttemptRecord[]> {
    return this.#read("attemptsOf", id, this.#nowMs);
  }

  async listDeliveries(filter: DeliveryFilter): Promise<readonly DeliveryRecord[]> {
    return this.#read("listDeliveries", filter, this.#nowMs);
  }

  async history(filter: HistoryFilter): Promise<HistoryPage> {
    return this.#read("history", filter, this.#nowMs);
  }

  async putState(entries: readonly StateEntry[]): Promise<void> {
    await this.#write("putState", entries);
  }

  async listState(kind: StateKind): Promise<readonly { readonly key: string; readonly value: string }[]> {
    return this.#read("listState", kind);
  }

  async deleteState(kind: StateKind, key: string): Promise<void> {
    await this.#write("deleteState", kind, key);
  }

  async dropExpired(nowMs: number): Promise<Dropped> {
    this.tell(nowMs);
    return this.#write("dropExpired", nowMs);
  }

  async health(): Promise<StoreHealth> {
    const path = databasePath(this.#options.directory);
    const size = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0;
    const freeBytesMin = this.#options.freeBytesMin ?? FREE_BYTES_MIN_DEFAULT;
    const free = freeBytes(this.#options.directory);
    const writable = this.#parts !== undefined && this.#closing === undefined && !this.#dead && free >= freeBytesMin;
    return {
      writable,
      sizeBytes: size(path) + size(`${path}-wal`),
      freeBytes: free,
      freeBytesMin,
      oldestWriteMs: this.#parts?.writes.oldestMs() ?? 0,
    };
  }

  #listen(parts: Parts): void {
    parts.writer.on("message", (message: FromWriter) => {
      if (message.type === "answers") parts.writes.answered(message.packet);
      else if (message.type === "fatal") this.#fatal(new StoreError("unavailable", message.message));
    });
    parts.reader.on("message", (message: FromReader) => {
      if (message.type === "value" || message.type === "failed") parts.reads.answered(message);
    });
    for (const worker of [parts.writer, parts.reader]) {
      worker.on("error", (error) => this.#lost(parts, `a store thread failed: ${String(error)}`));
      worker.on("exit", () => {
        if (this.#closing === undefined) this.#lost(parts, "a store thread ended");
      });
    }
  }

  #lost(parts: Parts, message: string): void {
    const error = new StoreError("unavailable", `${message}; the process must exit and open the store again`);
    parts.writes.break(error);
    parts.reads.break(error);
    this.#fatal(error);
  }

  #fatal(error: StoreError): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#onFatal?.(error);
  }

  async #close(): Promise<void> {
    const parts = this.#parts;
    if (parts === undefined) return;
    await parts.writes.idle();
    // The reader goes first, so that the writer is the last connection and leaves no log behind.
    for (const worker of [parts.reader, parts.writer]) {
      const ended = new Promise((resolve) => worker.once("exit", resolve));
      worker.postMessage({ type: "close" });
      await ended;
    }
    const closed = new StoreError("closed", "the store is closed");
    parts.writes.break(closed);
    parts.reads.break(closed);
  }

  #open(): Parts {
    if (this.#parts === undefined || this.#closing !== undefined) throw new StoreError("closed", "the store is closed");
    return this.#parts;
  }

  /** The threads check nothing of each other's: the method names the type on both sides. */
  async #read<T>(method: string, ...args: unknown[]): Promise<T> {
    return (await this.#open().reads.ask(method, args)) as T;
  }

  async #write<T>(method: string, ...args: unknown[]): Promise<T> {
    return (await this.#open().writes.call(method, args)) as T;
  }

  tell(nowMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, nowMs);
  }
}

function leaseOf(subscription: string): Lease {
  return { subscription, epoch: SINGLE_OWNER_EPOCH, untilMs: Number.MAX_SAFE_INTEGER };
}

/** The first message of a thread, or the error that ended it. */
function firstMessage<T>(worker: Worker): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = (code: number): void => reject(new StoreError("refused", `a store thread ended with code ${code} before it opened`));
    worker.once("exit", ended);
    worker.once("error", reject);
    worker.once("message", (message: T) => {
      worker.off("exit", ended);
      worker.off("error", reject);
      resolve(message);
    });
  });
}
