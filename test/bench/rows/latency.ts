import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { median, row, type BenchContext, type Row } from "../row.ts";
import { System } from "../system.ts";

/** The disk's own fsync, p50 of 200, ms. */
function fsyncP50Ms(): number {
  const directory = mkdtempSync(join(tmpdir(), "postrider-fsync-"));
  const file = openSync(join(directory, "probe"), "w");
  const page = Buffer.alloc(8_192, "x");
  const times = Array.from({ length: 200 }, () => {
    const begin = performance.now();
    writeSync(file, page);
    fsyncSync(file);
    return performance.now() - begin;
  });
  closeSync(file);
  rmSync(directory, { recursive: true, force: true });
  return median(times);
}

/** From the 202 to the receiver, at half of the rate just measured closed loop. */
export async function latencyRows(context: BenchContext): Promise<Row[]> {
  const p99: number[] = [];
  const p50: number[] = [];
  const fsync: number[] = [];
  const rates: number[] = [];
  for (let round = 1; round <= context.rounds; round++) {
    const system = await System.start({
      receiver: context.load.address,
      subscriptions: [{ name: "one", type: "bench.*" }],
      maxInFlight: 128,
    });
    const full = await context.load.run({ url: system.events(), durationMs: 3_000, connections: 128 });
    const rate = Math.floor(full.deliveredPerSecond / 2);
    const half = await context.load.run({ url: system.events(), rate, durationMs: context.seconds * 1_000 });
    await system.stop();
    p99.push(half.arrivalP99Ms);
    p50.push(half.arrivalP50Ms);
    fsync.push(fsyncP50Ms());
    rates.push(rate);
    context.progress(
      `round ${round}: at ${rate}/s accept → receiver p50 ${half.arrivalP50Ms.toFixed(2)} ms, p99 ${half.arrivalP99Ms.toFixed(2)} ms; accept p99 ${half.acceptP99Ms.toFixed(2)} ms`,
    );
  }
  return [
    row({
      name: "accept → receiver p99 at half load",
      figure: median(p99),
      unit: "ms",
      better: "<=",
      floor: 25,
      goal: 10,
      parts: {
        p50Ms: median(p50),
        fsyncP50Ms: median(fsync),
        ratePerSecond: median(rates),
        timesTwoFsyncs: median(p99) / (2 * median(fsync)),
      },
    }),
  ];
}
