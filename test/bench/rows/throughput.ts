import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cpuSecondsOf, lineReader, startPinned } from "../machine.ts";
import { median, row, type BenchContext, type Row } from "../row.ts";
import { System } from "../system.ts";

const CONNECTIONS = 128;

interface Round {
  readonly bare: number;
  readonly answer: number;
  readonly store: number;
  readonly endToEnd: number;
  readonly cpuUs: number;
}

async function bareScript(name: string, args: readonly string[]): Promise<number> {
  const child = startPinned(0, process.execPath, [`test/bench/bare/${name}.ts`, ...args]);
  return Number((await lineReader(child)())["perSecond"]);
}

async function bareAnswer(context: BenchContext): Promise<number> {
  const child = startPinned(0, process.execPath, ["test/bench/bare/bare-answer.ts"]);
  const { port } = await lineReader(child)();
  const url = `http://127.0.0.1:${String(port)}/events`;
  const result = await context.load.run({ url, durationMs: context.seconds * 1_000, connections: CONNECTIONS, waitMs: 1 });
  child.stdin?.end();
  return result.accepted / context.seconds;
}

async function bareStore(context: BenchContext): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), "postrider-bare-"));
  try {
    return await bareScript("bare-store", [directory, String(context.seconds)]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function endToEnd(context: BenchContext): Promise<{ perSecond: number; cpuUs: number }> {
  const system = await System.start({
    receiver: context.load.address,
    subscriptions: [{ name: "one", type: "bench.*" }],
    maxInFlight: 128,
  });
  try {
    await context.load.run({ url: system.events(), durationMs: 2_000, connections: CONNECTIONS });
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
    const bare = await bareScript("bare-dispatch", [`http://${context.load.address}/hook`, String(CONNECTIONS), String(context.seconds)]);
    const answer = await bareAnswer(context);
    const store = await bareStore(context);
    const { perSecond, cpuUs } = await endToEnd(context);
    rounds.push({ bare, answer, store, endToEnd: perSecond, cpuUs });
    const parts = [bare, answer, store, perSecond].map((value) => Math.round(value));
    context.progress(
      `round ${round}: bare ${parts[0]}/s, 202 ${parts[1]}/s, store ${parts[2]}/s, end to end ${parts[3]}/s (${cpuUs.toFixed(0)} µs CPU each)`,
    );
  }
  const at = (pick: (round: Round) => number): number => median(rounds.map(pick));
  const partsUs = (round: Round): number => 1e6 / round.bare + 1e6 / round.answer + 1e6 / round.store;
  const figures = {
    barePerSecond: at((r) => r.bare),
    answerPerSecond: at((r) => r.answer),
    storePerSecond: at((r) => r.store),
    endToEndPerSecond: at((r) => r.endToEnd),
    cpuUsPerDelivery: at((r) => r.cpuUs),
  };
  return [
    row({
      name: "events/s end to end, 1:1, durable, signed, against bare",
      figure: at((r) => r.endToEnd / r.bare),
      unit: "ratio",
      better: ">=",
      floor: 0.2,
      goal: 0.35,
      parts: figures,
    }),
    row({
      name: "the same against the sum of its parts (µs)",
      figure: at((r) => partsUs(r) / (1e6 / r.endToEnd)),
      unit: "ratio",
      better: ">=",
      floor: 0.6,
      goal: 0.85,
      parts: figures,
    }),
  ];
}
