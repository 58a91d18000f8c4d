import { PIECE_BYTES } from "../lib/door/pour.ts";

/** A list whose items are made while it is written, so that an answer never lies in memory whole. */
export class StreamedList {
  readonly items: AsyncIterable<unknown> | Iterable<unknown>;
  /** Where the next page begins; asked once all items are there. */
  readonly nextCursor: () => string | null;

  constructor(items: AsyncIterable<unknown> | Iterable<unknown>, nextCursor: () => string | null = () => null) {
    this.items = items;
    this.nextCursor = nextCursor;
  }
}

/** The JSON of an answer's body, in pieces of about PIECE_BYTES: one item is in memory, and what has been made of a piece. */
export async function* answerText(body: unknown): AsyncGenerator<Buffer> {
  if (!(body instanceof StreamedList)) {
    yield Buffer.from(`${JSON.stringify(body)}\n`);
    return;
  }
  let text = '{"items":[';
  let separator = "";
  for await (const item of body.items) {
    text += separator + JSON.stringify(item);
    separator = ",";
    if (text.length < PIECE_BYTES) continue;
    yield Buffer.from(text);
    text = "";
  }
  yield Buffer.from(`${text}],"nextCursor":${JSON.stringify(body.nextCursor())}}\n`);
}
