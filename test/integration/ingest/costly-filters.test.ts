import { afterEach, describe, expect, it } from "vitest";
import { compileFilter } from "../../../src/core/expression/compile.ts";
import type { Route } from "../../../src/core/route-table.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { cpuMs, slowness } from "../../support/expressions/pace.ts";
import { route, runningIngest, type RunningIngest } from "../../support/ingest/running-ingest.ts";

/** What an accept beside an attack may take: generous, for a machine that is busy elsewhere. */
const ACCEPT_MS_MAX = 5_000;
/** What the longest turn of the event loop may take of an idle processor: a slice, one evaluation, and what else there is to do. */
const TURN_MS_MAX = 100;
const BATCH = { "content-type": "application/cloudevents-batch+json" };
const NESTED = "event.data.a.all(x, event.data.a.all(y, x + y >= -1)) == false";

let running: RunningIngest;

/** Processor time of each turn of the event loop, as long as it runs. */
class TurnMeter {
  longestMs = 0;
  #lastMs = cpuMs();
  #isOn = true;

  constructor() {
    this.#next();
  }

  stop(): void {
    this.#isOn = false;
  }

  #next(): void {
    setImmediate(() => {
      const nowMs = cpuMs();
      this.longestMs = Math.max(this.longestMs, nowMs - this.#lastMs);
      this.#lastMs = nowMs;
      if (this.#isOn) this.#next();
    });
  }
}

/** A second of it takes twenty. */
class SlowClock extends SystemClock {
  override monotonicMs(): number {
    return super.monotonicMs() / 20;
  }
}

afterEach(() => running.stop());

function filtered(name: string, source: string, namespace = "shop"): Route {
  const compiled = compileFilter(source);
  if (!compiled.ok) throw new Error(compiled.problem.message);
  const made = route(name, ["order.*"]);
  return { ...made, filter: compiled.value, subscription: { ...made.subscription, namespace } };
}

const good = (): Route => filtered("good", "event.data.n > 0", "other");

function event(i: number, data: unknown): object {
  return { specversion: "1.0", id: `${i}`, source: "/s", type: "order.paid", data };
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_none, i) => i);

/** Sends one request of `shop`, and accepts of another namespace for as long as that takes. */
async function beside(
  body: string,
  headers: Record<string, string> = {},
): Promise<{ answer: Response; slowestMs: number; longestTurnMs: number; accepted: number }> {
  // The filters were compiled in one turn: what is measured begins behind it.
  await running.post('{"type":"order.paid","data":{"n":1}}', {}, "other");
  const turns = new TurnMeter();
  const sent = { done: false };
  const answer = running.post(body, headers).finally(() => (sent.done = true));
  let slowestMs = 0;
  let accepted = 0;
  while (!sent.done || accepted < 5) {
    const startedMs = performance.now();
    const { status } = await running.post('{"type":"order.paid","data":{"n":1}}', {}, "other");
    expect(status).toBe(202);
    slowestMs = Math.max(slowestMs, performance.now() - startedMs);
    accepted += 1;
  }
  turns.stop();
  return { answer: await answer, slowestMs, longestTurnMs: turns.longestMs, accepted };
}

function expectOthersUnharmed({ slowestMs, longestTurnMs }: { readonly slowestMs: number; readonly longestTurnMs: number }): void {
  expect(slowestMs).toBeLessThan(ACCEPT_MS_MAX);
  expect(longestTurnMs / slowness()).toBeLessThan(TURN_MS_MAX);
}

