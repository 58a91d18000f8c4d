import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import { storeConformance } from "./store-conformance.ts";

storeConformance({
  name: "memory",
  make: async (nowMs, idempotencyTtlMs) => {
    const store = new MemoryStore();
    await store.open({ owner: "test", nowMs, idempotencyTtlMs });
    return {
      store: () => store,
      reopen: async (laterMs) => {
        await store.close();
        return store.open({ owner: "test", nowMs: laterMs, idempotencyTtlMs });
      },
      dispose: () => store.close(),
    };
  },
});
