import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { keptDeliveryNames } from "../../../src/app/delivery-name-key.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import { SqliteStore } from "../../../src/store/sqlite/sqlite-store.ts";
import { StoreError } from "../../../src/store/store.ts";
import { silentLog } from "../../support/silent-log.ts";

const log = silentLog;
const OPEN = { owner: "o", nowMs: 1_000, idempotencyTtlMs: 1_000 };

it("deliveries keep their names over restarts, and those of another store are others", async () => {
  const directory = mkdtempSync(join(tmpdir(), "postrider-names-"));
  const nameIn = async (store: SqliteStore | MemoryStore): Promise<string> => {
    await store.open(OPEN);
    const name = (await keptDeliveryNames(store, systemRandom, log)).nameOf("shop", 1);
    expect((await keptDeliveryNames(store, systemRandom, log)).nameOf("shop", 1)).toBe(name);
    await store.close();
    return name;
  };
  try {
    const first = await nameIn(new SqliteStore({ directory, reserveBytes: 0 }));
    expect(await nameIn(new SqliteStore({ directory, reserveBytes: 0 }))).toBe(first);
    expect(await nameIn(new MemoryStore())).not.toBe(first);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

it("a key that cannot be kept stands in nobody's way, and is told of", async () => {
  const warned: unknown[] = [];
  const store = {
    listState: async () => [],
    putState: async () => {
      throw new StoreError("disk_full", "full");
    },
  };
  const names = await keptDeliveryNames(store, systemRandom, {
    ...log,
    warn: (...told: unknown[]) => void warned.push(told),
  });
  expect(names.idOf("shop", names.nameOf("shop", 7))).toBe(7);
  expect(warned).toHaveLength(1);
});
