import fc from "fast-check";
import { expect, test } from "vitest";
import { Line } from "../../../src/core/line.ts";

test("a line is an array whose ends move: in any order of pushes, shifts and put-backs", () => {
  const steps = fc.array(fc.constantFrom("push", "push", "push many", "shift", "shift", "shift many", "unshift"), {
    maxLength: 80,
    size: "max",
  });
  fc.assert(
    fc.property(steps, (taken) => {
      const line = new Line<number>();
      const model: number[] = [];
      let next = 0;
      const once = (what: string): void => {
        if (what === "push") {
          line.push(++next);
          model.push(next);
        } else if (what === "unshift") {
          line.unshift(++next);
          model.unshift(next);
        } else if (line.shift() !== model.shift()) expect.unreachable("another came out than went in first");
      };
      for (const what of taken) {
        // More than the head may move before the array is cut.
        const times = what.endsWith("many") ? 700 : 1;
        for (let n = 0; n < times; n++) once(what.replace(" many", ""));
        expect([line.length, line.peek()]).toEqual([model.length, model[0]]);
      }
      while (model.length > 0) once("shift");
      expect(line.shift()).toBeUndefined();
    }),
    { numRuns: 25 },
  );
});
