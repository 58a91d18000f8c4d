import { hash } from "node:crypto";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { packEventId, unpackEventId } from "./event-id.ts";
import { KeySieve } from "./key-sieve.ts";
import { KEY_BYTES, RecentKeys } from "./recent-keys.ts";
import { DAY_MS, dayTableName, dayTables, dayTableSql } from "./schema.ts";

/** Keys of one generation: the more, the more of them share a page when they are moved. */
const GENERATION_KEYS = 65_536;
/** Keys of a day from before the start that are read with each new key, until its sieve knows all: a million of them take 62,500 new keys. */
const KEYS_READ_EACH = 16;

export interface Known {
  readonly eventId: string;
  readonly matched: number;
  readonly contentHash: Uint8Array;
}

const COLUMNS = "key, event_id, matched, content_hash, expires";

/** Keys in the order in which they came, in the file and in memory. */
interface Generation {
  readonly table: string;
  keys: RecentKeys;
  readonly insert: StatementSync;
  readonly select: StatementSync;
  /** Row number of the first key; later rows count on from it. */
  base: number;
}

interface GenerationMark {
  readonly generation: Generation;
  readonly keys: RecentKeys;
  readonly size: number;
  readonly base: number;
}

interface IdempotencyMark {
  readonly filling: GenerationMark;
  readonly full: GenerationMark;
  readonly order: Uint32Array;
  readonly done: number;
  readonly days: number[];
}

/** What is being moved from a full generation to the tables by day: positions by key, and how many are done. */
interface Move {
  readonly order: Uint32Array;
  done: number;
}

/**
 * Idempotency keys as 16 bytes of a hash over namespace and key. A key is random, so a tree of them is written all over: a commit of 300 keys
 * wrote 300 pages. New keys are therefore appended to the filling one of two generations, whose keys are also in memory; a full one is moved,
 * in the order of its keys and a few with each new one, to the tables by day of expiry, which are dropped day by day. A key is always in one
 * of the three; a crash begins the move anew, which changes nothing. Which keys a day may have a sieve knows: hardly any key that is new is asked of
 * a table.
 */
export class IdempotencyTable {
  readonly #db: DatabaseSync;
  readonly #ttlMs: number;
  #days: number[] = [];
  #selects = new Map<number, StatementSync>();
  #moves = new Map<string, StatementSync>();
  /** By day. May know keys of a transaction that was undone: then a table is asked in vain. */
  readonly #sieves = new Map<number, KeySieve>();
  #filling: Generation;
  #full: Generation;
  #move: Move = { order: new Uint32Array(0), done: 0 };

