import { expect, it } from "vitest";
import { StoreWatch, WRITE_HANGS_MS } from "../../../src/ingest/store-watch.ts";
import { Metrics } from "../../../src/observe/metrics.ts";
import type { StoreHealth } from "../../../src/store/store.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

function watching(health: Partial<StoreHealth>) {
  const state = { writable: true, sizeBytes: 1, freeBytes: 10, logBytes: 0, freeBytesMin: 5, oldestWriteMs: 0, ...health };
  const metrics = new Metrics({ version: "test", defaults: false });
  return { state, metrics, watch: new StoreWatch({ health: async () => state }, metrics, new ManualClock()) };
}

it("sees a full disk, and when it has room again", async () => {
  const { state, metrics, watch } = watching({ freeBytes: 4 });
  await watch.look();
  expect(watch.low()).toBe(true);
  expect(await metrics.expose()).toMatch(/^postrider_store_free_bytes 4$[\s\S]*^postrider_store_free_min_bytes 5$/m);
  state.freeBytes = 5;
  await watch.look();
  expect(watch.low()).toBe(false);
});

it("says that the disk hangs when a write waits for longer than 30 s, and not before; a new answer ends it", async () => {
  const { state, metrics, watch } = watching({ oldestWriteMs: WRITE_HANGS_MS });
  await watch.look();
  expect([watch.hanging(), watch.isWaiting()]).toEqual([undefined, true]);
  state.oldestWriteMs = WRITE_HANGS_MS + 1_000;
  await watch.look();
  expect(watch.hanging()).toBe("a write has waited 31 s for the disk, more than 30 s: look at the volume");
  expect(await metrics.expose()).toContain("postrider_store_oldest_write_seconds 31");
  state.oldestWriteMs = 0;
  await watch.look();
  expect([watch.hanging(), watch.isWaiting()]).toEqual([undefined, false]);
});
