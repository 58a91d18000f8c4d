import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { assertSynchronous } from "../../../src/store/sqlite/database.ts";
import { prepareDirectory } from "../../../src/store/sqlite/disk.ts";
import { SqliteStore } from "../../../src/store/sqlite/sqlite-store.ts";
import { ATTEMPT, DELIVERY, OUTCOME, QUEUE } from "../../../src/store/sqlite/tables.ts";
import { StoreError } from "../../../src/store/store.ts";
import { accept, attempt, completion, delivery, event, item, NAMESPACE, START_MS } from "../../conformance/store/fixture.ts";
import { beforeRecordIds } from "../../support/store/before-record-ids.ts";
import { differences } from "../../support/store/described-columns.ts";
import { startChild, storeDirectory } from "./child-process.ts";

const OPEN = { owner: "test", nowMs: START_MS, idempotencyTtlMs: 1_000 };
const PAGE_BYTES = 8_192;

describe("the SQLite store on disk", () => {
  let directory = "";
  const opened: SqliteStore[] = [];
  const make = (overrides: object = {}): SqliteStore => {
    const store = new SqliteStore({ directory, reserveBytes: 0, freeBytesMin: 0, ...overrides });
    opened.push(store);
    return store;
  };
  beforeEach(() => {
    directory = storeDirectory();
  });
  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close();
    rmSync(directory, { recursive: true, force: true });
  });

  it("refuses a second process within 5 s, naming the directory and what to do; a kill frees it", { timeout: 20_000 }, async () => {
    const child = startChild([directory, "1"]);
    await child.said("accepted");
    const startedAtMs = performance.now();
    const refused = await make()
      .open(OPEN)
      .catch((error: unknown) => error);
    expect(performance.now() - startedAtMs).toBeLessThan(5_000);
    expect(refused).toBeInstanceOf(StoreError);
    expect(refused).toMatchObject({ code: "refused", message: expect.stringContaining(directory) });
    expect(String(refused)).toContain("stop that one first");
    child.process.kill("SIGKILL");
    await child.ended;
    await expect(make().open(OPEN)).resolves.toMatchObject({ warnings: [] });
  });

  it("refuses a schema newer than it knows and keeps the files", async () => {
    const store = make();
    await store.open(OPEN);
    await store.close();
    const db = new DatabaseSync(join(directory, "postrider.db"));
    db.exec("PRAGMA user_version = 99");
    db.close();
    await expect(make().open(OPEN)).rejects.toMatchObject({ code: "refused", message: expect.stringContaining("version 99") });
  });

  it("takes over a store of the first version: what was accepted goes on, what was logged is still told", async () => {
    const store = make();
    await store.open(OPEN);
    const [done = 0, owed = 0] = await accept(store, [item({ deliveries: [delivery({ as: "claimed" }), delivery()] })]);
    await store.complete([completion(done)]);
    await store.close();
    const db = new DatabaseSync(join(directory, "postrider.db"));
    const attempts = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'attempt_*'").all();
    expect(attempts).toHaveLength(1);
    for (const { name } of attempts) {
      db.exec(
        `DROP INDEX ${String(name)}_record; ALTER TABLE ${String(name)} DROP COLUMN payload; ALTER TABLE ${String(name)} DROP COLUMN bodies`,
      );
    }
    db.exec(
      "DROP INDEX delivery_order; DROP INDEX delivery_letters; ALTER TABLE delivery DROP COLUMN note; ALTER TABLE delivery DROP COLUMN cut; ALTER TABLE subscription_queue DROP COLUMN forwards",
    );
    for (const { name } of db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'result_*'").all()) {
      db.exec(`DROP TABLE ${String(name)}`);
    }
    beforeRecordIds(db);
    db.exec("DROP TABLE parked; DROP TABLE namespace_bytes; PRAGMA user_version = 1");
    db.close();
    const again = make();
    await again.open(OPEN);
    const file = new DatabaseSync(join(directory, "postrider.db"), { readOnly: true });
    for (const { name } of attempts) expect(differences(file, ATTEMPT, String(name))).toEqual([]);
    for (const table of [DELIVERY, QUEUE]) expect(differences(file, table, table.name)).toEqual([]);
    file.close();
    expect(await again.attemptsOf(done)).toMatchObject([{ statusCode: 200, payloadKey: undefined }]);
    expect((await again.due("sub-a", START_MS, 10)).map(({ id }) => id)).toEqual([owed]);
    await again.claim([{ id: owed, epoch: 1, lone: false, withEvent: false }]);
    await again.complete([completion(owed, { attempt: { ...attempt(owed), recordId: "rec-1", payloadKey: "p" } })]);
    expect((await again.history({ namespace: NAMESPACE, limit: 5, recordId: "rec-1" })).deliveries.map(({ id }) => id)).toEqual([owed]);
  });

  it("takes over a store of which deliveries had no record id: they are found once tried, as before, and new ones at once", async () => {
    const store = make();
    await store.open(OPEN);
    const [tried = 0, owed = 0, ended = 0] = await accept(store, [
      item({ deliveries: [delivery({ as: "claimed" }), delivery(), delivery({ as: "claimed" })] }),
    ]);
    const next = { state: "ready", dueAtMs: START_MS + 9 } as const;
    await store.complete([
      completion(tried, { attempt: attempt(tried, { recordId: "rec-1" }), next }),
      completion(ended, { attempt: attempt(ended, { recordId: "rec-1" }) }),
    ]);
    await store.close();
    const db = new DatabaseSync(join(directory, "postrider.db"));
    beforeRecordIds(db);
    db.close();
    const again = make();
    await again.open(OPEN);
    const file = new DatabaseSync(join(directory, "postrider.db"), { readOnly: true });
    expect(differences(file, DELIVERY, "delivery")).toEqual([]);
    const outcomes = file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'outcome_*'").all();
    expect(outcomes).toHaveLength(1);
    for (const { name } of outcomes) expect(differences(file, OUTCOME, String(name))).toEqual([]);
    file.close();
    const found = async () => (await again.history({ namespace: NAMESPACE, limit: 9, recordId: "rec-1" })).deliveries.map(({ id }) => id);
    expect(await found()).toEqual([ended, tried]);
    const [newer = 0] = await accept(again, [item({ deliveries: [delivery({ recordId: "rec-1" })] })]);
    expect(await found()).toEqual([newer, ended, tried]);
    // Into the table of a day that the older version had made.
    await again.complete([{ ...completion(newer), attempt: undefined, next: { state: "failed", reason: "AgeExceeded" } }]);
    expect(await found()).toEqual([newer, ended, tried]);
    await again.claim([{ id: owed, epoch: 1, lone: false, withEvent: false }]);
    await again.complete([completion(owed, { attempt: attempt(owed, { recordId: "rec-1" }) })]);
    expect(await found()).toEqual([newer, ended, owed, tried]);
  });

  it("refuses a file that is no database", async () => {
    writeFileSync(join(directory, "postrider.db"), "not a database".repeat(1_000));
    await expect(make().open(OPEN)).rejects.toMatchObject({ code: "refused", message: expect.stringContaining(directory) });
  });

  it.each([
    [0x6969, "NFS"],
    [0xff534d42 | 0, "CIFS"],
    [0xfe534d42, "SMB2"],
    [0x01021997, "9p"],
    [0x65735546, "FUSE"],
    [0x00c36400, "Ceph"],
  ])("refuses file system type %i (%s) unless told otherwise", (type, name) => {
    const statFs = () => ({ type, bsize: 4_096, bavail: 1 });
    expect(() => prepareDirectory(directory, { allowUnsafe: false, statFs })).toThrow(name);
    expect(prepareDirectory(directory, { allowUnsafe: true, statFs })[0]).toContain(name);
    expect(prepareDirectory(directory, { allowUnsafe: false, statFs: () => ({ type: 0xef53, bsize: 1, bavail: 1 }) })).toEqual([]);
  });

  it("asserts synchronous=FULL after a write, and the assertion can fail", () => {
    const db = new DatabaseSync(join(directory, "other.db"));
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (a); INSERT INTO t VALUES (1);");
    expect(() => assertSynchronous(db)).not.toThrow();
    db.exec("PRAGMA synchronous = NORMAL; INSERT INTO t VALUES (2);");
    expect(() => assertSynchronous(db)).toThrow("FULL");
    db.close();
  });

  it("answers disk_full below the watermark and still lets deliveries end", async () => {
    const before = make();
    await before.open(OPEN);
    const [id = 0] = await accept(before, [item({ deliveries: [delivery({ as: "claimed" })] })]);
    await before.close();
    const store = make({ freeBytesMin: Number.MAX_SAFE_INTEGER });
    await store.open(OPEN);
    await expect(accept(store, [item()])).rejects.toMatchObject({
      code: "disk_full",
      message: expect.stringContaining("enlarge the volume"),
    });
    const [claimed] = await store.claim([{ id, epoch: 1, lone: true, withEvent: false }]);
    expect(claimed?.attempt).toBe(2);
    expect(await store.complete([completion(id)])).toEqual([true]);
    expect((await store.health()).writable).toBe(false);
  });

  it("gives the reserve back when the disk is full: completions land, the refused leave no trace, nothing is lost", async () => {
    const store = make({ reserveBytes: 64 * PAGE_BYTES, pageCountMax: 200 });
    await store.open(OPEN);
    const ids: number[] = [];
    let refused: unknown;
    const data = new Uint8Array(20_000);
    let last = event();
    while (refused === undefined) {
      last = event({ data });
      const answer = await accept(store, [item({ event: last, deliveries: [delivery({ as: "claimed" })] })]).catch(
        (error: unknown) => error,
      );
      if (Array.isArray(answer)) ids.push(...(answer as number[]));
      else refused = answer;
    }
    expect(refused).toMatchObject({ code: "disk_full" });
    expect(ids.length).toBeGreaterThan(10);
    expect(await store.readEvent(NAMESPACE, last.id)).toBeUndefined();
    expect(await store.complete(ids.map((id) => completion(id)))).toEqual(ids.map(() => true));
    await store.close();
    const again = make();
    await again.open(OPEN);
    for (const id of ids) expect((await again.readDelivery(id))?.state).toBe("delivered");
    expect(await accept(again, [item()])).toHaveLength(1);
  });

  it("puts the reserve back as soon as there is room again, without waiting for a retention step", async () => {
    const store = make({ reserveBytes: 64 * PAGE_BYTES, pageCountMax: 200 });
    await store.open(OPEN);
    const reserve = join(directory, "reserve.bin");
    expect(existsSync(reserve)).toBe(true);
    const data = new Uint8Array(20_000);
    for (let full = false; !full;)
      full = await accept(store, [item({ event: event({ data }) })]).then(
        () => false,
        () => true,
      );
    expect(existsSync(reserve)).toBe(false);
    // Any write looks; room is there at once, since only the pages were limited.
    await vi.waitFor(
      async () => {
        await store.setPause("sub-a", "BySpec", null);
        expect(statSync(reserve).size).toBe(64 * PAGE_BYTES);
      },
      { timeout: 20_000, interval: 50 },
    );
  });

  it("keeps the log short under load by handing checkpoints over", { timeout: 30_000 }, async () => {
    const store = make();
    await store.open(OPEN);
    const data = new Uint8Array(100_000);
    for (let round = 0; round < 20; round++) {
      await Promise.all(Array.from({ length: 20 }, () => accept(store, [item({ event: event({ data }) })])));
    }
    const { sizeBytes } = await store.health();
    expect(sizeBytes).toBeLessThan(400 * 100_000 * 1.6);
  });

  it("makes the directory, private", async () => {
    directory = join(directory, "a", "b");
    await make().open(OPEN);
    mkdirSync(directory, { recursive: true });
    expect((await opened[0]?.health())?.writable).toBe(true);
  });
});
