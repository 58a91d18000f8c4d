import { describe, expect, it } from "vitest";
import { Changes, until, untilGiven } from "../../support/until.ts";

describe("waiting in tests", () => {
  it("looks again until it holds", async () => {
    let looks = 0;
    await until(() => ++looks === 3, { everyMs: 1 });
    expect(looks).toBe(3);
  });

  it("answers the first value that there is", async () => {
    const values = [undefined, 0, 1];
    expect(await untilGiven(() => values.shift(), { everyMs: 1 })).toBe(0);
  });

  it("fails in time, with what there was instead", async () => {
    await expect(until(() => false, { withinMs: 5, everyMs: 1, seen: () => ["a"] })).rejects.toThrow('not within 5 ms: ["a"]');
    await expect(untilGiven(() => undefined, { withinMs: 5, everyMs: 1 })).rejects.toThrow("not within 5 ms: () => undefined");
  });

  it("looks after a change, and only then", async () => {
    const changes = new Changes();
    let looks = 0;
    const held = changes.until(() => ++looks === 2);
    await Promise.resolve();
    expect(looks).toBe(1);
    changes.happened();
    await held;
    expect(looks).toBe(2);
  });

  it("fails in time where nothing changes", async () => {
    await expect(new Changes().until(() => false, { withinMs: 5, seen: () => "nothing" })).rejects.toThrow("not within 5 ms: nothing");
  });
});
