import type { Socket } from "node:net";
import { AnswerHead } from "./answer-head.ts";

/**
 * Most bytes read for one request, interim answers, heads, framing and trailers included. An attempt lets go of its socket long before
 * (16 KiB of head, 64 KiB of body); this ends what never becomes head or body: a reason, a chunk extension or trailers without end.
 */
export const ANSWER_BYTES_MAX = 128 * 1024;
/**
 * The parser gets at most this much at once. It looks at its own limits only between two pieces' callbacks and reports each header beyond
 * them anew: in pieces of 64 KiB, fifty receivers with headers without end hold the loop for three seconds.
 */
const PIECE_BYTES_MAX = 1024;

/** The receiver sends and sends, and nothing of it ends an answer. */
class AnswerTooLong extends Error {
  override readonly name = "AnswerTooLong";
  readonly code = "ANSWER_TOO_LONG";
}

/**
 * Gives what the receiver sends to undici in small pieces, heads in the form that its parser takes, and has the socket destroyed with code
 * ANSWER_TOO_LONG once more than the limit was read since something was last written to it. @returns the same socket.
 */
export function limitAnswers<T extends Socket>(socket: T): T {
  const read = socket.read.bind(socket) as (size?: number) => Buffer | null;
  const head = new AnswerHead();
  let writtenBytes = socket.bytesWritten;
  let answerBytes = 0;
  const next = (size?: number): Buffer | null => {
    if (socket.destroyed) return null;
    const chunk = read(size ?? (socket.readableLength > PIECE_BYTES_MAX ? PIECE_BYTES_MAX : undefined));
    if (chunk === null) return null;
    if (socket.bytesWritten !== writtenBytes) {
      writtenBytes = socket.bytesWritten;
      answerBytes = 0;
      head.begin();
    }
    answerBytes += chunk.length;
    if (answerBytes <= ANSWER_BYTES_MAX) return head.corrected(chunk);
    socket.destroy(new AnswerTooLong(`more than ${ANSWER_BYTES_MAX} bytes without the end of an answer`));
    return null;
  };
  socket.read = (size?: number): Buffer | null => {
    let piece = next(size);
    // What waits for the byte after it is nothing yet; the parser must not take it for the end of what there is.
    while (piece?.length === 0) piece = next(size);
    return piece;
  };
  return socket;
}
