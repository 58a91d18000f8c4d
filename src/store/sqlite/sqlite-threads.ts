import { Worker } from "node:worker_threads";
import type { Clock } from "../../lib/clock.ts";
import { StoreError, type OpenOptions } from "../store.ts";
import { QuestionLine } from "./question-line.ts";
import { ReadChannel } from "./read-channel.ts";
import { ReadGate } from "./read-gate.ts";
import type {
  CheckpointData,
  FromCheckpointer,
  FromReader,
  FromWriter,
  HelperWork,
  ReaderData,
  ToCheckpointer,
  WriterData,
} from "./worker-message.ts";
import { WriteChannel } from "./write-channel.ts";

/**
 * What is new in a thread, MiB: V8 makes two halves of a third each. By itself it lets them grow to several times that before it cleans up, in
 * each thread. The writer's is larger because it cleans up three times as often with 8: 2 % of its work. Node ignores both limits when it is
 * started with `--max-semi-space-size`.
 */
export const YOUNG_MAX_MIB = { writer: 24, others: 8 } as const;

export interface ThreadParts {
  readonly writer: Omit<WriterData, "gate">;
  readonly clock: Pick<Clock, "monotonicMs" | "after">;
  readonly onCommit: OpenOptions["onCommit"];
  /** The writer or the engine's reader cannot go on; called once. */
  readonly onFatal: (error: StoreError) => void;
}

/**
 * The store's threads: the writer and the engine's reader from the beginning, people's reader and the checkpointer when they are first needed
 * (each costs 10 MB). Nobody waits for another's work: not the engine for people's questions, not either for a checkpoint's fsync.
 */
export class SqliteThreads {
  readonly writes: WriteChannel;
  readonly reads: ReadChannel;
  readonly questions: QuestionLine;
  readonly #parts: ThreadParts;
  readonly #gate: ReadGate;
  readonly #writer: Worker;
  readonly #reader: Worker;
  #peoplesReader: Worker | undefined;
  #checkpointer: Worker | undefined;
  #closing = false;
  #dead = false;

