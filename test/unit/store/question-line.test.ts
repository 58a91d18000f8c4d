import { expect, it } from "vitest";
import type { Call, ReadCalls } from "../../../src/store/sqlite/calls.ts";
import { QuestionLine } from "../../../src/store/sqlite/question-line.ts";
import type { ReadChannel } from "../../../src/store/sqlite/read-channel.ts";
import { StoreError } from "../../../src/store/store.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const PAGE = { method: "history", args: [{ namespace: "shop", limit: 1 }, 0] } as const satisfies Call<ReadCalls>;
const RESULT = { method: "result", args: ["shop", "id", 0] } as const satisfies Call<ReadCalls>;

interface Asked {
  readonly method: string;
  readonly answer: () => void;
}

/** A line before threads that answer when they are told to. */
function lineOf(): { readonly clock: ManualClock; readonly line: QuestionLine; readonly asked: Asked[]; readonly threads: () => number } {
  const clock = new ManualClock();
  const asked: Asked[] = [];
  let threads = 0;
  const start = (): ReadChannel => {
    threads += 1;
    let gone: ((error: Error) => void)[] = [];
    const ask = ({ method }: Call<ReadCalls>): Promise<unknown> =>
      new Promise((resolve, reject) => {
        gone.push(reject);
        asked.push({ method, answer: () => resolve(method) });
      });
    const lose = (error: Error): void => {
      for (const reject of gone) reject(error);
      gone = [];
    };
    return { ask, break: lose } as unknown as ReadChannel;
  };
  return { clock, line: new QuestionLine(start, clock), asked, threads: () => threads };
}

it("asks for a result before all pages that wait, behind one of them at most", async () => {
  const { clock, line, asked, threads } = lineOf();
  expect(threads()).toBe(0);
  const pages = Array.from({ length: 5 }, () => line.ask(PAGE));
  const result = line.ask(RESULT);
  expect(asked.map(({ method }) => method)).toEqual(["history", "result"]);
  asked[1]?.answer();
  expect(await result).toBe("result");
  for (let page = 0; page < 5; page++) {
    asked.findLast(({ method }) => method === "history")?.answer();
    await clock.advance(0);
  }
  expect(await Promise.all(pages)).toHaveLength(5);
  expect(threads()).toBe(1);
});

it("rests for as long as a page took, while results go on", async () => {
  const { clock, line, asked } = lineOf();
  const first = line.ask(PAGE);
  const second = line.ask(PAGE);
  await clock.advance(40);
  asked[0]?.answer();
  await first;
  await clock.advance(39);
  expect(asked).toHaveLength(1);
  const result = line.ask(RESULT);
  expect(asked).toHaveLength(2);
  await clock.advance(1);
  expect(asked.map(({ method }) => method)).toEqual(["history", "result", "history"]);
  for (const { answer } of asked) answer();
  expect(await Promise.all([second, result])).toEqual(["history", "result"]);
});

it("answers who waits with an error when its thread ends, and starts another for the next", async () => {
  const { line, asked, threads } = lineOf();
  const lost = line.ask(PAGE);
  line.lost(new StoreError("unavailable", "it ended"));
  await expect(lost).rejects.toMatchObject({ code: "unavailable" });
  const next = line.ask(PAGE);
  asked.at(-1)?.answer();
  expect(await next).toBe("history");
  expect(threads()).toBe(2);
});
