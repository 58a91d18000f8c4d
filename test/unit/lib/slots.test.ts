import fc from "fast-check";
import { expect, it } from "vitest";
import { NumberMap } from "../../../src/lib/number-map.ts";
import { Slots } from "../../../src/lib/slots.ts";

it("holds what was added and not removed, whatever the order, and gives numbers out again", () => {
  const steps = fc.array(fc.oneof(fc.constant("add"), fc.nat({ max: 50 })), { maxLength: 300 });
  fc.assert(
    fc.property(steps, (all) => {
      const slots = new Slots<{ readonly name: number }>();
      const model = new Map<number, { readonly name: number }>();
      let most = 0;
      for (const [name, step] of all.entries()) {
        if (step === "add") {
          const item = { name };
          const at = slots.add(item);
          expect(model.has(at)).toBe(false);
          model.set(at, item);
          most = Math.max(most, model.size);
          expect(at).toBeLessThan(most);
        } else {
          const item = slots.get(step);
          expect(item).toBe(model.get(step));
          if (item !== undefined) slots.remove(step, item);
          model.delete(step);
        }
        expect(slots.size).toBe(model.size);
      }
      expect(new Set(slots)).toEqual(new Set(model.values()));
    }),
  );
});

it("does not remove the next one that got the number", () => {
  const slots = new Slots<object>();
  const [first, second] = [{}, {}];
  const at = slots.add(first);
  slots.remove(at, first);
  expect(slots.add(second)).toBe(at);
  slots.remove(at, first);
  expect([...slots]).toEqual([second]);
});

it("may be emptied while somebody walks through it", () => {
  const slots = new Slots<{ at: number }>();
  for (let i = 0; i < 5; i++) {
    const item = { at: 0 };
    item.at = slots.add(item);
  }
  let seen = 0;
  for (const item of slots) {
    seen += 1;
    slots.remove(item.at, item);
  }
  expect({ seen, size: slots.size }).toEqual({ seen: 5, size: 0 });
});

it("a NumberMap is a Map with numbers for keys", () => {
  const key = fc.oneof(
    fc.nat({ max: 600 }),
    fc.nat({ max: 3 }).map((far) => 2 ** 40 + far * 255),
  );
  const step = fc.record({ what: fc.constantFrom("set", "set", "delete", "clear", "get"), key });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const map = new NumberMap<object>();
      const model = new Map<number, object>();
      for (const { what, key: at } of steps) {
        const value = {};
        if (what === "set") {
          map.set(at, value);
          model.set(at, value);
        } else if (what === "delete") {
          map.delete(at);
          model.delete(at);
        } else if (what === "clear") {
          map.clear();
          model.clear();
        }
        expect(map.get(at)).toBe(model.get(at));
        expect(map.size).toBe(model.size);
      }
    }),
  );
});
