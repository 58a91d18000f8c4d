import { lineReader, startPinned } from "./machine.ts";

/** Rate by the clock, and CPU of the process, which a busy neighbour on the core disturbs far less. */
export interface Rate {
  readonly perSecond: number;
  readonly cpuUs: number;
}

/** Runs one of the bare measurements on the first core. */
export async function bareScript(name: string, args: readonly string[]): Promise<Rate> {
  const child = startPinned(0, process.execPath, [`test/bench/bare/${name}.ts`, ...args]);
  const line = await lineReader(child)();
  return { perSecond: Number(line["perSecond"]), cpuUs: Number(line["cpuUs"]) };
}
