import { describe, expect, test } from "vitest";
import { compileBody } from "../../../src/core/expression/compile.ts";
import type { Rendering } from "../../../src/core/payload.ts";
import type { Route } from "../../../src/core/route-table.ts";
import { StepBudgets } from "../../../src/core/expression/step-budgets.ts";
import { BodyDesk } from "../../../src/attempt/body-desk.ts";
import { anEvent, aRoute } from "../../support/delivery/attempt-input.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const NUMBERS = anEvent({ data: Buffer.from(JSON.stringify(Array.from({ length: 5_000 }, (_none, i) => i))) });

function bodied(source: string, namespace = "shop"): Route {
  const compiled = compileBody(source);
  if (!compiled.ok) throw new Error(compiled.problem.message);
  const made = aRoute({ url: "https://example.com/", route: { body: compiled.value } });
  const { subscription } = made;
  return {
    ...made,
    subscription: { ...subscription, namespace, spec: { ...subscription.spec, payload: { ...subscription.spec.payload, format: "Raw" } } },
  };
}

/** Bodies in the order in which they were made. */
function collected(desk: BodyDesk) {
  const made: string[] = [];
  const make = (name: string, route: Route): void =>
    desk.make(NUMBERS, route, (rendering: Rendering | undefined) =>
      made.push(`${name} ${rendering === undefined ? "none" : rendering.ok ? "made" : "failed"}`),
    );
  return { made, make };
}

describe("bodies by payload.body", () => {
  test("without loops are made at once; those with loops wait for a turn of the event loop, one after the other", async () => {
    const clock = new ManualClock();
    const desk = new BodyDesk(clock);
    const { made, make } = collected(desk);
    make("plain", bodied("{'n': event.type}"));
    make("loop", bodied("event.data.map(x, x + 1)"));
    make("plain", bodied("{'n': event.type}"));
    expect(made).toEqual(["plain made", "plain made"]);
    expect(desk.waiting).toBe(1);
    await clock.advance(1);
    expect(made).toEqual(["plain made", "plain made", "loop made"]);
    expect(desk.waiting).toBe(0);
  });

  test("a body with loops that has been found quick is made at once", async () => {
    const clock = new ManualClock();
    const desk = new BodyDesk(clock);
    const { made, make } = collected(desk);
    const quick = bodied("[1, 2].map(x, x + 1)");
    make("first", quick);
    await clock.advance(1);
    make("second", quick);
    expect(made).toEqual(["first made", "second made"]);
  });

  test("whose namespace has used up its steps wait until it has some again; those of others do not", async () => {
    const clock = new ManualClock();
    const desk = new BodyDesk(clock, new StepBudgets(50_000));
    const { made, make } = collected(desk);
    const costly = bodied("event.data.map(x, x + 1)");
    for (const name of ["first", "second", "third"]) make(name, costly);
    make("other", bodied("event.data.map(x, x + 2)", "other"));
    await clock.advance(1);
    expect(made).toEqual(["first made", "other made"]);
    make("cheap", bodied("{'n': event.type}"));
    expect(made.at(-1)).toBe("cheap made");
    await clock.advance(1_000);
    expect(made).not.toContain("third made");
    await clock.advance(4_000);
    expect(made.slice(-2)).toEqual(["second made", "third made"]);
  });

  test("that wait when Postrider stops are given up, each once", async () => {
    const clock = new ManualClock();
    const desk = new BodyDesk(clock, new StepBudgets(1));
    const { made, make } = collected(desk);
    const costly = bodied("event.data.map(x, x + 1)");
    for (const name of ["first", "second", "third"]) make(name, costly);
    await clock.advance(1);
    desk.close();
    expect(made).toEqual(["first made", "second none", "third none"]);
    await clock.advance(10_000_000);
    expect(made).toHaveLength(3);
    expect(desk.waiting).toBe(0);
  });
});

test("a thousand bodies that were quick the last time and are not now: a turn's worth is made at once, the rest waits for its turns", async () => {
  const clock = new ManualClock();
  const desk = new BodyDesk(clock, new StepBudgets(1e9));
  const few = anEvent({ data: Buffer.from("[1]") });
  const routes = Array.from({ length: 100 }, (_none, i) => bodied(`event.data.map(x, x + ${i})`));
  for (const route of routes) desk.make(few, route, () => undefined);
  await clock.advance(1);
  expect(desk.waiting).toBe(0);
  let made = 0;
  for (const route of routes) desk.make(NUMBERS, route, () => (made += 1));
  expect(made).toBeGreaterThan(0);
  expect(made).toBeLessThan(3);
  await clock.advance(1);
  expect(made).toBe(100);
});
