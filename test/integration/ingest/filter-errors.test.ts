import { afterEach, describe, expect, it } from "vitest";
import { compileFilter } from "../../../src/core/expression/compile.ts";
import type { Route } from "../../../src/core/route-table.ts";
import { route, runningIngest, type RunningIngest } from "../../support/ingest/running-ingest.ts";

let running: RunningIngest | undefined;
afterEach(async () => {
  await running?.stop();
  running = undefined;
});

function filtered(name: string, source: string): Route {
  const filter = compileFilter(source);
  if (!filter.ok) throw new Error(filter.problem.message);
  return route(name, ["order.*"], filter.value);
}

type Answer = Readonly<Record<string, unknown>> & { readonly items?: readonly Readonly<Record<string, unknown>>[] };

async function start(routes: readonly Route[]): Promise<RunningIngest> {
  running = await runningIngest({ routes });
  return running;
}

async function post(body: unknown, headers: Record<string, string> = { "content-type": "application/json" }): Promise<Answer> {
  const answer = await running!.post(JSON.stringify(body), headers);
  return (await answer.json()) as Answer;
}

const failed = (subscription: string) => ({ subscription, message: expect.stringContaining("found no matching overload for '_>_'") });

describe("a filter that fails for an event", () => {
  it("is named in the answer, so that the producer learns at once who does not get it, and why", async () => {
    await start([filtered("crm", "event.data.total > 10"), route("mail", ["order.*"])]);
    expect(await post({ type: "order.paid", data: { total: "12.50" } })).toMatchObject({ matched: 1, filterErrors: [failed("crm")] });
    expect(await post({ type: "order.paid", data: { total: 9 } })).not.toHaveProperty("filterErrors");
  });

  it("is not named in the answer to a duplicate, which nothing follows from", async () => {
    await start([filtered("crm", "event.data.total > 10")]);
    const headers = { "content-type": "application/json", "idempotency-key": "k" };
    expect(await post({ type: "order.paid", data: { total: "1" } }, headers)).toMatchObject({ filterErrors: [failed("crm")] });
    const again = await post({ type: "order.paid", data: { total: "1" } }, headers);
    expect(again).toMatchObject({ duplicate: true });
    expect(again).not.toHaveProperty("filterErrors");
  });

  it("is named with its event in a batch, and at most 10 in an answer, whatever they say", async () => {
    const long = `event.data.total > 10 && '${"x".repeat(1_000)}' != ''`;
    await start(Array.from({ length: 4 }, (_, i) => filtered(`s${i}`, long)));
    const event = (id: number, total: unknown) => ({
      specversion: "1.0",
      id: String(id),
      source: "/s",
      type: "order.paid",
      data: { total },
    });
    const batch = [event(1, 99), ...Array.from({ length: 5 }, (_, i) => event(i + 2, "1"))];
    const { items = [] } = await post(batch, { "content-type": "application/cloudevents-batch+json" });
    expect(items.map(({ filterErrors = [] }) => (filterErrors as unknown[]).length)).toEqual([0, 4, 4, 2, 0, 0]);
    for (const { filterErrors = [] } of items)
      for (const { message } of filterErrors as { message: string }[]) expect(message.length).toBeLessThanOrEqual(256);
  });
});
