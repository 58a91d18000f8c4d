import { Load } from "../load.ts";
import { residentMiB } from "../machine.ts";
import { manySubscriptions, NAMESPACES, ORIGINS, TYPES } from "../many-subscriptions.ts";
import { median, row, type BenchContext, type Row } from "../row.ts";
import { System, type SystemOptions } from "../system.ts";

const CONNECTIONS = 128;
/** Long enough that every subscription has had an event: its pool and its socket are part of the price. */
const WARM_UP_MS = 20_000;

/** 10,000 subscriptions in 100 namespaces with 1,000 receivers, each event for one of them, against a single one. */
export async function manyRows(context: BenchContext): Promise<Row[]> {
  const load = await Load.start("", ORIGINS);
  try {
    const many = manySubscriptions(load.address);
    const ratios: number[] = [];
    const ones: number[] = [];
    const manys: number[] = [];
    let resident = 0;
    for (let round = 1; round <= context.rounds; round++) {
      const one = await rateOf(context, load, { subscriptions: [{ name: "one", type: "bench.*" }] });
      const spread = await rateOf(context, load, { subscriptions: many }, { types: TYPES, namespaces: NAMESPACES });
      ratios.push(spread.perSecond / one.perSecond);
      ones.push(one.perSecond);
      manys.push(spread.perSecond);
      resident = spread.residentMiB;
      context.progress(
        `round ${round}: one ${Math.round(one.perSecond)}/s, many ${Math.round(spread.perSecond)}/s, resident ${resident.toFixed(0)} MiB`,
      );
    }
    const parts = { onePerSecond: median(ones), manyPerSecond: median(manys), residentMiB: resident };
    const name = `rate with ${many.length} subscriptions in ${NAMESPACES} namespaces, ${ORIGINS} origins, against 1`;
    return [row({ name, figure: median(ratios), unit: "ratio", better: ">=", floor: 0.4, goal: 0.6, parts })];
  } finally {
    load.stop();
  }
}

async function rateOf(
  context: BenchContext,
  load: Load,
  options: Pick<SystemOptions, "subscriptions">,
  spread: { readonly types?: string; readonly namespaces?: number } = {},
): Promise<{ perSecond: number; residentMiB: number }> {
  const system = await System.start({ receiver: load.address, maxInFlight: 128, ...options });
  try {
    await system.settled(options.subscriptions.length);
    const command = { url: system.events(), connections: CONNECTIONS, ...spread };
    await load.run({ ...command, durationMs: WARM_UP_MS });
    const result = await load.run({ ...command, durationMs: context.seconds * 1_000 });
    if (result.missing > 0) throw new Error(`${result.missing} events did not arrive within 20 s`);
    return { perSecond: result.deliveredPerSecond, residentMiB: residentMiB(system.pid) };
  } finally {
    await system.stop();
  }
}
