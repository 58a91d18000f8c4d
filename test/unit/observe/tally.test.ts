import { expect, it } from "vitest";
import { Metrics } from "../../../src/observe/metrics.ts";
import { Tally } from "../../../src/observe/tally.ts";

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

it("the series of a namespace go when it has no subscription left and nothing comes in any more", async () => {
  const metrics = new Metrics({ version: "test", defaults: false });
  const shown = async (): Promise<string[]> => [...new Set((await metrics.expose()).match(/(?<=namespace=")\w+/g))].toSorted();
  for (const namespace of ["gone", "used", "busy"]) {
    metrics.eventsAccepted.inc(namespace);
    metrics.eventsUnmatched.inc({ namespace });
    metrics.deliveryLatency.observe(1, namespace);
  }
  await metrics.forgetNamespaces(new Set(["used"]));
  expect(await shown()).toEqual(["busy", "gone", "used"]);
  metrics.eventsAccepted.inc("busy");
  await metrics.forgetNamespaces(new Set(["used"]));
  expect(await shown()).toEqual(["busy", "used"]);
  metrics.eventsAccepted.inc("gone");
  expect(await metrics.expose()).toContain('postrider_events_accepted_total{namespace="gone"} 1');
});

it("nothing is left of a namespace whose last subscription is forgotten", () => {
  const tally = new Tally();
  for (const name of ["orders", "bills"]) tally.inc("shop", name, "success");
  const gone: string[] = [];
  const forget = (...values: string[]): void => tally.forget(values, (forgotten) => gone.push(forgotten.join("/")));
  forget("shop", "orders");
  forget("shop", "never");
  forget("nowhere", "never");
  expect(tally.size).toBe(1);
  forget("shop", "bills");
  expect(gone).toEqual(["shop/orders/success", "shop/bills/success"]);
  expect(tally.size).toBe(0);
});
