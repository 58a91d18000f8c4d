import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "../clock.ts";

/** Written at once at most, in bytes: so much of an answer lies in memory for a reader, and so much must go in the time he is given. */
export const PIECE_BYTES = 64 * 1024;
/** An answer that has waited so long for its reader, in all, is a slow one, ms. */
export const SLOW_ANSWER_MS = 500;

export interface Pouring {
  readonly clock: Pick<Clock, "after" | "monotonicMs">;
  /** Called once, when the reader has let it wait for SLOW_ANSWER_MS: what was held for a quick answer may be given back. */
  readonly onSlow?: () => void;
}

/**
 * Writes an answer's body as its reader takes it, a piece at a time, and ends it; the head must have been written. Between pieces the event loop turns, so
 * that a long answer holds up nobody. Resolves when all has been handed to the system, or the connection is closed. Rejects with what the making
 * of a piece threw. The door gives up readers who do not read.
 */
export async function pour(
  response: ServerResponse,
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  pouring: Pouring,
): Promise<void> {
  const wait = waiting(response, pouring);
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length; at += PIECE_BYTES) {
      if (response.destroyed) return;
      if (!response.write(piece.subarray(at, at + PIECE_BYTES))) await wait("drain");
      await nextTurn();
    }
  }
  if (response.destroyed) return;
  response.end();
  if (!response.writableFinished) await wait("finish");
}

/** Waits for the reader, and tells once that he is slow. */
function waiting(response: ServerResponse, { clock, onSlow }: Pouring): (event: "drain" | "finish") => Promise<void> {
  let leftMs = SLOW_ANSWER_MS;
  let isSlow = false;
  return async (event) => {
    const startedMs = clock.monotonicMs();
    const slow = (): void => {
      if (isSlow) return;
      isSlow = true;
      onSlow?.();
    };
    const cancel = isSlow ? undefined : clock.after(leftMs, slow);
    const over = new AbortController();
    try {
      await Promise.race([once(response, event, over), once(response, "close", over)]);
    } finally {
      over.abort();
      cancel?.();
      leftMs = Math.max(0, leftMs - (clock.monotonicMs() - startedMs));
    }
  };
}
