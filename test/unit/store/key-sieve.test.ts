import { hash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { uuidv7 } from "../../../src/lib/random.ts";
import { IdempotencyTable } from "../../../src/store/sqlite/idempotency-table.ts";
import { KeySieve } from "../../../src/store/sqlite/key-sieve.ts";
import { KEY_BYTES } from "../../../src/store/sqlite/recent-keys.ts";
import { DAY_MS, migrate } from "../../../src/store/sqlite/schema.ts";

const key = (n: number): Uint8Array => hash("sha256", `key ${n}`, "buffer").subarray(0, KEY_BYTES);

describe("a sieve", () => {
  it("knows every key that it was given, and few others, over three parts", () => {
    const sieve = new KeySieve({ isComplete: true });
    const KEYS = 250_000;
    for (let n = 0; n < KEYS; n++) sieve.add(key(n));
    for (let n = 0; n < KEYS; n += 7) expect(sieve.mayHave(key(n))).toBe(true);
    let wrong = 0;
    for (let n = KEYS; n < KEYS + 20_000; n++) if (sieve.mayHave(key(n))) wrong += 1;
    expect(wrong / 20_000).toBeLessThan(0.02);
  });

  it("says no of none until it has read all that were there", () => {
    const sieve = new KeySieve({ isComplete: false });
    expect(sieve.mayHave(key(1))).toBe(true);
    sieve.read([key(1), key(2)], false);
    sieve.add(key(3));
    expect([sieve.mayHave(key(9)), sieve.readUpTo]).toEqual([true, key(2)]);
    sieve.read([], true);
    expect([1, 2, 3, 9].map((n) => sieve.mayHave(key(n)))).toEqual([true, true, true, false]);
  });

  it("that is empty says no", () => {
    expect(new KeySieve({ isComplete: true }).mayHave(key(1))).toBe(false);
  });
});

describe("a table of keys with sieves", () => {
  const NOW_MS = 20_000 * DAY_MS;
  const GENERATION = 64;

  /** A database that counts how often a day's table is asked for a key. */
  function counted(): { db: DatabaseSync; asked: () => number } {
    const db = new DatabaseSync(":memory:");
    migrate(db, "memory");
    let asked = 0;
    const prepare = db.prepare.bind(db);
    db.prepare = (sql) => {
      const statement = prepare(sql);
      if (!/FROM idempotency_\d+ WHERE key = /.test(sql)) return statement;
      const get = statement.get.bind(statement);
      statement.get = ((...args: Parameters<typeof get>) => {
        asked += 1;
        return get(...args);
      }) as typeof statement.get;
      return statement;
    };
    return { db, asked: () => asked };
  }

  const known = { eventId: uuidv7(NOW_MS), matched: 1, contentHash: new Uint8Array(32) };

  function bring(table: IdempotencyTable, from: number, to: number): void {
    for (let n = from; n < to; n++) {
      expect(table.find(table.key("shop", `${n}`), NOW_MS)).toBeUndefined();
      table.insert(table.key("shop", `${n}`), known, NOW_MS);
    }
  }

  it("asks no table for keys that are new, and finds those that came before", () => {
    const { db, asked } = counted();
    const table = new IdempotencyTable(db, DAY_MS, GENERATION);
    bring(table, 0, 10 * GENERATION);
    expect(asked()).toBeLessThanOrEqual(3);
    for (let n = 0; n < 10 * GENERATION; n++) expect(table.find(table.key("shop", `${n}`), NOW_MS)).toEqual(known);
  });

  it("after a start asks until what was there has been read, a few keys with each new one, and finds all of it at every moment", () => {
    const { db, asked } = counted();
    bring(new IdempotencyTable(db, DAY_MS, GENERATION), 0, 10 * GENERATION);
    const table = new IdempotencyTable(db, DAY_MS, GENERATION);
    const before = asked();
    bring(table, 10 * GENERATION, 12 * GENERATION);
    // 8 generations are in the table: 512 keys, 16 with each new one.
    expect(asked() - before).toBeGreaterThan(30);
    expect(asked() - before).toBeLessThan(45);
    for (let n = 0; n < 12 * GENERATION; n++) expect(table.find(table.key("shop", `${n}`), NOW_MS)).toEqual(known);
  });

  it("takes back nothing that it has read when a transaction is undone, and drops what it knows with its day", () => {
    const { db, asked } = counted();
    bring(new IdempotencyTable(db, DAY_MS, GENERATION), 0, 4 * GENERATION);
    const table = new IdempotencyTable(db, DAY_MS, GENERATION);
    for (let round = 0; round < 30; round++) {
      db.exec("BEGIN");
      const mark = table.mark();
      bring(table, 1_000, 1_010);
      db.exec("ROLLBACK");
      table.undo(mark);
    }
    const before = asked();
    bring(table, 1_000, 1_010);
    expect(asked()).toBe(before);
    for (let n = 0; n < 4 * GENERATION; n++) expect(table.find(table.key("shop", `${n}`), NOW_MS)).toEqual(known);
    db.exec("DROP TABLE idempotency_20001");
    table.forgetDays();
    expect(table.find(table.key("shop", "1"), NOW_MS)).toBeUndefined();
  });
});
