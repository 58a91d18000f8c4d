import { rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { KEY_ROW_BYTES } from "../../../src/core/stored-bytes.ts";
import { SqliteStore } from "../../../src/store/sqlite/sqlite-store.ts";
import type { AcceptItem, Store } from "../../../src/store/store.ts";
import { attempt, completion, DAY_MS, delivery, dropAll, event, HOUR_MS, item, START_MS } from "../../conformance/store/fixture.ts";
import { storeDirectory } from "./child-process.ts";
import { beforeRecordIds } from "../../support/store/before-record-ids.ts";

const OPEN = { owner: "test", nowMs: START_MS, idempotencyTtlMs: DAY_MS };
/** How far the sum may be from the pages that are in use. */
const OFF_BY_MAX = 0.2;

interface Kind {
  readonly name: string;
  readonly events: number;
  readonly dataBytes: number;
  readonly deliveries: number;
  readonly isKeyed: boolean;
  readonly completes: "none" | "delivered" | "answered";
}

const KINDS: readonly Kind[] = [
  { name: "small events that wait", events: 6_000, dataBytes: 60, deliveries: 1, isKeyed: false, completes: "none" },
  { name: "small events with keys, delivered", events: 6_000, dataBytes: 60, deliveries: 1, isKeyed: true, completes: "delivered" },
  { name: "events of 1 KB, delivered", events: 6_000, dataBytes: 1_000, deliveries: 1, isKeyed: true, completes: "delivered" },
  { name: "events of 5 KB with long answers", events: 1_500, dataBytes: 5_000, deliveries: 1, isKeyed: true, completes: "answered" },
  { name: "large events", events: 120, dataBytes: 250_000, deliveries: 2, isKeyed: true, completes: "answered" },
  { name: "a wide fan-out", events: 200, dataBytes: 500, deliveries: 50, isKeyed: true, completes: "delivered" },
  { name: "a wide fan-out that waits", events: 200, dataBytes: 500, deliveries: 50, isKeyed: true, completes: "none" },
  { name: "events that nobody wants", events: 6_000, dataBytes: 5_000, deliveries: 0, isKeyed: true, completes: "none" },
];

describe("what namespaces hold", () => {
  let directory = "";
  const opened: SqliteStore[] = [];
  const open = async (nowMs = START_MS): Promise<SqliteStore> => {
    const store = new SqliteStore({ directory, reserveBytes: 0, freeBytesMin: 0 });
    opened.push(store);
    await store.open({ ...OPEN, nowMs });
    return store;
  };
  beforeEach(() => {
    directory = storeDirectory();
  });
  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close();
    rmSync(directory, { recursive: true, force: true });
  });

  it.each(KINDS)("comes within a fifth of the file's pages: $name", { timeout: 120_000 }, async (kind) => {
    const store = await open();
    await fill(store, kind);
    const counted = store.usage().totalBytes;
    await store.close();
    const used = pagesUsed(directory);
    expect(counted / used).toBeGreaterThan(1 - OFF_BY_MAX);
    expect(counted / used).toBeLessThan(1 + OFF_BY_MAX);
  });

  it("comes within a fifth of the pages of a store of everything, past days dropped and bodies kept", { timeout: 120_000 }, async () => {
    const store = await open();
    for (const kind of KINDS) await fill(store, kind);
    await dropAll(store, START_MS + 6 * DAY_MS);
    const counted = store.usage().totalBytes;
    await store.close();
    const used = pagesUsed(directory);
    expect(counted / used).toBeGreaterThan(1 - OFF_BY_MAX);
    expect(counted / used).toBeLessThan(1 + OFF_BY_MAX);
  });

  it("is counted anew where nobody counted before: a store of the version before this", async () => {
    const store = await open();
    for (const kind of KINDS) await fill(store, { ...kind, events: Math.min(kind.events, 60), isKeyed: false });
    await dropAll(store, START_MS + 4 * DAY_MS + HOUR_MS);
    const before = heldIn(store);
    expect(before.size).toBe(3);
    await store.close();
    const db = new DatabaseSync(join(directory, "postrider.db"));
    beforeRecordIds(db);
    db.exec("DROP TABLE namespace_bytes; PRAGMA user_version = 7");
    db.close();
    const again = await open(START_MS + 4 * DAY_MS);
    expect(heldIn(again)).toEqual(before);
    // What is counted goes as it would have.
    await dropAll(again, START_MS + 400 * DAY_MS);
    const owed = again.usage().totalBytes;
    for (const { subscription } of await again.queues()) {
      const end = {
        subscription,
        state: "discarded",
        reason: "Discarded",
        nowMs: START_MS + 400 * DAY_MS,
        historyRetentionMs: DAY_MS,
      } as const;
      while ((await again.endAll({ ...end, limit: 1_000 })) > 0);
    }
    await dropAll(again, START_MS + 800 * DAY_MS);
    expect(owed).toBeGreaterThan(0);
    expect(again.usage().totalBytes).toBe(0);
  });

  it("gives no namespace to idempotency keys of before: they go uncounted, within a day or two", async () => {
    const store = await open();
    await fill(store, { ...KINDS[1]!, events: 30 });
    const before = store.usage().totalBytes;
    await store.close();
    const db = new DatabaseSync(join(directory, "postrider.db"));
    beforeRecordIds(db);
    db.exec("DROP TABLE namespace_bytes; PRAGMA user_version = 7");
    db.close();
    const again = await open();
    expect(before - again.usage().totalBytes).toBe(30 * KEY_ROW_BYTES);
  });

  it("costs no scan of the store at the next start: it is read from one table", async () => {
    const store = await open();
    await fill(store, { ...KINDS[0]!, events: 1_000 });
    await store.close();
    const db = new DatabaseSync(join(directory, "postrider.db"), { readOnly: true });
    const rows = Number(db.prepare("SELECT count(*) AS n FROM namespace_bytes").get()?.["n"]);
    db.close();
    expect(rows).toBeLessThanOrEqual(3 * 4);
  });
});