describe("filters that cost too much", () => {
  it("of a batch of 1,000 events are asked until its allowance is used up; nothing is stored, and nobody else waits", async () => {
    running = await runningIngest({ routes: [...numbers(5).map((i) => filtered(`nested-${i}`, NESTED)), good()] });
    const body = JSON.stringify(numbers(1_000).map((i) => event(i, { a: numbers(60) })));
    const seen = await beside(body, BATCH);
    const { answer, accepted } = seen;
    expect(answer.status).toBe(429);
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    const problem = (await answer.json()) as { code: string; detail: string; index: number };
    expect(problem.code).toBe("filters_too_costly");
    expect(problem.detail).toMatch(
      /Nothing was stored.*2400000 steps allowed for one request with the first \d+ of 1000 events: send fewer events/,
    );
    expect(problem.index).toBeGreaterThan(0);
    expect(running.intake.admitted).toBe(accepted + 1);
    expectOthersUnharmed(seen);
  }, 120_000);

  it("of a batch of 4 MiB hold up nobody", async () => {
    running = await runningIngest({ routes: [...numbers(5).map((i) => filtered(`nested-${i}`, NESTED)), good()] });
    const body = JSON.stringify(numbers(18).map((i) => event(i, { a: numbers(35_000) })));
    expect(body.length).toBeGreaterThan(3 * 1024 * 1024);
    const seen = await beside(body, BATCH);
    const { answer } = seen;
    expect(answer.status).toBe(429);
    expectOthersUnharmed(seen);
  }, 120_000);

  it("a thousand of them on one event: refused with what to do, and nobody else waits", async () => {
    const hostile = numbers(1_000).map((i) =>
      filtered(`hostile-${i}`, `event.data.a.all(x, event.data.a.all(y, x + y != -${i + 1})) == false`),
    );
    running = await runningIngest({ routes: [filtered("innocent", "event.data.a.size() == 500"), ...hostile, good()] });
    const body = JSON.stringify({ type: "order.paid", data: { a: numbers(500) } });
    const seen = await beside(body);
    const { answer } = seen;
    expect(await answer.json()).toMatchObject({
      code: "filters_too_costly",
      detail: expect.stringMatching(/need more than the 600000 steps allowed for one event: the costliest now pause/) as string,
    });
    expectOthersUnharmed(seen);
  }, 120_000);

  it("rest once they made an event be refused, until it goes in with all whom it concerns", async () => {
    const hostile = numbers(12).map((i) =>
      filtered(`hostile-${i}`, `event.data.a.all(x, event.data.a.all(y, x + y != -${i + 1})) == false`),
    );
    running = await runningIngest({ routes: [...hostile, filtered("innocent", "event.data.a.exists(x, x == 499)")] });
    const body = JSON.stringify({ type: "order.paid", data: { a: numbers(500) } });
    expect((await running.post(body)).status).toBe(429);
    let matched: number | undefined;
    const accepted = async (): Promise<boolean> => {
      const answer = await running.post(body);
      if (answer.status === 202) ({ matched } = (await answer.json()) as { matched: number });
      return answer.status === 202;
    };
    await expect.poll(accepted, { timeout: 60_000, interval: 250 }).toBe(true);
    expect(matched).toBe(1);
  }, 120_000);

  it("leave what is cheap alone: while the namespace owes steps, events without costly filters go in", async () => {
    const cheap = route("cheap", ["plain.*"]);
    running = await runningIngest({
      clock: new SlowClock(),
      routes: [
        ...numbers(5).map((i) => filtered(`nested-${i}`, NESTED)),
        cheap,
        { ...filtered("simple", "event.data.n == 1"), draining: false },
      ],
    });
    const costly = JSON.stringify(numbers(200).map((i) => event(i, { a: numbers(60) })));
    const answers = await Promise.all(numbers(4).map(() => running.post(costly, BATCH)));
    expect(answers.map(({ status }) => status)).toEqual([429, 429, 429, 429]);
    const details = await Promise.all(answers.map(async (one) => ((await one.json()) as { detail: string }).detail));
    expect(details.filter((detail) => detail.includes("2000000 steps a second")).length).toBeGreaterThan(0);
    const plain = await running.post('{"type":"plain.one","data":{"n":1}}');
    expect([plain.status, ((await plain.json()) as { matched: number }).matched]).toEqual([202, 1]);
    const simple = await running.post('{"type":"order.paid","data":{"a":[],"n":1}}');
    expect([simple.status, ((await simple.json()) as { matched: number }).matched]).toEqual([202, 1]);
  }, 120_000);
});
