import { expect, it } from "vitest";
import { ProcessSignals } from "../../../src/cli/process-signals.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

function scene() {
  const clock = new ManualClock();
  const told: string[] = [];
  const signals = new ProcessSignals(clock, () => told.push("end"));
  signals.onStop(() => told.push("stop"));
  return { clock, told, signals };
}

it("stops once for a signal that npm delivers twice", async () => {
  const { clock, told, signals } = scene();
  signals.received();
  await clock.advance(999);
  signals.received();
  expect(told).toEqual(["stop"]);
});

it("ends at once for a second signal a second later", async () => {
  const { clock, told, signals } = scene();
  signals.received();
  await clock.advance(1_000);
  signals.received();
  expect(told).toEqual(["stop", "end"]);
});

it("ends at once when nothing runs yet, and stops what starts late", () => {
  const told: string[] = [];
  const signals = new ProcessSignals(new ManualClock(), () => told.push("end"));
  signals.received();
  signals.onStop(() => told.push("stop"));
  expect(told).toEqual(["end", "stop"]);
});
