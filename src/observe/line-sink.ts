import { write, writeSync } from "node:fs";
import type { Clock } from "../lib/clock.ts";

/** A line waits at most so long for others to go with it, ms; the first after a silence does not wait. */
export const LINE_WAITS_MS = 100;
/** What has gathered to this goes at once, in characters. */
const GATHERED_CHARS_MAX = 64 * 1024;
/** Held while the other end does not read; more is dropped and counted, so that a stuck reader costs lines and not memory, in characters. */
export const HELD_CHARS_MAX = 4 * 1024 * 1024;
/** The other end's buffer is full: tried again after this, ms. */
const FULL_RETRY_MS = 20;

export interface LineSinkOptions {
  readonly fd: number;
  readonly clock: Pick<Clock, "after" | "afterPoll">;
  /** The line that tells of lines that were dropped. */
  readonly lost: (lines: number) => string;
}

/**
 * Writes lines to a file descriptor: each within LINE_WAITS_MS; urgent ones, and the first after a silence, at the end of the turn of the event loop.
 * So a quiet log is told at once, a busy one costs ten writes a second, and a storm of warnings one a turn and not one a line. Nothing wakes while
 * nothing waits, and one write is under way at a time, so lines keep their order.
 * A crash loses what has gathered; `flush` writes it out.
 */
export class LineSink {
  readonly #options: LineSinkOptions;
  #lines: string[] = [];
  #chars = 0;
  /** Given to the kernel and not taken yet. */
  #writing: Buffer | undefined;
  #dropped = 0;
  #cancelTimer: (() => void) | undefined;
  #soon = false;
  /** Lines wait for nothing but the write that is under way. */
  #isOverdue = false;

  constructor(options: LineSinkOptions) {
    this.#options = options;
  }

  write(line: string, isUrgent: boolean): void {
    if (this.#chars + (this.#writing?.length ?? 0) + line.length > HELD_CHARS_MAX) {
      this.#dropped += 1;
      return;
    }
    this.#lines.push(line);
    this.#chars += line.length;
    if (this.#chars >= GATHERED_CHARS_MAX) this.#start();
    else if (isUrgent || this.#cancelTimer === undefined) this.#startSoon();
  }

  /** Writes out what is held before it returns, for the end of the process; what the other end does not take now is lost. */
  flush(): void {
    this.#stopTimer();
    let bytes: Uint8Array = Buffer.from(this.#gathered());
    try {
      while (bytes.length > 0) bytes = bytes.subarray(writeSync(this.#options.fd, bytes));
    } catch {
      // There is nobody left to tell.
    }
  }

  #startSoon(): void {
    if (this.#soon) return;
    this.#soon = true;
    this.#options.clock.afterPoll(() => {
      this.#soon = false;
      this.#start();
    });
  }

  /** What comes after this waits for LINE_WAITS_MS. */
  #start(): void {
    this.#stopTimer();
    if (this.#lines.length === 0) return;
    this.#isOverdue = this.#writing !== undefined;
    if (this.#isOverdue) return;
    this.#cancelTimer = this.#options.clock.after(LINE_WAITS_MS, () => this.#start());
    this.#writing = Buffer.from(this.#gathered());
    this.#go();
  }

  #go(): void {
    const bytes = this.#writing;
    if (bytes === undefined) return;
    write(this.#options.fd, bytes, (error, written) => {
      if (error?.code === "EAGAIN") {
        this.#options.clock.after(FULL_RETRY_MS, () => this.#go());
        return;
      }
      // Any other error: these bytes cannot be written, and those after them deserve their own try.
      this.#writing = error === null && written < bytes.length ? bytes.subarray(written) : undefined;
      if (this.#writing !== undefined) this.#go();
      else if (this.#isOverdue) this.#start();
    });
  }

  #gathered(): string {
    const text = this.#lines.join("") + (this.#dropped > 0 ? this.#options.lost(this.#dropped) : "");
    this.#lines = [];
    this.#chars = 0;
    this.#dropped = 0;
    return text;
  }

  #stopTimer(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }
}
