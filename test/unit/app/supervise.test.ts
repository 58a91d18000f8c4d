import { expect, it } from "vitest";
import { Supervisor } from "../../../src/app/supervise.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";
import { silentLog } from "../../support/silent-log.ts";

const log = silentLog;

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

it("stops those it is told to, all at once, and later all that are left", async () => {
  const told: string[] = [];
  const supervisor = new Supervisor(new ManualClock(), log);
  const services = ["store", "engine", "ingest"].map((name) => ({
    name,
    run: async (signal: AbortSignal) => untilAborted(signal).then(() => void told.push(name)),
  }));
  for (const service of services) supervisor.start(service);
  expect(await supervisor.stop(1_000, services.slice(1))).toEqual([]);
  expect(told).toEqual(["engine", "ingest"]);
  expect(await Promise.all([supervisor.stop(1_000), supervisor.stop(1_000)])).toEqual([[], []]);
  expect(told).toEqual(["engine", "ingest", "store"]);
});

it("leaves behind whoever does not stop in time, and names him", async () => {
  const clock = new ManualClock();
  const supervisor = new Supervisor(clock, log);
  supervisor.start({ name: "quick", run: untilAborted });
  supervisor.start({ name: "stuck", run: () => new Promise(() => undefined) });
  const stopped = supervisor.stop(1_000);
  let left: readonly string[] | undefined;
  void stopped.then((names) => (left = names));
  await clock.advance(999);
  expect(left).toBeUndefined();
  await clock.advance(1);
  expect(left).toEqual(["stuck"]);
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
  await supervisor.stop(1_000);
});
