import { pendingOf, PENDING, unusedPort } from "../dead-receiver.ts";
import { median, row, type BenchContext, type Row } from "../row.ts";
import { System } from "../system.ts";

const RATE = 200;
const BATCH = 100;
const TURNS_MAX = 60;
const QUIET = { name: "quiet", type: "bench.quiet" };

/** A quiet subscription's p99 beside one dead receiver with a backlog of 100,000, against alone. */
export async function quietRows(context: BenchContext): Promise<Row[]> {
  const ratios: number[] = [];
  const alones: number[] = [];
  const besides: number[] = [];
  let pending = 0;
  for (let round = 1; round <= context.rounds; round++) {
    const options = { receiver: context.load.address, maxInFlight: 64, timeout: "1s", initialDelay: "5s" };
    const alone = await System.start({ ...options, subscriptions: [QUIET] });
    const baseline = await quietP99(context, alone);
    await alone.stop();
    const both = await System.start({ ...options, subscriptions: [QUIET, { name: "dead", type: "bench.dead", port: await unusedPort() }] });
    let posted = 0;
    for (let turn = 0; posted < PENDING && turn < TURNS_MAX; turn++) {
      const flood = { url: both.events(), types: "bench.dead", connections: 16, batch: BATCH, durationMs: 2_000, waitMs: 1 };
      posted += (await context.load.run(flood)).accepted;
    }
    const beside = await quietP99(context, both);
    pending = await pendingOf(both, "dead");
    await both.stop();
    if (pending < PENDING) throw new Error(`only ${pending} of ${PENDING} deliveries are pending`);
    ratios.push(beside / Math.max(baseline, 0.5));
    alones.push(baseline);
    besides.push(beside);
    context.progress(`round ${round}: quiet p99 alone ${baseline.toFixed(2)} ms, beside ${pending} dead ${beside.toFixed(2)} ms`);
  }
  const parts = { aloneP99Ms: median(alones), besideP99Ms: median(besides), pending, ratePerSecond: RATE };
  const name = `quiet subscription's p99 beside a dead receiver with a backlog of ${PENDING}, against alone`;
  return [row({ name, figure: median(ratios), unit: "ratio", better: "<=", floor: 2, goal: 1.2, parts })];
}

async function quietP99(context: BenchContext, system: System): Promise<number> {
  const quiet = { url: system.events(), types: QUIET.type, rate: RATE };
  await context.load.run({ ...quiet, durationMs: 2_000 });
  const result = await context.load.run({ ...quiet, durationMs: Math.max(context.seconds, 5) * 1_000 });
  if (result.missing > 0) throw new Error(`${result.missing} events of the quiet subscription did not arrive within 20 s`);
  return result.arrivalP99Ms;
}
