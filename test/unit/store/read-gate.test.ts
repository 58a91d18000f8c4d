import { Worker } from "node:worker_threads";
import { afterEach, expect, it } from "vitest";
import { ReadGate } from "../../../src/store/sqlite/read-gate.ts";

const READ = 0;
let worker: Worker | undefined;
afterEach(() => worker?.terminate());

/** A thread that reads without a gap and counts its reads. */
async function readerThat(gate: ReadGate): Promise<Int32Array> {
  const counts = new Int32Array(new SharedArrayBuffer(4));
  const path = new URL("../../../src/store/sqlite/read-gate.ts", import.meta.url).href;
  const code = `import { parentPort, workerData } from "node:worker_threads";
    import { ReadGate } from ${JSON.stringify(path)};
    const gate = new ReadGate(workerData.shared);
    parentPort.postMessage("reads");
    for (;;) { gate.enter(); Atomics.add(workerData.counts, 0, 1); for (let i = 0; i < 1e5; i++); gate.leave(); }`;
  worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {
    execArgv: [],
    workerData: { shared: gate.shared, counts },
  });
  await new Promise((resolve) => worker?.once("message", resolve));
  return counts;
}

/** Blocks until one more read has begun; false = none did. */
const readsOn = (counts: Int32Array, waitMs: number): boolean => {
  const before = Atomics.load(counts, READ);
  const untilMs = performance.now() + waitMs;
  while (performance.now() < untilMs) if (Atomics.load(counts, READ) > before + 1) return true;
  return false;
};

it("makes a moment without a read under a reader that never stops, again and again", async () => {
  const gate = new ReadGate();
  const counts = await readerThat(gate);
  for (let round = 0; round < 20; round++) {
    expect(readsOn(counts, 5_000)).toBe(true);
    expect(gate.close(5_000)).toBe(true);
    expect(readsOn(counts, 5)).toBe(false);
    gate.open();
  }
});

it("holds nobody for ever when it is not opened, or when the reader died within a read", async () => {
  const gate = new ReadGate();
  const counts = await readerThat(gate);
  expect(gate.close(5_000)).toBe(true);
  expect(readsOn(counts, 5_000)).toBe(true);
  await worker?.terminate();
  gate.open();
  gate.readerGone();
  expect(gate.close(0)).toBe(true);
  gate.enter();
  expect(gate.close(1)).toBe(false);
});
