import type { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { ANSWER } from "../../../src/store/sqlite/message.ts";
import { PacketWriter } from "../../../src/store/sqlite/packet.ts";
import type { ToWriter } from "../../../src/store/sqlite/worker-message.ts";
import { WriteChannel } from "../../../src/store/sqlite/write-channel.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

/** A writer whose disk does not answer until it is told to. */
function frozen(): { readonly clock: ManualClock; readonly channel: WriteChannel; readonly answer: (callId: number) => void } {
  const clock = new ManualClock();
  const worker = { postMessage: (_message: ToWriter) => undefined } as unknown as Worker;
  const channel = new WriteChannel(worker, clock, undefined);
  const answer = (callId: number): void => {
    const out = new PacketWriter();
    for (const value of [0, 1, ANSWER.called, callId]) out.number(value);
    out.string("null");
    channel.answered(out.take().packet);
  };
  return { clock, channel, answer };
}

test("tells for how long the oldest write has waited, whichever is answered first", async () => {
  const { clock, channel, answer } = frozen();
  expect(channel.oldestMs()).toBe(0);
  const first = channel.call({ method: "forgetQueue", args: ["a", 0] });
  await clock.advance(40_000);
  const second = channel.call({ method: "forgetQueue", args: ["b", 0] });
  await clock.advance(5_000);
  expect(channel.oldestMs()).toBe(45_000);
  answer(0);
  await first;
  expect(channel.oldestMs()).toBe(5_000);
  answer(1);
  await second;
  expect(channel.oldestMs()).toBe(0);
});

test("a step of the wall clock ages no write", async () => {
  const { clock, channel, answer } = frozen();
  const write = channel.call({ method: "forgetQueue", args: ["a", 0] });
  clock.stepWall(3_600_000);
  expect(channel.oldestMs()).toBe(0);
  answer(0);
  await write;
});
