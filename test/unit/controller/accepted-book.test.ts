import { expect, it } from "vitest";
import { AcceptedBook, FLUSH_DELAY_MS } from "../../../src/controller/subscription/accepted-specs.ts";
import type { AcceptedSpec } from "../../../src/controller/subscription/accepted-specs.ts";
import { silentLog } from "../../support/silent-log.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

function accepted(generation: number): AcceptedSpec {
  return { uid: "u", namespace: "shop", name: "orders", generation, spec: {}, policy: {}, egress: {} } as unknown as AcceptedSpec;
}

it("keeps the newest of two that say the same, so that the older one's memory is freed, and writes it once", async () => {
  const clock = new ManualClock();
  const saved: number[] = [];
  const keep = {
    load: async () => [],
    save: async (specs: readonly AcceptedSpec[]) => void saved.push(...specs.map(({ generation }) => generation)),
    forget: async () => undefined,
  };
  const book = new AcceptedBook(keep, clock, silentLog);
  const [first, same, other] = [accepted(1), accepted(1), accepted(2)];
  book.put(first);
  await clock.advance(FLUSH_DELAY_MS);
  await book.flush();
  book.put(same);
  await book.flush();
  expect(book.get("u")).toBe(same);
  expect(saved).toEqual([1]);
  book.put(other);
  await book.flush();
  expect(book.get("u")).toBe(other);
  expect(saved).toEqual([1, 2]);
});
