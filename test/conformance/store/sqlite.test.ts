import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SqliteStore } from "../../../src/store/sqlite/sqlite-store.ts";
import { storeConformance } from "./store-conformance.ts";

storeConformance({
  name: "sqlite",
  make: async (nowMs, idempotencyTtlMs) => {
    const directory = await mkdtemp(join(tmpdir(), "postrider-store-"));
    const options = { directory, reserveBytes: 0, freeBytesMin: 0 };
    let store = new SqliteStore(options);
    await store.open({ owner: "test", nowMs, idempotencyTtlMs });
    return {
      store: () => store,
      reopen: async (laterMs) => {
        await store.close();
        store = new SqliteStore(options);
        return store.open({ owner: "test", nowMs: laterMs, idempotencyTtlMs });
      },
      dispose: async () => {
        await store.close();
        await rm(directory, { recursive: true });
      },
    };
  },
});
