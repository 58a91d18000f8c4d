import {
  RESULT_BYTES_MAX,
  RESULT_ROWS_MAX,
  RESULT_TOMBSTONE_MS,
  type AcceptItem,
  type DeliveryRecord,
  type ResultDelivery,
  type StoredResult,
} from "../store.ts";
import { isPending, shown, toRecord, type DeliveryRow } from "./memory-row.ts";

interface Remembered {
  readonly namespace: string;
  readonly matched: number;
  readonly keptUntilMs: number;
  readonly tombstoneUntilMs: number;
}

/** Every id that ever was, until its tombstone is over. */
export class ResultBook {
  readonly #ids = new Map<string, Remembered>();

  add(item: AcceptItem, nowMs: number): void {
    const keptUntilMs = nowMs + item.historyRetentionMs;
    const tombstoneUntilMs = keptUntilMs + (item.maxAgeMs ?? 0) + RESULT_TOMBSTONE_MS;
    this.#ids.set(item.event.id, { namespace: item.event.namespace, matched: item.deliveries.length, keptUntilMs, tombstoneUntilMs });
  }

  /** Of each id, the namespace it is of. */
  namespaces(): string[] {
    return Array.from(this.#ids.values(), ({ namespace }) => namespace);
  }

  /** `rows` are the deliveries of the event that can still be seen, by id. */
  read(
    namespace: string,
    eventId: string,
    seen: { readonly rows: readonly DeliveryRow[]; readonly nowMs: number },
  ): StoredResult | undefined {
    const { rows, nowMs } = seen;
    const found = this.#ids.get(eventId);
    if (found === undefined || found.namespace !== namespace) return undefined;
    const count = (state: DeliveryRecord["state"]): number => rows.filter((row) => row.state === state).length;
    return {
      matched: found.matched,
      keptUntilMs: found.keptUntilMs,
      owed: rows.filter(isPending).length,
      delivered: count("delivered"),
      failed: count("failed"),
      discarded: count("discarded"),
      deliveries: withAnswers(rows.slice(0, RESULT_ROWS_MAX), nowMs),
    };
  }

  /** Ids with something still owed stay for a tombstone more. */
  drop(nowMs: number, owed: ReadonlySet<string>): void {
    for (const [id, found] of this.#ids) {
      if (found.tombstoneUntilMs > nowMs) continue;
      if (owed.has(id)) this.#ids.set(id, { ...found, tombstoneUntilMs: nowMs + RESULT_TOMBSTONE_MS });
      else this.#ids.delete(id);
    }
  }
}

function withAnswers(rows: readonly DeliveryRow[], nowMs: number): ResultDelivery[] {
  let bytesLeft = RESULT_BYTES_MAX;
  return rows.map((row) => {
    const record = toRecord(row);
    const last = isPending(row) ? undefined : row.history.at(-1);
    if (last === undefined) return { ...record, lastAttempt: undefined, answerLeftOut: false };
    const { statusCode, message, responseHeaders, responseBody } = shown(last, row, nowMs);
    bytesLeft -= JSON.stringify(responseHeaders).length + (responseBody?.length ?? 0);
    if (bytesLeft >= 0) return { ...record, lastAttempt: { statusCode, message, responseHeaders, responseBody }, answerLeftOut: false };
    return { ...record, lastAttempt: { statusCode, message, responseHeaders: [], responseBody: undefined }, answerLeftOut: true };
  });
}
