import { describe, expect, it } from "vitest";
import { WORKERS, WORKERS_PER_NAMESPACE, WorkQueue } from "../../../src/controller/work-queue.ts";
import { ManualClock, settle } from "../../support/time/manual-clock.ts";

function setup() {
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const queue = new WorkQueue({
    clock: new ManualClock(),
    namespaceOf: (key: string) => key.slice(0, key.indexOf("/")),
    work: (key) => {
      begun.push(key);
      return new Promise<void>((resolve) => ends.set(key, resolve));
    },
    onFailure: () => undefined,
  });
  queue.start();
  return { begun, ends, queue };
}

const many = (namespace: string, n: number): string[] => Array.from({ length: n }, (_, i) => `${namespace}/${i}`);

describe("the work queue", () => {
  it("gives one namespace a part of the workers, so that another's only key is begun although nothing of the first ends", async () => {
    const { begun, ends, queue } = setup();
    for (const key of many("stuck", 100)) queue.add(key);
    await settle();
    queue.add("other/a");
    await settle();
    expect(begun.filter((key) => key.startsWith("stuck/"))).toHaveLength(WORKERS_PER_NAMESPACE);
    expect(begun.at(-1)).toBe("other/a");
    ends.get("stuck/0")?.();
    await settle();
    await settle();
    expect(begun.at(-1)).toBe("stuck/8");
  });

  it("takes namespaces in turn", async () => {
    const { begun, queue } = setup();
    for (const key of [...many("a", 3), ...many("b", 3), "c/0"]) queue.add(key);
    await settle();
    expect(begun).toEqual(["a/0", "b/0", "c/0", "a/1", "b/1", "a/2", "b/2"]);
  });

  it("works on every key once, however many there are, and on one that is added meanwhile once more", async () => {
    const { begun, ends, queue } = setup();
    const keys = ["a", "b", "c", "d", "e", "f"].flatMap((namespace) => many(namespace, 20));
    for (const key of keys) queue.add(key);
    await settle();
    expect(begun).toHaveLength(WORKERS);
    queue.add("a/0");
    while (begun.length < keys.length + 1) {
      for (const [key, end] of ends) {
        ends.delete(key);
        end();
      }
      await settle();
    }
    expect(new Set(begun).size).toBe(keys.length);
    expect(begun.filter((key) => key === "a/0")).toHaveLength(2);
    for (const end of ends.values()) end();
    await queue.stop();
  });
});
