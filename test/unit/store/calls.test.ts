import { expect, it } from "vitest";
import { answerCall, type AnswerTo, type Call } from "../../../src/store/sqlite/calls.ts";

interface Sums {
  add(a: number, b: number): number;
  name(): string;
}

const SUMS: Sums = { add: (a, b) => a + b, name: () => "sums" };
const answer = (call: Call<Sums>): number | string => answerCall<Sums, keyof Sums>(SUMS, call);

it("gives a call's arguments to the method that it names", () => {
  const calls: Call<Sums>[] = [
    { method: "add", args: [1, 2] },
    { method: "name", args: [] },
  ];
  expect(calls.map(answer)).toEqual([3, "sums"]);
  const sum: AnswerTo<Sums, { readonly method: "add"; readonly args: [number, number] }> = 3;
  expect(sum).toBe(3);
});

it("does not compile with a name that nobody answers, with arguments of another call, or with an answer of one", () => {
  // @ts-expect-error -- `npm run types` fails as soon as one of these is taken.
  expect(() => answer({ method: "subtract", args: [1, 2] })).toThrow(TypeError);
  // @ts-expect-error
  expect(answer({ method: "add", args: ["1", "2"] })).toBe("12");
  // @ts-expect-error
  expect(answer({ method: "name", args: [1] })).toBe("sums");
  // @ts-expect-error
  const sum: AnswerTo<Sums, { readonly method: "add"; readonly args: [number, number] }> = "3";
  expect(sum).toBe("3");
});
