import { expect, it } from "vitest";
import { StoreWatch, WRITE_HANGS_MS } from "../../../src/ingest/store-watch.ts";
import { Metrics } from "../../../src/observe/metrics.ts";
import type { StoreHealth } from "../../../src/store/store.ts";
import { recordingLog } from "../../support/recording-log.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

function watching(health: Partial<StoreHealth>) {
  const state = {
    writable: true,
    sizeBytes: 1,
    freeBytes: 10,
    capacityBytes: 20,
    logBytes: 0,
    freeBytesMin: 5,
    oldestWriteMs: 0,
    ...health,
  };
  const metrics = new Metrics({ version: "test", defaults: false });
  const clock = new ManualClock();
  const { log, lines } = recordingLog();
  return { state, metrics, clock, lines, watch: new StoreWatch({ store: { health: async () => state }, metrics, clock, log }) };
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

it("says once that the disk is full, with the numbers and what to do, and once that it has had room for a minute", async () => {
  const { state, clock, lines, watch } = watching({ freeBytes: 4 });
  await watch.look();
  await watch.look();
  // At the very edge.
  for (const freeBytes of [5, 4, 5, 4]) {
    state.freeBytes = freeBytes;
    await clock.advance(1_000);
    await watch.look();
  }
  expect(lines).toMatchObject([{ level: "error", event: "store.full", freeBytes: 4, freeBytesMin: 5 }]);
  expect(lines[0]?.msg).toMatch(/4 bytes are free, less than --store-free-min \(5\).*enlarge the volume/);
  state.freeBytes = 5;
  await clock.advance(30_000);
  await watch.look();
  expect(lines).toHaveLength(1);
  await clock.advance(31_000);
  await watch.look();
  await watch.look();
  expect(lines.slice(1)).toMatchObject([{ level: "warn", event: "store.roomy", freeBytes: 5 }]);
});

it("shows the capacity, and a store that takes nothing: full, closed, or with a write that waits for 5 s", async () => {
  const { state, metrics, watch } = watching({});
  const shown = async (): Promise<string | undefined> => {
    await watch.look();
    return /^postrider_store_writable (\d)$/m.exec(await metrics.expose())?.[1];
  };
  expect(await shown()).toBe("1");
  expect(await metrics.expose()).toContain("\npostrider_store_capacity_bytes 20\n");
  state.writable = false;
  expect(await shown()).toBe("0");
  Object.assign(state, { writable: true, oldestWriteMs: 4_999 });
  expect(await shown()).toBe("1");
  state.oldestWriteMs = 5_000;
  expect(await shown()).toBe("0");
});
