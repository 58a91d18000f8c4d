import { expect, it } from "vitest";
import { Soon } from "../../../src/lib/soon.ts";

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

it("works once at the end of a turn, however often it is asked", async () => {
  const soon = new Soon();
  let times = 0;
  soon.does(() => (times += 1));
  soon.ask();
  soon.ask();
  expect(times).toBe(0);
  await turn();
  expect(times).toBe(1);
  await turn();
  expect(times).toBe(1);
});

it("works again in the next turn when it is asked while it works", async () => {
  const soon = new Soon();
  let times = 0;
  soon.does(() => {
    times += 1;
    if (times < 3) soon.ask();
  });
  soon.ask();
  await turn();
  expect(times).toBe(1);
  await turn();
  await turn();
  expect(times).toBe(3);
});
