import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bareScript, type Rate } from "../bare-script.ts";
import { cpuSecondsOf, lineReader, startPinned } from "../machine.ts";
import { median, row, type BenchContext, type Row } from "../row.ts";
import { System } from "../system.ts";

export const CONNECTIONS = 128;
const WARM_UP_MS = 6_000;

interface Round {
  readonly bare: Rate;
  readonly answer: Rate;
  readonly store: Rate;
  readonly endToEnd: Rate;
}

async function bareAnswer(context: BenchContext): Promise<Rate> {
  const child = startPinned(0, process.execPath, ["test/bench/bare/bare-answer.ts"]);
  const { port } = await lineReader(child)();
  const url = `http://127.0.0.1:${String(port)}/events`;
  const pid = child.pid ?? 0;
  await context.load.run({ url, durationMs: 500, connections: CONNECTIONS, waitMs: 1 });
  const cpuBefore = cpuSecondsOf(pid);
  const result = await context.load.run({ url, durationMs: context.seconds * 1_000, connections: CONNECTIONS, waitMs: 1 });
  const cpuUs = ((cpuSecondsOf(pid) - cpuBefore) * 1e6) / result.accepted;
  child.stdin?.end();
  return { perSecond: result.accepted / context.seconds, cpuUs };
}

async function bareStore(context: BenchContext): Promise<Rate> {
  const directory = mkdtempSync(join(tmpdir(), "postrider-bare-"));
  try {
    return await bareScript("bare-store", [directory, String(context.seconds)]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** What a delivery is made of, each alone. */
export async function measureParts(context: BenchContext): Promise<Pick<Round, "bare" | "answer" | "store">> {
  const bare = await bareScript("bare-dispatch", [`http://${context.load.address}/hook`, String(CONNECTIONS), String(context.seconds)]);
  return { bare, answer: await bareAnswer(context), store: await bareStore(context) };
}

async function endToEnd(context: BenchContext): Promise<Rate> {
  const system = await System.start({
    receiver: context.load.address,
    subscriptions: [{ name: "one", type: "bench.*" }],
    maxInFlight: 128,
  });
  try {
    // Until the compiler has settled: it takes some seconds on one core and costs as much as the work itself.
    await context.load.run({ url: system.events(), durationMs: WARM_UP_MS, connections: CONNECTIONS });
    const cpuBefore = cpuSecondsOf(system.pid);
    const result = await context.load.run({ url: system.events(), durationMs: context.seconds * 1_000, connections: CONNECTIONS });
    if (result.missing > 0) throw new Error(`${result.missing} accepted events did not arrive within 20 s`);
    if (result.cpuShare > 0.6) context.progress(`void: the load generator used ${(result.cpuShare * 100).toFixed(0)} % of its core`);
    return { perSecond: result.deliveredPerSecond, cpuUs: ((cpuSecondsOf(system.pid) - cpuBefore) * 1e6) / result.received };
  } finally {
    await system.stop();
  }
}

/** End to end 1:1 against bare, and against the sum of its parts; every round measures all of them side by side. */
export async function throughputRows(context: BenchContext): Promise<Row[]> {
  const rounds: Round[] = [];
  for (let round = 1; round <= context.rounds; round++) {
    const { bare, answer, store } = await measureParts(context);
    const whole = await endToEnd(context);
    rounds.push({ bare, answer, store, endToEnd: whole });
    const told = Object.entries({ bare, "202": answer, store, "end to end": whole });
    const text = told.map(([name, rate]) => `${name} ${Math.round(rate.perSecond)}/s (${rate.cpuUs.toFixed(0)} µs CPU)`).join(", ");
    context.progress(`round ${round}: ${text}`);
  }
  const at = (pick: (round: Round) => number): number => median(rounds.map(pick));
  const partsUs = (round: Round): number => 1e6 / round.bare.perSecond + 1e6 / round.answer.perSecond + 1e6 / round.store.perSecond;
  const partsCpuUs = (round: Round): number => round.bare.cpuUs + round.answer.cpuUs + round.store.cpuUs;
  const figures = {
    barePerSecond: at((r) => r.bare.perSecond),
    answerPerSecond: at((r) => r.answer.perSecond),
    storePerSecond: at((r) => r.store.perSecond),
    endToEndPerSecond: at((r) => r.endToEnd.perSecond),
    bareCpuUs: at((r) => r.bare.cpuUs),
    answerCpuUs: at((r) => r.answer.cpuUs),
    storeCpuUs: at((r) => r.store.cpuUs),
    endToEndCpuUs: at((r) => r.endToEnd.cpuUs),
    bareByCpu: at((r) => r.bare.cpuUs / r.endToEnd.cpuUs),
    sumByCpu: at((r) => partsCpuUs(r) / r.endToEnd.cpuUs),
  };
  return [
    row({
      name: "events/s end to end, 1:1, durable, signed, against bare",
      figure: at((r) => r.endToEnd.perSecond / r.bare.perSecond),
      unit: "ratio",
      better: ">=",
      floor: 0.2,
      goal: 0.35,
      parts: figures,
    }),
    row({
      name: "the same against the sum of its parts (µs)",
      figure: at((r) => partsUs(r) / (1e6 / r.endToEnd.perSecond)),
      unit: "ratio",
      better: ">=",
      floor: 0.6,
      goal: 0.85,
      parts: figures,
    }),
  ];
}
