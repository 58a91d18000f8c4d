import { createHash } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import { packEventId, unpackEventId } from "./event-id.ts";
import { dayTableName, dayTables, dayTableSql, expiryDay } from "./schema.ts";

const KEY_BYTES = 16;

export interface Known {
  readonly eventId: string;
  readonly matched: number;
  readonly contentHash: Uint8Array;
}

/** Idempotency keys as 16 bytes of a hash over namespace and key, one table per day of expiry: forgetting drops a table. */
export class IdempotencyTable {
  readonly #db: DatabaseSync;
  readonly #ttlMs: number;
  #days: number[] = [];
  #selects = new Map<number, ReturnType<DatabaseSync["prepare"]>>();
  #inserts = new Map<number, ReturnType<DatabaseSync["prepare"]>>();

  constructor(db: DatabaseSync, ttlMs: number) {
    this.#db = db;
    this.#ttlMs = ttlMs;
    this.reload();
  }

  reload(): void {
    this.#days = dayTables(this.#db, "idempotency").toReversed();
    this.#selects.clear();
    this.#inserts.clear();
  }

  key(namespace: string, key: string): Buffer {
    return createHash("sha256").update(`${namespace}\0${key}`).digest().subarray(0, KEY_BYTES);
  }

  find(key: Uint8Array, nowMs: number): Known | undefined {
    for (const day of this.#days) {
      let select = this.#selects.get(day);
      if (select === undefined) {
        select = this.#db.prepare(`SELECT event_id, matched, content_hash, expires FROM ${dayTableName("idempotency", day)} WHERE key = ?`);
        this.#selects.set(day, select);
      }
      const row = select.get(key);
      if (row !== undefined && Number(row["expires"]) > nowMs) {
        return { eventId: unpackEventId(row["event_id"]), matched: Number(row["matched"]), contentHash: row["content_hash"] as Uint8Array };
      }
    }
    return undefined;
  }

  insert(key: Uint8Array, known: Known, nowMs: number): void {
    const day = expiryDay(nowMs, this.#ttlMs);
    let insert = this.#inserts.get(day);
    if (insert === undefined) {
      this.#db.exec(dayTableSql("idempotency", day));
      if (!this.#days.includes(day)) this.#days = [...this.#days, day].toSorted((a, b) => b - a);
      insert = this.#db.prepare(
        `INSERT OR REPLACE INTO ${dayTableName("idempotency", day)} (key, event_id, matched, content_hash, expires) VALUES (?, ?, ?, ?, ?)`,
      );
      this.#inserts.set(day, insert);
    }
    insert.run(key, packEventId(known.eventId), known.matched, known.contentHash, nowMs + this.#ttlMs);
  }
}
