import { pino } from "pino";
import { expect, it } from "vitest";
import { Supervisor } from "../../../src/app/supervise.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const log = pino({ level: "silent" });

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

it("stops services in reverse order, each when those after it have stopped", async () => {
  const told: string[] = [];
  const supervisor = new Supervisor(new ManualClock(), log);
  for (const name of ["store", "engine", "ingest"]) {
    supervisor.start({ name, run: async (signal) => untilAborted(signal).then(() => void told.push(name)) });
  }
  await Promise.all([supervisor.stop(), supervisor.stop()]);
  expect(told).toEqual(["ingest", "engine", "store"]);
});

it("starts a failed service again with backoff while others go on", async () => {
  const clock = new ManualClock();
  const supervisor = new Supervisor(clock, log);
  let runs = 0;
  supervisor.start({
    name: "shaky",
    run: (signal) => {
      runs += 1;
      return runs < 3 ? Promise.reject(new Error("boom")) : untilAborted(signal);
    },
  });
  await clock.advance(0);
  expect(runs).toBe(1);
  await clock.advance(200);
  expect(runs).toBe(2);
  await clock.advance(399);
  expect(runs).toBe(2);
  await clock.advance(1);
  expect(runs).toBe(3);
  await supervisor.stop();
});
