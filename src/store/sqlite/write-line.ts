import type { Call, WriteCalls } from "./calls.ts";
import { readOperation, type Operation } from "./message.ts";
import { PacketReader, type Packet } from "./packet.ts";
import { Fifo } from "../../lib/fifo.ts";

/** One commit takes what has gathered, up to these: whoever comes next waits for it. One that is larger alone has a commit of its own. */
export const BATCH_ROWS_MAX = 2_000;
const BATCH_OPERATIONS_MAX = 500;
const BATCH_BYTES_MAX = 4 * 1_048_576;
/** Of a commit, what the engine's own writes leave to accepts that wait. */
const ENGINE_SHARE = 0.5;

/** Rows that an accepted event, and an ended attempt, come to beside their deliveries. */
const ROWS_PER_EVENT = 2;
const ROWS_PER_COMPLETION = 2;
const ROWS_PER_ENDED = 2;
/** A step of retention has a time of its own. */
const ROWS_PER_RETENTION_STEP = 500;

/** An operation and what it weighs. */
export interface Waiting {
  readonly operation: Operation;
  readonly rows: number;
  readonly bytes: number;
}

/**
 * What waits to be written. Accepts stand in a line for each namespace, and the lines take turns: whoever brings much waits behind itself. What is
 * larger than a commit goes alone, and never twice before what is small. The engine's writes keep their order; they come first with half of each
 * commit, so that deliveries end whatever is accepted.
 */
export class WriteLine {
  readonly #engine = new Fifo<Waiting>();
  /** In the order of their turns. */
  readonly #namespaces = new Map<string, Fifo<Waiting>>();
  #lastWasLarge = false;

  push(packet: Packet): void {
    const from = new PacketReader(packet);
    while (!from.done) {
      const before = from.bytesRead;
      const operation = readOperation(from);
      const waiting = { operation, rows: rowsOf(operation), bytes: from.bytesRead - before };
      this.#lineOf(operation).push(waiting);
    }
  }

  /** The next batch; empty when nothing waits. */
  take(): Waiting[] {
    if (!this.#lastWasLarge) {
      const large = this.#takeLarge();
      if (large !== undefined) {
        this.#lastWasLarge = true;
        return [large];
      }
    }
    this.#lastWasLarge = false;
    const batch = new Batch();
    this.#takeEngine(batch);
    this.#takeInTurns(batch);
    if (batch.waiting.length > 0) return batch.waiting;
    const large = this.#takeLarge();
    return large === undefined ? [] : [large];
  }

  #takeEngine(batch: Batch): void {
    const share = this.#namespaces.size > 0 ? ENGINE_SHARE : 1;
    for (let next = this.#engine.peek(); next !== undefined && batch.fits(next, share); next = this.#engine.peek()) {
      batch.add(next);
      this.#engine.shift();
    }
  }

  /** One each, round and round, until nobody's next one fits. */
  #takeInTurns(batch: Batch): void {
    // Who has taken a turn stands behind the others, and is met again there; who does not fit keeps its place.
    for (const [namespace, line] of this.#namespaces) {
      const next = line.peek();
      if (next === undefined || isLarge(next) || !batch.fits(next, 1)) continue;
      batch.add(next);
      this.#leave(namespace, line);
    }
  }

  #takeLarge(): Waiting | undefined {
    for (const [namespace, line] of this.#namespaces) {
      const next = line.peek();
      if (next === undefined || !isLarge(next)) continue;
      this.#leave(namespace, line);
      return next;
    }
    return undefined;
  }

  /** Takes the first of a line, which goes behind the others. */
  #leave(namespace: string, line: Fifo<Waiting>): void {
    line.shift();
    this.#namespaces.delete(namespace);
    if (line.peek() !== undefined) this.#namespaces.set(namespace, line);
  }

  #lineOf(operation: Operation): Fifo<Waiting> {
    if (operation.kind !== "accept") return this.#engine;
    const { namespace } = operation.request;
    let line = this.#namespaces.get(namespace);
    if (line === undefined) {
      line = new Fifo();
      this.#namespaces.set(namespace, line);
    }
    return line;
  }
}

class Batch {
  readonly waiting: Waiting[] = [];
  #rows = 0;
  #bytes = 0;

  /** The first always fits: what is larger than a batch is one. */
  fits({ rows, bytes }: Waiting, share: number): boolean {
    if (this.waiting.length === 0) return true;
    return (
      this.waiting.length < BATCH_OPERATIONS_MAX * share &&
      this.#rows + rows <= BATCH_ROWS_MAX * share &&
      this.#bytes + bytes <= BATCH_BYTES_MAX * share
    );
  }

  add(waiting: Waiting): void {
    this.waiting.push(waiting);
    this.#rows += waiting.rows;
    this.#bytes += waiting.bytes;
  }
}

function isLarge({ rows, bytes }: Waiting): boolean {
  return rows > BATCH_ROWS_MAX || bytes > BATCH_BYTES_MAX;
}

function rowsOf(operation: Operation): number {
  switch (operation.kind) {
    case "accept":
      return operation.request.items.reduce((rows, { deliveries }) => rows + ROWS_PER_EVENT + deliveries.length, 0);
    case "claim":
      return operation.claims.length;
    case "complete":
      return operation.completions.length * ROWS_PER_COMPLETION;
    case "call":
      return rowsOfCall(operation.call);
    default:
      return 1;
  }
}

function rowsOfCall(call: Call<WriteCalls>): number {
  if (call.method === "endAll" || call.method === "unpark") return call.args[0].limit * ROWS_PER_ENDED;
  if (call.method === "putState") return call.args[0].length;
  return call.method === "dropExpired" ? ROWS_PER_RETENTION_STEP : 1;
}
