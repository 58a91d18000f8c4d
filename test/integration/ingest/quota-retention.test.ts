import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { RetentionSweep } from "../../../src/app/retention-sweep.ts";
import { StoreWatch } from "../../../src/ingest/store-watch.ts";
import { Metrics } from "../../../src/observe/metrics.ts";
import { SqliteStore } from "../../../src/store/sqlite/sqlite-store.ts";
import { runningIngest } from "../../support/ingest/running-ingest.ts";
import { route } from "../../support/ingest/running-ingest.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { silentLog } from "../../support/silent-log.ts";

const DAY_MS = 86_400_000;
const MI = 2 ** 20;
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** The machine's clock, `laterMs` ahead. */
class LaterClock extends SystemClock {
  laterMs = 0;
  override nowMs(): number {
    return super.nowMs() + this.laterMs;
  }
}

it(
  "a namespace that is full on a small volume may send again once its days are over, with nobody's help; meanwhile the others go on",
  { timeout: 60_000 },
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "postrider-quota-"));
    cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
    const store = new SqliteStore({ directory, reserveBytes: 0, freeBytesMin: 4 * MI, sizeMax: 40 * MI });
    const clock = new LaterClock();
    const watch = new StoreWatch({ store, metrics: new Metrics({ version: "test", defaults: false }), clock, log: silentLog });
    const ingest = await runningIngest({ store, clock, roomBytes: () => watch.roomBytes(), routes: [route("orders", ["order.*"])] });
    cleanups.push(() => ingest.stop());
    const look = () => watch.look();
    await look();
    const statuses = new Set<number>();
    const large = JSON.stringify({ type: "order.paid", data: "x".repeat(255_000) });
    for (let sent = 0; sent < 200; sent++) {
      statuses.add((await ingest.post(large)).status);
      if (sent % 10 === 0) await look();
      if (sent % 10 === 0) expect((await ingest.post('{"type":"order.paid"}', {}, "depot")).status).toBe(202);
    }
    expect(statuses).toEqual(new Set([202, 429]));
    await look();
    expect(watch.low()).toBe(false);
    const full = store.usage().of("shop");
    expect(full).toBeGreaterThan(8 * MI);

    const sweep = new RetentionSweep(store, clock, silentLog);
    const { signal } = new AbortController();
    await sweep.sweep(signal);
    expect(store.usage().of("shop")).toBe(full);
    for (const { subscription } of await store.queues()) {
      await store.endAll({
        subscription,
        state: "discarded",
        reason: "Discarded",
        nowMs: clock.nowMs(),
        historyRetentionMs: DAY_MS,
        limit: 1_000,
      });
    }
    clock.laterMs = 5 * DAY_MS;
    await sweep.sweep(signal);
    await look();
    expect(store.usage().of("shop")).toBeLessThan(MI);
    for (let sent = 0; sent < 30; sent++) expect((await ingest.post(large)).status).toBe(202);
  },
);
