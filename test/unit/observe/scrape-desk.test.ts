import { expect, it } from "vitest";
import { ScrapeDesk } from "../../../src/observe/scrape-desk.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

/** A maker that ends when told; each text is its number. */
function scene() {
  const clock = new ManualClock();
  const ends: ((error?: Error) => void)[] = [];
  const desk = new ScrapeDesk<string, string>({
    clock,
    make: () =>
      new Promise<string>((resolve, reject) => {
        const text = String(ends.length + 1);
        ends.push((error) => (error === undefined ? resolve(text) : reject(error)));
      }),
  });
  const settled = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) await Promise.resolve();
  };
  const ask = (page = "one"): Promise<string> => desk.page(page);
  return { clock, ends, ask, settled };
}

it("one text is made at a time; all who ask meanwhile get the next one together", async () => {
  const { ends, ask, settled } = scene();
  const first = ask();
  await settled();
  const later = [ask(), ask(), ask()];
  await settled();
  expect(ends).toHaveLength(1);
  ends[0]?.();
  expect(await first).toBe("1");
  await settled();
  expect(ends).toHaveLength(2);
  ends[1]?.();
  expect(await Promise.all(later)).toEqual(["2", "2", "2"]);
});

it("the next begins no sooner after the last than that took", async () => {
  const { clock, ends, ask, settled } = scene();
  const first = ask();
  await settled();
  await clock.advance(400);
  ends[0]?.();
  await first;
  const second = ask();
  await settled();
  await clock.advance(390);
  expect(ends).toHaveLength(1);
  await clock.advance(20);
  expect(ends).toHaveLength(2);
  ends[1]?.();
  expect(await second).toBe("2");
});

it("one that fails fails for those who asked, and the next is made all the same", async () => {
  const { ends, ask, settled } = scene();
  const first = ask();
  await settled();
  const second = ask();
  ends[0]?.(new Error("a gauge threw"));
  await expect(first).rejects.toThrow("a gauge threw");
  await settled();
  ends[1]?.();
  expect(await second).toBe("2");
});

it("another page waits for its turn too, and so do not both begin when the one before ends", async () => {
  const { clock, ends, ask, settled } = scene();
  const first = ask();
  await settled();
  const [second, third] = [ask("one"), ask("other")];
  await clock.advance(100);
  ends[0]?.();
  await first;
  await settled();
  await clock.advance(100);
  await settled();
  expect(ends).toHaveLength(2);
  ends[1]?.();
  expect(await second).toBe("2");
  await settled();
  await clock.advance(100);
  await settled();
  expect(ends).toHaveLength(3);
  ends[2]?.();
  expect(await third).toBe("3");
});
