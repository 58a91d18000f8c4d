import { afterEach, expect, it } from "vitest";
import type { Route } from "../../../src/core/route-table.ts";
import { route, runningIngest, type RunningIngest } from "../../support/ingest/running-ingest.ts";

let ingest: RunningIngest | undefined;
afterEach(async () => {
  await ingest?.stop();
  ingest = undefined;
});

function limited(name: string, fanOutMax: number): Route {
  const made = route(name, ["order.*"]);
  return { ...made, subscription: { ...made.subscription, fanOutMax } };
}

const EVENT = '{"type":"order.paid","data":{"n":1}}';
const TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

it("accepts as many subscriptions as limits.fanOut allows, and refuses one more", async () => {
  ingest = await runningIngest({ routes: [limited("a", 2), limited("b", 2)] });
  expect((await ingest.post(EVENT)).status).toBe(202);
  await ingest.stop();
  ingest = await runningIngest({ routes: [limited("a", 2), limited("b", 2), limited("c", 2)] });
  const answer = await ingest.post(EVENT);
  expect(answer.status).toBe(422);
  const problem = (await answer.json()) as { code: string; detail: string };
  expect(problem.code).toBe("fan_out_exceeded");
  expect(problem.detail).toContain("matches 3 subscriptions, more than the 2");
  expect(ingest.intake.admitted).toBe(0);
});

it.each([
  ["the request's own trace", { traceparent: TRACE }, TRACE],
  ["nothing for a malformed one", { traceparent: "00-zz-1-01" }, undefined],
  ["nothing where there is none", {}, undefined],
])("passes on %s", async (_case, headers: Record<string, string>, expected) => {
  ingest = await runningIngest();
  const { id } = (await (await ingest.post(EVENT, headers)).json()) as { id: string };
  expect((await ingest.store.readEvent("shop", id))?.extensions["traceparent"]).toBe(expected);
});

it("keeps the trace that a CloudEvent names itself", async () => {
  ingest = await runningIngest();
  const own = TRACE.replace("4bf9", "1111");
  const body = JSON.stringify({ specversion: "1.0", id: "1", source: "/s", type: "order.paid", traceparent: own, data: 1 });
  const answer = await ingest.post(body, { "content-type": "application/cloudevents+json", traceparent: TRACE });
  const { id } = (await answer.json()) as { id: string };
  expect((await ingest.store.readEvent("shop", id))?.extensions["traceparent"]).toBe(own);
});
