import { bareScript } from "../bare-script.ts";
import { cpuSecondsOf } from "../machine.ts";
import { median, row, type BenchContext, type Row } from "../row.ts";
import { System } from "../system.ts";

const CONNECTIONS = 128;
const MANY = 10;
const WARM_UP_MS = 6_000;

interface Shape {
  readonly name: string;
  /** Subscriptions that each event goes to. */
  readonly fanOut: number;
  /** Events in a POST. */
  readonly batch: number;
}

const SHAPES: readonly Shape[] = [
  { name: `deliveries/s with fan-out ${MANY}, against bare`, fanOut: MANY, batch: 1 },
  { name: `deliveries/s with ${MANY} events per POST, against bare`, fanOut: 1, batch: MANY },
];

/** One accepted POST makes ten deliveries, either way: what its cost comes to for each. */
export async function fanOutRows(context: BenchContext): Promise<Row[]> {
  const rows: Row[] = [];
  for (const shape of SHAPES) {
    const ratios: number[] = [];
    const rates: number[] = [];
    const bares: number[] = [];
    const cpus: number[] = [];
    for (let round = 1; round <= context.rounds; round++) {
      const bare = await bareScript("bare-dispatch", [`http://${context.load.address}/hook`, String(CONNECTIONS), String(context.seconds)]);
      const { perSecond, cpuUs } = await measured(context, shape);
      ratios.push(perSecond / bare.perSecond);
      rates.push(perSecond);
      bares.push(bare.perSecond);
      cpus.push(cpuUs);
      context.progress(
        `${shape.name}: round ${round}: bare ${Math.round(bare.perSecond)}/s, ${Math.round(perSecond)}/s (${cpuUs.toFixed(0)} µs CPU)`,
      );
    }
    const parts = { deliveriesPerSecond: median(rates), barePerSecond: median(bares), cpuUsADelivery: median(cpus) };
    rows.push(row({ name: shape.name, figure: median(ratios), unit: "ratio", better: ">=", floor: 0.35, goal: 0.5, parts }));
  }
  return rows;
}

async function measured(context: BenchContext, { fanOut, batch }: Shape): Promise<{ perSecond: number; cpuUs: number }> {
  const subscriptions = Array.from({ length: fanOut }, (_, i) => ({ name: `sub-${i}`, type: "bench.*" }));
  const system = await System.start({ receiver: context.load.address, subscriptions, maxInFlight: Math.ceil(CONNECTIONS / fanOut) });
  try {
    const command = { url: system.events(), connections: 32, batch, fanOut };
    await context.load.run({ ...command, durationMs: WARM_UP_MS });
    const cpuBefore = cpuSecondsOf(system.pid);
    const result = await context.load.run({ ...command, durationMs: context.seconds * 1_000 });
    if (result.missing > 0) throw new Error(`${result.missing} deliveries did not arrive within 20 s`);
    return { perSecond: result.deliveredPerSecond, cpuUs: ((cpuSecondsOf(system.pid) - cpuBefore) * 1e6) / result.received };
  } finally {
    await system.stop();
  }
}
