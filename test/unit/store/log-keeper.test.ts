import type { DatabaseSync } from "node:sqlite";
import { expect, it } from "vitest";
import { LogKeeper } from "../../../src/store/sqlite/log-keeper.ts";
import { ReadGate } from "../../../src/store/sqlite/read-gate.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const MIB_PAGES = 1_048_576 / 8_192;

/** A keeper of a log of so many MiB, none of which any pass can copy: a reader of another process stands in the way. */
function stuck(): {
  readonly clock: ManualClock;
  readonly keeper: LogKeeper;
  readonly grow: (mib: number) => void;
  passes: number;
  asks: number;
} {
  const clock = new ManualClock();
  let log = 0;
  const db = {
    prepare: () => ({ get: () => ({ log, checkpointed: 0 }) }),
    exec: () => (state.passes += 1),
  } as unknown as DatabaseSync;
  const help = (): void => void (state.asks += 1);
  const keeper = new LogKeeper({ db, clock, help, gate: new ReadGate(), guard: (work) => work() });
  const state = { clock, keeper, passes: 0, asks: 0, grow: (mib: number) => void (log += mib * MIB_PAGES) };
  return state;
}

it("hands over a log of 4 MiB once, and again when as much has been written since a pass that failed", () => {
  const state = stuck();
  state.grow(3);
  state.keeper.afterCommit();
  expect(state.asks).toBe(0);
  state.grow(2);
  for (let commit = 0; commit < 10; commit++) state.keeper.afterCommit();
  expect(state).toMatchObject({ asks: 1, passes: 0 });
  state.keeper.checkpointed();
  expect(state.passes).toBe(1);
  for (let commit = 0; commit < 10; commit++) state.keeper.afterCommit();
  expect(state.asks).toBe(1);
  state.grow(4);
  state.keeper.afterCommit();
  expect(state.asks).toBe(2);
});

it("makes a pass of its own above 64 MiB once a second, not with each commit", async () => {
  const state = stuck();
  state.grow(65);
  for (let commit = 0; commit < 1_000; commit++) state.keeper.afterCommit();
  expect(state.passes).toBe(1);
  for (let second = 0; second < 5; second++) {
    await state.clock.advance(1_000);
    for (let commit = 0; commit < 100; commit++) state.keeper.afterCommit();
  }
  expect(state.passes).toBe(6);
});
