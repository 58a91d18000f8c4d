import { afterEach, beforeEach, vi } from "vitest";
import { commandsOf } from "../../../src/cli/commands.ts";
import { ProcessSignals } from "../../../src/cli/process-signals.ts";
import { createProgram, runProgram } from "../../../src/cli/program.ts";
import { type Clock, SystemClock } from "../../../src/lib/clock.ts";
import { systemRandom } from "../../../src/lib/random.ts";

/** What one command did. */
export interface CliRun {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

const never = (): never => {
  throw new Error("no operator is started by this test");
};

/** Runs commands of the whole program in this process, the two streams kept apart; each test begins with no exit code. */
export function cliRuns(clock: Clock = new SystemClock()): (...argv: readonly string[]) => Promise<CliRun> {
  const text = { out: "", err: "" };
  beforeEach(() => {
    vi.spyOn(process.stdout, "write").mockImplementation((chunk) => ((text.out += String(chunk)), true));
    vi.spyOn(process.stderr, "write").mockImplementation((chunk) => ((text.err += String(chunk)), true));
  });
  afterEach(() => {
    vi.restoreAllMocks();
    process.exitCode = undefined;
  });
  return async (...argv) => {
    text.out = "";
    text.err = "";
    process.exitCode = undefined;
    const signals = new ProcessSignals(clock, () => undefined);
    const commands = await commandsOf({ version: "0.0.0", start: never, connect: never, signals, clock, random: systemRandom }, argv);
    const code = await runProgram(createProgram("0.0.0", commands), argv);
    return { code, ...text };
  };
}
