import { RESULT_BYTES_MAX, RESULT_ROWS_MAX, type ResultDelivery, type StoredResult } from "../../store/store.ts";

/** Entries of one batch's answer, of all its events together. */
export const BATCH_ROWS_MAX = 10 * RESULT_ROWS_MAX;
/** Bytes of receivers' answers held for all batches that wait. */
const HELD_BYTES_MAX = 16 * RESULT_BYTES_MAX;

/** Room for the answers of all who wait. */
export class AnswerRoom {
  #bytes = 0;

  /** False = there is none. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > HELD_BYTES_MAX) return false;
    this.#bytes += bytes;
    return true;
  }

  free(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/**
 * What a batch is told of its events, held until the last has ended: no more than one result may hold of answers, for a thousand events of a
 * thousand answers each would not fit into any memory. What does not fit is left out and says so; each event's own result has it.
 */
export class BatchResults {
  readonly #room: AnswerRoom;
  /** By event; one for each time that the batch names it. */
  readonly #known = new Map<string, (StoredResult | undefined)[]>();
  #bytes = 0;
  #rows = 0;

  constructor(room: AnswerRoom) {
    this.#room = room;
  }

  learn(id: string, known: StoredResult | undefined): void {
    const all = this.#known.get(id);
    const result = known === undefined ? undefined : { ...known, deliveries: this.#fitting(known.deliveries) };
    if (all === undefined) this.#known.set(id, [result]);
    else all.push(result);
  }

  /** In the order of the ids. Asked for once, at the end. */
  of(ids: readonly string[]): (StoredResult | undefined)[] {
    return ids.map((id) => this.#known.get(id)?.shift());
  }

  /** Nothing is held any more. */
  release(): void {
    this.#room.free(this.#bytes);
    this.#bytes = 0;
    this.#known.clear();
  }

  #fitting(deliveries: readonly ResultDelivery[]): ResultDelivery[] {
    const rows = deliveries.slice(0, BATCH_ROWS_MAX - this.#rows);
    this.#rows += rows.length;
    return rows.map((row) => {
      const bytes = bytesOf(row);
      if (bytes === 0) return row;
      if (this.#bytes + bytes > RESULT_BYTES_MAX || !this.#room.take(bytes)) return withoutAnswer(row);
      this.#bytes += bytes;
      return row;
    });
  }
}

function withoutAnswer(row: ResultDelivery): ResultDelivery {
  const { statusCode, message = "" } = row.lastAttempt ?? {};
  return { ...row, lastAttempt: { statusCode, message, responseHeaders: [], responseBody: undefined }, answerLeftOut: true };
}

function bytesOf({ lastAttempt: last }: ResultDelivery): number {
  let bytes = last?.responseBody?.length ?? 0;
  for (const [name, value] of last?.responseHeaders ?? []) bytes += name.length + value.length;
  return bytes;
}
