import { expect, it } from "vitest";
import {
  READ_WAIT_MS_MAX,
  ReadDesk,
  READS_MAX,
  READS_WAITING_EACH_MAX,
  READS_WAITING_MAX,
  type Turn,
} from "../../../src/admin/read-desk.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const NEVER = new AbortController().signal;

/** A desk whose places are all taken by `shop`, and everything that was told to whoever came after. */
async function busy(): Promise<{
  readonly clock: ManualClock;
  readonly desk: ReadDesk;
  readonly leave: (() => void)[];
  readonly told: string[];
  readonly come: (namespace: string, caller: string, signal?: AbortSignal) => void;
}> {
  const clock = new ManualClock();
  const desk = new ReadDesk(clock);
  const leave: (() => void)[] = [];
  const told: string[] = [];
  const hear = (name: string, turn: Turn): void => {
    told.push(turn === undefined ? `${name} refused` : name);
    if (turn !== undefined) leave.push(turn);
  };
  const come = (namespace: string, caller: string, signal = NEVER): void =>
    void desk.enter({ namespace, caller }, signal).then((turn) => hear(`${namespace}/${caller}`, turn));
  for (let i = 0; i < READS_MAX; i++) come("shop", "first");
  await clock.advance(0);
  expect(told.splice(0)).toEqual(Array.from({ length: READS_MAX }, () => "shop/first"));
  return { clock, desk, leave, told, come };
}

it("lets namespaces, and callers of one, take turns, whoever came first with however many", async () => {
  const { clock, leave, told, come } = await busy();
  for (let i = 0; i < 10; i++) come("shop", "greedy");
  come("shop", "modest");
  come("depot", "single");
  for (let turns = 0; turns < 4; turns++) {
    leave.shift()?.();
    await clock.advance(0);
  }
  expect(told).toEqual(["shop/greedy", "depot/single", "shop/modest", "shop/greedy"]);
});

it("refuses the caller's own question too many, and nobody else's", async () => {
  const { clock, told, come } = await busy();
  for (let i = 0; i <= READS_WAITING_EACH_MAX; i++) come("shop", "greedy");
  come("shop", "modest");
  await clock.advance(0);
  expect(told).toEqual(["shop/greedy refused"]);
});

it("makes room for who waits less when all places to wait are taken", async () => {
  const { clock, told, come } = await busy();
  for (let i = 0; i < READS_WAITING_MAX; i++) come("crowd", `caller ${Math.floor(i / READS_WAITING_EACH_MAX)}`);
  await clock.advance(0);
  expect(told).toEqual([]);
  come("depot", "single");
  await clock.advance(0);
  expect(told.splice(0)).toEqual([expect.stringMatching(/^crowd\/.* refused$/)]);
  come("crowd", "another");
  await clock.advance(0);
  expect(told).toEqual(["crowd/another refused"]);
});

it("lets nobody wait for longer than the limit, and gives the place of who hung up to the next", async () => {
  const { clock, leave, told, come } = await busy();
  const hangUp = new AbortController();
  come("shop", "gone", hangUp.signal);
  come("depot", "late");
  hangUp.abort();
  await clock.advance(READ_WAIT_MS_MAX - 1);
  expect(told).toEqual(["shop/gone refused"]);
  await clock.advance(1);
  expect(told.splice(0)).toEqual(["shop/gone refused", "depot/late refused"]);
  come("depot", "next");
  leave.shift()?.();
  await clock.advance(0);
  expect(told).toEqual(["depot/next"]);
  expect(clock.timers).toBe(0);
});

it("counts a place that is left twice once", async () => {
  const { clock, leave, told, come } = await busy();
  for (let i = 0; i < 4; i++) come("shop", "other");
  leave[0]?.();
  leave[0]?.();
  await clock.advance(0);
  expect(told).toEqual(["shop/other"]);
});