  private constructor(parts: ThreadParts, gate: ReadGate, workers: { readonly writer: Worker; readonly reader: Worker }) {
    this.#parts = parts;
    this.#gate = gate;
    this.#writer = workers.writer;
    this.#reader = workers.reader;
    this.writes = new WriteChannel(this.#writer, parts.clock, parts.onCommit);
    this.reads = new ReadChannel(this.#reader);
    this.questions = new QuestionLine(() => this.#startQuestions(), parts.clock);
    this.#writer.on("message", (message: FromWriter) => this.#fromWriter(message));
    this.#reader.on("message", (message: FromReader) => answer(this.reads, message));
    for (const worker of [this.#writer, this.#reader]) {
      worker.on("error", (error) => this.#lost(`a store thread failed: ${String(error)}`));
      worker.on("exit", () => this.#lost("a store thread ended"));
    }
  }

  /** Opens the database and starts what is always there. @throws StoreError `refused` */
  static async start(parts: ThreadParts): Promise<{ threads: SqliteThreads; opened: Extract<FromWriter, { readonly type: "opened" }> }> {
    const gate = new ReadGate();
    const writer = workerOf("write-worker.ts", { ...parts.writer, gate: gate.shared } satisfies WriterData);
    const opened = await firstMessage<FromWriter>(writer);
    if (opened.type === "refused") throw new StoreError(opened.code, opened.message);
    if (opened.type !== "opened") throw new StoreError("refused", `the writer answered ${opened.type} instead of opening`);
    const reader = workerOf("read-worker.ts", { directory: parts.writer.directory, gate: undefined } satisfies ReaderData);
    await firstMessage<FromReader>(reader);
    const threads = new SqliteThreads(parts, gate, { writer, reader });
    for (const [namespace, held] of opened.usage) threads.writes.usage.set(namespace, held);
    return { threads, opened };
  }

  /** Nothing is lost: what was asked to be written is. */
  async close(): Promise<void> {
    await this.writes.idle();
    this.#closing = true;
    const closed = new StoreError("closed", "the store is closed");
    this.questions.close(closed);
    // The writer goes last, so that it is the last connection and leaves no log behind.
    for (const worker of [this.#peoplesReader, this.#checkpointer, this.#reader, this.#writer])
      if (worker !== undefined) await ended(worker);
    this.writes.break(closed);
    this.reads.break(closed);
  }

  #fromWriter(message: FromWriter): void {
    if (message.type === "answers") this.writes.answered(message.packet);
    else if (message.type === "fatal") this.#fatal(new StoreError("unavailable", message.message));
    else if (message.type === "checkpoint" || message.type === "fillReserve") this.#help(message);
  }

  #help(work: HelperWork): void {
    if (this.#closing) return;
    this.#checkpointer ??= this.#startCheckpointer();
    this.#checkpointer.postMessage(work satisfies ToCheckpointer);
  }

  #startCheckpointer(): Worker {
    const { directory, reserveBytes, sizeMax } = this.#parts.writer;
    const worker = workerOf("checkpoint-worker.ts", { directory, reserveBytes, sizeMax, gate: this.#gate.shared } satisfies CheckpointData);
    worker.on("message", (message: FromCheckpointer) => {
      if (message.type !== "closed") this.#writer.postMessage(message);
    });
    whenGone(worker, () => {
      if (this.#closing) return;
      // The writer asks again, and meanwhile helps itself.
      this.#checkpointer = undefined;
      this.#gate.open();
      for (const type of ["checkpointed", "reserveFilled"] as const) this.#writer.postMessage({ type });
    });
    return worker;
  }

  #startQuestions(): ReadChannel {
    const data: ReaderData = { directory: this.#parts.writer.directory, gate: this.#gate.shared };
    const worker = workerOf("read-worker.ts", data);
    const channel = new ReadChannel(worker);
    this.#peoplesReader = worker;
    worker.on("message", (message: FromReader) => answer(channel, message));
    whenGone(worker, (reason) => {
      if (this.#peoplesReader !== worker || this.#closing) return;
      this.#peoplesReader = undefined;
      this.#gate.readerGone();
      this.questions.lost(new StoreError("unavailable", `the thread that reads history ended: ${reason}`));
    });
    return channel;
  }

  #lost(message: string): void {
    if (this.#closing) return;
    const error = new StoreError("unavailable", `${message}; the process must exit and reopen the store`);
    this.writes.break(error);
    this.reads.break(error);
    this.#fatal(error);
  }

  #fatal(error: StoreError): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#parts.onFatal(error);
  }
}

function answer(channel: ReadChannel, message: FromReader): void {
  if (message.type === "value" || message.type === "failed") channel.answered(message);
}

function workerOf(file: string, workerData: WriterData | ReaderData | CheckpointData): Worker {
  return new Worker(new URL(file, import.meta.url), {
    workerData,
    execArgv: [],
    resourceLimits: { maxYoungGenerationSizeMb: file === "write-worker.ts" ? YOUNG_MAX_MIB.writer : YOUNG_MAX_MIB.others },
  });
}

/** Calls once, however the thread ends. */
function whenGone(worker: Worker, fn: (reason: string) => void): void {
  let reason = "it exited";
  worker.on("error", (error) => (reason = String(error)));
  worker.once("exit", () => fn(reason));
}

/** Of a thread that has ended already. */
const NO_THREAD = -1;

async function ended(worker: Worker): Promise<void> {
  if (worker.threadId === NO_THREAD) return;
  const exit = new Promise((resolve) => worker.once("exit", resolve));
  worker.postMessage({ type: "close" });
  await exit;
}

/** The first message of a thread, or the error that ended it. */
function firstMessage<T>(worker: Worker): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (code: number): void => reject(new StoreError("refused", `a store thread ended with code ${code} before it opened`));
    worker.once("exit", stop);
    worker.once("error", reject);
    worker.once("message", (message: T) => {
      worker.off("exit", stop);
      worker.off("error", reject);
      resolve(message);
    });
  });
}
