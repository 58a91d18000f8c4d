import { median, row, type BenchContext, type Row } from "../row.ts";
import { System } from "../system.ts";

const RATE = 400;

/** A receiver that never answers holds half of the traffic: the other subscription's p99 against its own baseline. */
export async function isolationRows(context: BenchContext): Promise<Row[]> {
  const ratios: number[] = [];
  const baselines: number[] = [];
  const beside: number[] = [];
  for (let round = 1; round <= context.rounds; round++) {
    const quiet = { name: "quiet", type: "bench.quiet" };
    const options = { receiver: context.load.address, maxInFlight: 8, timeout: "15s", initialDelay: "5s" };
    const alone = await System.start({ ...options, subscriptions: [quiet] });
    const baseline = await context.load.run({
      url: alone.events(),
      types: "bench.quiet",
      rate: RATE / 2,
      durationMs: context.seconds * 1_000,
    });
    await alone.stop();
    const both = await System.start({ ...options, subscriptions: [quiet, { name: "hung", type: "bench.hung", path: "/hang" }] });
    const result = await context.load.run({
      url: both.events(),
      types: "bench.quiet,bench.hung",
      rate: RATE,
      durationMs: context.seconds * 1_000,
      waitMs: 500,
    });
    await both.stop();
    baselines.push(baseline.arrivalP99Ms);
    beside.push(result.arrivalP99Ms);
    ratios.push(result.arrivalP99Ms / Math.max(baseline.arrivalP99Ms, 0.5));
    context.progress(
      `round ${round}: quiet p99 alone ${baseline.arrivalP99Ms.toFixed(2)} ms, beside a hung receiver ${result.arrivalP99Ms.toFixed(2)} ms; ${result.received} arrived`,
    );
  }
  const parts = { aloneP99Ms: median(baselines), besideP99Ms: median(beside), ratePerSecond: RATE };
  return [
    row({
      name: "quiet subscription's p99 beside a receiver that never answers, against alone",
      figure: median(ratios),
      unit: "ratio",
      better: "<=",
      floor: 2,
      goal: 1.2,
      parts,
    }),
  ];
}
