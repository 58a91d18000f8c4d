/** How long a read waits before a gate that nobody opens, ms: the writer may have died behind it. */
const CLOSED_MS_MAX = 100;

const CLOSED = 0;
const READING = 1;

/**
 * Makes a moment in which nobody reads, across threads. The write-ahead log can start over only while no read holds a mark in it: with readers
 * that follow each other without a gap it would grow for ever. Who makes the checkpoint closes the gate, which waits for the reads under way, and
 * the writer opens it behind its own short pass. Reads that begin afterwards find the whole log copied and do not hold it.
 */
export class ReadGate {
  readonly shared: SharedArrayBuffer;
  readonly #state: Int32Array;

  /** Without a memory to share it is a new one. */
  constructor(shared = new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT)) {
    this.shared = shared;
    this.#state = new Int32Array(shared);
  }

  /** Before a read; waits while the gate is closed, for a bounded time. */
  enter(): void {
    for (let late = false; ;) {
      Atomics.add(this.#state, READING, 1);
      if (late || Atomics.load(this.#state, CLOSED) === 0) return;
      this.leave();
      late = Atomics.wait(this.#state, CLOSED, 1, CLOSED_MS_MAX) === "timed-out";
    }
  }

  leave(): void {
    if (Atomics.sub(this.#state, READING, 1) === 1) Atomics.notify(this.#state, READING);
  }

  /** Lets no further read in and waits for those under way. False = one is still under way; the gate is closed all the same. */
  close(waitMs: number): boolean {
    Atomics.store(this.#state, CLOSED, 1);
    const reading = Atomics.load(this.#state, READING);
    return reading === 0 || Atomics.wait(this.#state, READING, reading, waitMs) !== "timed-out";
  }

  open(): void {
    Atomics.store(this.#state, CLOSED, 0);
    Atomics.notify(this.#state, CLOSED);
  }

  /** The thread that read is gone, perhaps within a read. */
  readerGone(): void {
    Atomics.store(this.#state, READING, 0);
    Atomics.notify(this.#state, READING);
  }
}
