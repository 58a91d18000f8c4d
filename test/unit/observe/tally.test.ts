import { expect, it } from "vitest";
import { Metrics } from "../../../src/observe/metrics.ts";

it("counts moved between two reads are shown once, and a forgotten subscription's series are gone", async () => {
  const metrics = new Metrics({ version: "test", defaults: false });
  const shown = async (): Promise<string[]> =>
    (await metrics.expose()).split("\n").filter((line) => /^postrider_(delivery_attempts_total|ingest_requests_total)\{/.test(line));
  metrics.attempts.inc("shop", "orders", "success");
  metrics.attempts.inc("shop", "orders", "success");
  metrics.attempts.inc("shop", "bills", "timeout");
  metrics.ingestRequests.inc("202");
  const bills = 'postrider_delivery_attempts_total{namespace="shop",subscription="bills",outcome="timeout"} 1';
  const requests = 'postrider_ingest_requests_total{code="202"} 1';
  const orders = (count: number): string =>
    `postrider_delivery_attempts_total{namespace="shop",subscription="orders",outcome="success"} ${count}`;
  expect((await shown()).toSorted()).toEqual([bills, orders(2), requests].toSorted());
  metrics.attempts.inc("shop", "orders", "success");
  expect((await shown()).toSorted()).toEqual([bills, orders(3), requests].toSorted());
  metrics.attempts.inc("shop", "orders", "success");
  metrics.forgetSubscription("shop", "orders");
  expect((await shown()).toSorted()).toEqual([bills, requests].toSorted());
  metrics.attempts.inc("shop", "orders", "success");
  expect(await shown()).toContain(orders(1));
});
