import { describe, expect, it } from "vitest";
import { MISSES_FOR_MS, MISSES_MAX, type Place, QUESTIONS_MAX, QuestionPots } from "../../../src/kube/question-pots.ts";

function setup() {
  const state = { nowMs: 0 };
  const pots = new QuestionPots();
  const take = (namespace: string, account?: string): Place | undefined => pots.take({ namespace, account }, () => state.nowMs);
  /** Takes as many places as there are, and keeps them. */
  const fill = (namespaceOf: (n: number) => string, account?: string): number => {
    let taken = 0;
    for (let n = 0; n < 2_000; n++) if (take(namespaceOf(n), account) !== undefined) taken += 1;
    return taken;
  };
  return { state, take, fill };
}

describe("room for questions", () => {
  it("about signed tokens is apart from that about the others, full as these may be", () => {
    const { take, fill } = setup();
    for (const namespaceOf of [() => "shop", (n: number) => `n${n}`]) fill(namespaceOf);
    expect(take("shop")).toBeUndefined();
    expect(take("shop", "shop")).toBeDefined();
  });

  it("one namespace's accounts fill half of it, whatever namespaces they ask for, and each other one has its share", () => {
    const { take, fill } = setup();
    expect(fill((n) => `invented-${n}`, "greedy")).toBe(QUESTIONS_MAX / 2);
    for (let n = 0; n < 30; n++) expect(take("shop", `tenant-${n}`), `tenant-${n}`).toBeDefined();
  });

  it("strangers fill neither that of namespaces which have had a good token, nor more than 64 places", () => {
    const { take, fill } = setup();
    take("shop")?.("good");
    expect(fill((n) => `invented-${n}`)).toBeLessThanOrEqual(64);
    expect(take("invented-3000")).toBeUndefined();
    expect(take("shop")).toBeDefined();
  });

  it("a place that is given back is free again", () => {
    const { take } = setup();
    for (const end of ["good", "miss", "none"] as const) for (let n = 0; n < MISSES_MAX - 1; n++) take("shop", "shop")?.(end);
    expect(take("shop", "shop")).toBeDefined();
    for (let n = 0; n < 1_000; n++) take("bank")?.("none");
    expect(take("bank")).toBeDefined();
  });

  it("for a namespace whose unproven tokens come to nothing is over for a while, and for nobody else", () => {
    const { state, take } = setup();
    for (const namespace of ["shop", "bank"]) take(namespace)?.("good");
    for (let n = 0; n < MISSES_MAX; n++) take("shop")?.("miss");
    expect(take("shop")).toBeUndefined();
    expect(take("bank")).toBeDefined();
    expect(take("shop", "shop")).toBeDefined();
    state.nowMs = MISSES_FOR_MS;
    expect(take("shop")).toBeDefined();
  });

  it("for invented namespaces is over when 250 of their tokens have come to nothing, and not for one that has had a good one", () => {
    const { state, take } = setup();
    take("shop")?.("good");
    let asked = 0;
    for (let n = 0; n < 1_000; n++) {
      const place = take(`invented-${n}`);
      if (place === undefined) continue;
      asked += 1;
      place("miss");
    }
    expect(asked).toBe(250);
    expect(take("shop")).toBeDefined();
    state.nowMs = MISSES_FOR_MS;
    expect(take("invented-0")).toBeDefined();
  });
});