  /** `generationKeys` is a power of two. */
  constructor(db: DatabaseSync, ttlMs: number, generationKeys = GENERATION_KEYS) {
    this.#db = db;
    this.#ttlMs = ttlMs;
    this.#filling = makeGeneration(db, "recent_key_a", generationKeys);
    this.#full = makeGeneration(db, "recent_key_b", generationKeys);
    this.forgetDays();
    for (const generation of [this.#filling, this.#full]) load(this.#db, generation);
    if (this.#full.base > this.#filling.base) this.#swap();
    this.#move = { order: this.#full.keys.sorted(), done: 0 };
  }

  mark(): IdempotencyMark {
    const stateOf = (generation: Generation): GenerationMark => {
      const { keys, base } = generation;
      return { generation, keys, size: keys.size, base };
    };
    const { order, done } = this.#move;
    return { filling: stateOf(this.#filling), full: stateOf(this.#full), order, done, days: this.#days };
  }

  /** A few references and the keys that came since: not the file, which may hold a hundred thousand. */
  undo(mark: IdempotencyMark): void {
    for (const { generation, keys, size, base } of [mark.filling, mark.full]) {
      keys.truncate(size);
      generation.keys = keys;
      generation.base = base;
    }
    this.#filling = mark.filling.generation;
    this.#full = mark.full.generation;
    this.#move = { order: mark.order, done: mark.done };
    if (this.#days === mark.days) return;
    this.#days = mark.days;
    this.#selects.clear();
    this.#moves.clear();
  }

  settle(): void {
    this.#filling.keys.settle();
    this.#full.keys.settle();
  }

  /** Days have been dropped. */
  forgetDays(): void {
    this.#days = dayTables(this.#db, "idempotency").toReversed();
    this.#selects.clear();
    this.#moves.clear();
    for (const day of this.#sieves.keys()) if (!this.#days.includes(day)) this.#sieves.delete(day);
    for (const day of this.#days) if (!this.#sieves.has(day)) this.#sieves.set(day, new KeySieve({ isComplete: false }));
  }

  key(namespace: string, key: string): Buffer {
    return hash("sha256", `${namespace}\0${key}`, "buffer").subarray(0, KEY_BYTES);
  }

  find(key: Uint8Array, nowMs: number): Known | undefined {
    for (const { keys, select, base } of [this.#filling, this.#full]) {
      const position = keys.find(key);
      if (position !== undefined && keys.expiresMs(position) > nowMs) return toKnown(select.get(base + position));
    }
    for (const day of this.#days) {
      if (this.#sieves.get(day)?.mayHave(key) === false) continue;
      let select = this.#selects.get(day);
      if (select === undefined) {
        select = this.#db.prepare(`SELECT ${COLUMNS} FROM ${dayTableName("idempotency", day)} WHERE key = ?`);
        this.#selects.set(day, select);
      }
      const row = select.get(key);
      if (row !== undefined && Number(row["expires"]) > nowMs) return toKnown(row);
    }
    return undefined;
  }

  /** Answers the day on which it goes. */
  insert(key: Uint8Array, known: Known, nowMs: number): number {
    if (this.#filling.keys.size === this.#filling.keys.capacity) this.#turn();
    const { keys, insert, base } = this.#filling;
    const expiresMs = nowMs + this.#ttlMs;
    const position = keys.add(key, expiresMs);
    insert.run(base + position, key, packEventId(known.eventId), known.matched, known.contentHash, expiresMs);
    this.#moveSome();
    this.#readSome();
    return Math.floor(expiresMs / DAY_MS);
  }

  /** Lets go of generations that nothing in them outlives: nobody has brought enough keys to move them. Answers how many keys went. */
  dropExpired(nowMs: number): number {
    let dropped = 0;
    for (const generation of [this.#full, this.#filling]) {
      const { keys } = generation;
      if (keys.size === 0 || keys.lastExpiresMs > nowMs) continue;
      dropped += keys.size;
      this.#empty(generation);
      if (generation === this.#full) this.#move = { order: new Uint32Array(0), done: 0 };
    }
    return dropped;
  }

  /** The filling one is full: it is moved from now on, and the other, which is empty by now, takes its place. */
  #turn(): void {
    while (this.#full.keys.size > 0) this.#moveSome();
    this.#swap();
    this.#filling.base = this.#full.base + this.#full.keys.size;
    this.#move = { order: this.#full.keys.sorted(), done: 0 };
  }

  #swap(): void {
    [this.#filling, this.#full] = [this.#full, this.#filling];
  }

  /** As many as are needed to be done before the filling one is full, and at least two. */
  #moveSome(): void {
    const { order } = this.#move;
    const left = order.length - this.#move.done;
    if (left === 0) return;
    const room = this.#filling.keys.capacity - this.#filling.keys.size;
    const until = Math.min(order.length, this.#move.done + Math.max(2, Math.ceil(left / Math.max(1, room))));
    for (; this.#move.done < until; this.#move.done++) {
      const position = order[this.#move.done] ?? 0;
      const day = Math.floor(this.#full.keys.expiresMs(position) / DAY_MS);
      this.#moveStatement(day).run(this.#full.base + position);
      this.#sieves.get(day)?.add(this.#full.keys.at(position));
    }
    if (until === order.length) this.#empty(this.#full);
  }

  #moveStatement(day: number): StatementSync {
    const from = this.#full.table;
    const known = this.#moves.get(`${from} ${day}`);
    if (known !== undefined) return known;
    const name = dayTableName("idempotency", day);
    this.#db.exec(dayTableSql("idempotency", day));
    if (!this.#days.includes(day)) {
      this.#days = [...this.#days, day].toSorted((a, b) => b - a);
      this.#sieves.set(day, this.#sieves.get(day) ?? new KeySieve({ isComplete: true }));
    }
    const statement = this.#db.prepare(`INSERT OR REPLACE INTO ${name} (${COLUMNS}) SELECT ${COLUMNS} FROM ${from} WHERE seq = ?`);
    this.#moves.set(`${from} ${day}`, statement);
    return statement;
  }

  /** Some keys of a day that was there before the start, for its sieve. */
  #readSome(): void {
    for (const [day, sieve] of this.#sieves) {
      if (sieve.isComplete) continue;
      const rows = this.#db
        .prepare(`SELECT key FROM ${dayTableName("idempotency", day)} WHERE key > ? ORDER BY key LIMIT ${KEYS_READ_EACH}`)
        .all(sieve.readUpTo);
      sieve.read(
        rows.map((row) => row["key"] as Uint8Array),
        rows.length < KEYS_READ_EACH,
      );
      return;
    }
  }

  #empty(generation: Generation): void {
    this.#db.exec(`DELETE FROM ${generation.table}`);
    generation.base += generation.keys.size;
    // Others in place of emptied ones: a rollback needs them as they were.
    generation.keys = new RecentKeys(generation.keys.capacity);
  }
}

function makeGeneration(db: DatabaseSync, table: string, capacity: number): Generation {
  db.exec(`CREATE TABLE IF NOT EXISTS ${table} (
    seq INTEGER PRIMARY KEY, key BLOB NOT NULL, event_id BLOB NOT NULL, matched INTEGER NOT NULL, content_hash BLOB NOT NULL, expires INTEGER NOT NULL)`);
  return {
    table,
    keys: new RecentKeys(capacity),
    insert: db.prepare(`INSERT INTO ${table} (seq, ${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)`),
    select: db.prepare(`SELECT ${COLUMNS} FROM ${table} WHERE seq = ?`),
    base: 1,
  };
}

function load(db: DatabaseSync, generation: Generation): void {
  const { table } = generation;
  const count = Number(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.["n"]);
  // Another version may have made generations longer.
  if (count > generation.keys.capacity) generation.keys = new RecentKeys(2 ** Math.ceil(Math.log2(count)));
  const { keys } = generation;
  keys.clear();
  const rows = db.prepare(`SELECT seq, key, expires FROM ${table} ORDER BY seq`);
  generation.base = 0;
  for (const row of rows.iterate()) {
    if (keys.size === 0) generation.base = Number(row["seq"]);
    keys.add(row["key"] as Uint8Array, Number(row["expires"]));
  }
}

function toKnown(row: Record<string, unknown> | undefined): Known | undefined {
  if (row === undefined) return undefined;
  return { eventId: unpackEventId(row["event_id"]), matched: Number(row["matched"]), contentHash: row["content_hash"] as Uint8Array };
}