function heldIn(store: Store): Map<string, unknown> {
  const usage = store.usage();
  return new Map(Array.from(usage.namespaces(), (namespace) => [namespace, [usage.of(namespace), usage.owed(namespace)]]));
}

async function fill(store: Store, kind: Kind): Promise<void> {
  const batch = Math.max(
    1,
    Math.min(500, Math.ceil(kind.events / 3), Math.floor(4_000 / Math.max(1, kind.deliveries)), Math.floor(3_000_000 / kind.dataBytes)),
  );
  for (let done = 0; done < kind.events; done += batch) {
    const namespace = `team-${(done / batch) % 3}`;
    const items = Array.from({ length: Math.min(batch, kind.events - done) }, (_, i) => itemOf(kind, namespace, done + i));
    const accepted = await store.accept({ namespace, items, nowMs: START_MS });
    if (!accepted.ok) throw new Error("conflict");
    if (kind.completes === "none") continue;
    const answer = kind.completes === "answered" ? Buffer.alloc(4_096, "x") : Buffer.from("ok");
    const ends = accepted.items.flatMap(({ deliveryIds }) =>
      deliveryIds.map((id) =>
        completion(id, { attempt: attempt(id, { responseBody: answer, requestHeaders: HEADERS, responseHeaders: HEADERS }) }),
      ),
    );
    await store.complete(ends);
  }
}

const HEADERS = [
  ["content-type", "application/json"],
  ["webhook-id", "0199c2f0-0000-7000-8000-000000000000"],
  ["webhook-timestamp", "1767268800"],
] as const;

function itemOf(kind: Kind, namespace: string, number: number): AcceptItem {
  const deliveries = Array.from({ length: kind.deliveries }, (_, i) =>
    delivery({ namespace, subscription: `${namespace}-${i}`, as: kind.completes === "none" ? "indexed" : "claimed" }),
  );
  const stored = event({
    namespace,
    sourceId: `order-${number}`,
    source: "https://shop.example/orders",
    data: Buffer.alloc(kind.dataBytes, "x"),
  });
  return item({
    event: stored,
    deliveries,
    bodyRetentionMs: 3 * DAY_MS,
    idempotencyKey: kind.isKeyed ? `c:${kind.name} ${number}` : undefined,
  });
}

/** Of an empty file too: what the tables themselves take. */
function pagesUsed(directory: string): number {
  const db = new DatabaseSync(join(directory, "postrider.db"), { readOnly: true });
  const pragma = (name: string): number => Number(Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0]);
  const used = (pragma("page_count") - pragma("freelist_count")) * pragma("page_size");
  db.close();
  return used;
}
