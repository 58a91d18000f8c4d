import { expect, it } from "vitest";
import { StartsBook } from "../../../src/app/starts-book.ts";
import { Metrics } from "../../../src/observe/metrics.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import { StoreError } from "../../../src/store/store.ts";
import { recordingLog } from "../../support/recording-log.ts";

async function opened(): Promise<MemoryStore> {
  const store = new MemoryStore();
  await store.open({ owner: "test", nowMs: 0, idempotencyTtlMs: 1_000 });
  return store;
}

/** A process: begins, shows its counts, and may end in order. */
async function lived(store: MemoryStore, endsInOrder: boolean): Promise<string[]> {
  const metrics = new Metrics({ version: "test", defaults: false });
  const book = new StartsBook(store, recordingLog().log);
  await book.begin(metrics);
  if (endsInOrder) await book.end();
  return (await metrics.expose()).split("\n").filter((line) => line.startsWith("postrider_starts_total{"));
}

const shown = (clean: number, killed: number): string[] => [
  `postrider_starts_total{how="clean"} ${clean}`,
  `postrider_starts_total{how="killed"} ${killed}`,
];

it("counts each start by how the process before it ended, over all processes", async () => {
  const store = await opened();
  expect(await lived(store, true)).toEqual(shown(1, 0));
  expect(await lived(store, false)).toEqual(shown(2, 0));
  expect(await lived(store, false)).toEqual(shown(2, 1));
  expect(await lived(store, true)).toEqual(shown(2, 2));
  expect(await lived(store, true)).toEqual(shown(3, 2));
});

it.each(["{", "[]", '{"clean":"x","killed":-1.5}'])("begins again where the entry cannot be read: %s", async (value) => {
  const store = await opened();
  await store.putState([{ kind: "meta", key: "starts", value }]);
  expect(await lived(store, true)).toEqual(shown(1, 0));
});

it("a disk that takes nothing keeps nobody from starting", async () => {
  const store = await opened();
  const { log, lines } = recordingLog();
  const full = { listState: store.listState.bind(store), putState: () => Promise.reject(new StoreError("disk_full", "full")) };
  await new StartsBook(full, log).begin(new Metrics({ version: "test", defaults: false }));
  expect(lines).toMatchObject([{ level: "warn", msg: expect.stringContaining("postrider_starts_total") }]);
});
