import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { uuidv7 } from "../../../src/lib/random.ts";
import { IdempotencyTable } from "../../../src/store/sqlite/idempotency-table.ts";
import { RecentKeys } from "../../../src/store/sqlite/recent-keys.ts";
import { DAY_MS, dayTables, migrate } from "../../../src/store/sqlite/schema.ts";
import { seededRandom } from "../../support/sim/seeded-random.ts";

const START_MS = 20_000 * DAY_MS + 1_000;
const TTL_MS = DAY_MS;
const GENERATION = 16;

function database(): DatabaseSync {
  const db = new DatabaseSync(":memory:");
  migrate(db, "memory");
  return db;
}

function known(n: number): { eventId: string; matched: number; contentHash: Uint8Array } {
  return { eventId: uuidv7(START_MS + n), matched: n, contentHash: new Uint8Array(32).fill(n % 256) };
}

/** Keys in both generations, and in the tables by day. */
function counts(db: DatabaseSync): { readonly recent: number; readonly moved: number } {
  const rows = (table: string): number => Number(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.["n"]);
  const moved = dayTables(db, "idempotency").reduce((sum, day) => sum + rows(`idempotency_${day}`), 0);
  return { recent: rows("recent_key_a") + rows("recent_key_b"), moved };
}

describe("idempotency keys", () => {
  it("are found at every moment of a move, over restarts and rollbacks, as a map would", () => {
    const db = database();
    const random = seededRandom(7);
    const model = new Map<string, { matched: number; expiresMs: number }>();
    let table = new IdempotencyTable(db, TTL_MS, GENERATION);
    let nowMs = START_MS;
    for (let round = 0; round < 1_500; round++) {
      nowMs += random.below(600_000);
      const lost = random.below(12) === 0;
      db.exec("BEGIN");
      const mark = table.mark();
      for (let each = random.below(9); each > 0; each--) {
        const name = `key ${random.below(400)}`;
        const key = table.key("shop", name);
        const kept = model.get(name);
        const expected = kept !== undefined && kept.expiresMs > nowMs ? kept.matched : undefined;
        if (!lost) expect(table.find(key, nowMs)?.matched).toBe(expected);
        if (table.find(key, nowMs) !== undefined) continue;
        const matched = round * 10 + each;
        table.insert(key, known(matched), nowMs);
        expect(table.find(key, nowMs)?.matched).toBe(matched);
        if (!lost) model.set(name, { matched, expiresMs: nowMs + TTL_MS });
      }
      db.exec(lost ? "ROLLBACK" : "COMMIT");
      if (lost) table.undo(mark);
      else table.settle();
      if (random.below(50) === 0) table = new IdempotencyTable(db, TTL_MS, GENERATION);
      if (random.below(50) === 0) table.dropExpired(nowMs);
    }
    expect(counts(db).moved).toBeGreaterThan(100);
    expect(counts(db).recent).toBeLessThanOrEqual(2 * GENERATION);
  });

  it("say what they stood for", () => {
    const table = new IdempotencyTable(database(), TTL_MS, GENERATION);
    const first = known(3);
    table.insert(table.key("shop", "one"), first, START_MS);
    const found = () => table.find(table.key("shop", "one"), START_MS + 5);
    expect(found()).toEqual(first);
    for (let i = 0; i < 3 * GENERATION; i++) table.insert(table.key("shop", `other ${i}`), known(i), START_MS);
    expect(found()).toEqual(first);
    expect(table.find(table.key("depot", "one"), START_MS)).toBeUndefined();
    expect(table.find(table.key("shop", "one"), START_MS + TTL_MS)).toBeUndefined();
  });

  it("are all moved before the next generation is full, also when a restart began the move anew", () => {
    const db = database();
    let table = new IdempotencyTable(db, TTL_MS, GENERATION);
    for (let i = 0; i < 2 * GENERATION - 1; i++) {
      table.insert(table.key("shop", `${i}`), known(i), START_MS);
      if (i === GENERATION) table = new IdempotencyTable(db, TTL_MS, GENERATION);
    }
    expect(counts(db)).toEqual({ recent: GENERATION - 1, moved: GENERATION });
  });

  it("lie in the table of the day on which they expire, which is over no earlier", () => {
    const db = database();
    const table = new IdempotencyTable(db, TTL_MS, GENERATION);
    for (let i = 0; i < 3 * GENERATION; i++) table.insert(table.key("shop", `${i}`), known(i), START_MS + (i * DAY_MS) / GENERATION);
    expect(dayTables(db, "idempotency")).toEqual([20_001, 20_002]);
  });

  it("that nobody moves are dropped once all of their generation have expired", () => {
    const db = database();
    const table = new IdempotencyTable(db, TTL_MS, GENERATION);
    table.insert(table.key("shop", "a"), known(1), START_MS);
    table.insert(table.key("shop", "b"), known(2), START_MS + 10);
    expect(table.dropExpired(START_MS + TTL_MS + 9)).toBe(0);
    expect(table.dropExpired(START_MS + TTL_MS + 10)).toBe(2);
    expect(counts(db)).toEqual({ recent: 0, moved: 0 });
    table.insert(table.key("shop", "a"), known(3), START_MS + 2 * TTL_MS);
    expect(table.find(table.key("shop", "a"), START_MS + 2 * TTL_MS)?.matched).toBe(3);
  });

  it("of a version with longer generations are taken over", () => {
    const db = database();
    const before = new IdempotencyTable(db, TTL_MS, 4 * GENERATION);
    for (let i = 0; i < 50; i++) before.insert(before.key("shop", `${i}`), known(i), START_MS);
    const after = new IdempotencyTable(db, TTL_MS, GENERATION);
    for (let i = 0; i < 50; i++) expect(after.find(after.key("shop", `${i}`), START_MS)?.matched).toBe(i);
  });
});

describe("a generation in memory", () => {
  const key = (n: number): Buffer => Buffer.from(n.toString(16).padStart(8, "0").repeat(4), "hex");

  it("finds the last position of a key, tells keys with equal beginnings apart, and forgets all at once", () => {
    const keys = new RecentKeys(8);
    const twin = Buffer.from(key(5));
    twin[15] = 255;
    for (const each of [key(5), twin, key(9), key(5)]) keys.add(each, keys.size);
    expect([keys.find(key(5)), keys.find(twin), keys.find(key(9)), keys.find(key(8))]).toEqual([3, 1, 2, undefined]);
    expect([keys.size, keys.lastExpiresMs, keys.expiresMs(1)]).toEqual([4, 3, 1]);
    keys.clear();
    expect([keys.find(key(5)), keys.size, keys.lastExpiresMs]).toEqual([undefined, 0, 0]);
  });

  it("is full at its capacity, every place found", () => {
    const keys = new RecentKeys(64);
    for (let i = 0; i < 64; i++) expect(keys.add(key(i * 128), i)).toBe(i);
    for (let i = 0; i < 64; i++) expect(keys.find(key(i * 128))).toBe(i);
    expect(keys.find(key(1))).toBeUndefined();
    expect(() => keys.add(key(1), 0)).toThrow("64 keys");
  });

  it("gives positions in the order of keys, equal ones in the order in which they came", () => {
    const keys = new RecentKeys(8);
    for (const n of [0xffffffff, 3, 0x80000000, 3, 0]) keys.add(key(n), 0);
    expect([...keys.sorted()]).toEqual([4, 1, 3, 2, 0]);
  });
});
