import { median, row, type BenchContext, type Row } from "../row.ts";
import { System, type SystemOptions } from "../system.ts";

const CONNECTIONS = 128;
const WARM_UP_MS = 6_000;
const PLAIN = { name: "one", type: "bench.*" };
const FILTER = "event.data.n >= 0 && event.type.startsWith('bench.') && size(event.data.filler) > 10";
const BODY = "{'version': '1.0', 'event': event.type, 'data': event.data}";

const SHAPES: readonly { readonly name: string; readonly subscription: SystemOptions["subscriptions"][number] }[] = [
  { name: "rate with a CEL filter, against without", subscription: { ...PLAIN, filter: FILTER } },
  { name: "rate with a CEL body, against without", subscription: { ...PLAIN, body: BODY } },
  { name: "rate with both, against without", subscription: { ...PLAIN, filter: FILTER, body: BODY } },
];

/** What a filter and a body written in CEL cost, side by side with none. */
export async function expressionRows(context: BenchContext): Promise<Row[]> {
  const ratios = new Map<string, number[]>(SHAPES.map(({ name }) => [name, []]));
  const rates = new Map<string, number[]>(SHAPES.map(({ name }) => [name, []]));
  const plains: number[] = [];
  for (let round = 1; round <= context.rounds; round++) {
    const plain = await rateOf(context, PLAIN);
    plains.push(plain);
    for (const { name, subscription } of SHAPES) {
      const rate = await rateOf(context, subscription);
      ratios.get(name)?.push(rate / plain);
      rates.get(name)?.push(rate);
      context.progress(`round ${round}: ${name}: ${Math.round(rate)}/s against ${Math.round(plain)}/s`);
    }
  }
  return SHAPES.map(({ name }) =>
    row({
      name,
      figure: median(ratios.get(name) ?? []),
      unit: "ratio",
      better: ">=",
      floor: undefined,
      goal: undefined,
      parts: { perSecond: median(rates.get(name) ?? []), plainPerSecond: median(plains) },
    }),
  );
}

async function rateOf(context: BenchContext, subscription: SystemOptions["subscriptions"][number]): Promise<number> {
  const system = await System.start({ receiver: context.load.address, subscriptions: [subscription], maxInFlight: 128 });
  try {
    const command = { url: system.events(), connections: CONNECTIONS };
    await context.load.run({ ...command, durationMs: WARM_UP_MS });
    const result = await context.load.run({ ...command, durationMs: context.seconds * 1_000 });
    if (result.missing > 0) throw new Error(`${result.missing} events did not arrive within 20 s`);
    return result.deliveredPerSecond;
  } finally {
    await system.stop();
  }
}
