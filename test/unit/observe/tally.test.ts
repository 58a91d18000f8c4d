import { expect, it } from "vitest";
import { Metrics } from "../../../src/observe/metrics.ts";
import { Tally } from "../../../src/observe/tally.ts";

it("counts moved between two reads are shown once, and those of a namespace that is forgotten begin again", async () => {
  const metrics = new Metrics({ version: "test", defaults: false });
  const shown = async (): Promise<string[]> =>
    (await metrics.expose()).split("\n").filter((line) => line.startsWith("postrider_deliveries_ended_total{"));
  const line = (namespace: string, outcome: string, count: number): string =>
    `postrider_deliveries_ended_total{namespace="${namespace}",outcome="${outcome}"} ${count}`;
  metrics.eventsAccepted.inc("shop");
  metrics.deliveriesEnded.inc("shop", "delivered");
  metrics.deliveriesEnded.inc("shop", "delivered");
  metrics.deliveriesEnded.inc("till", "failed");
  expect(await shown()).toEqual([line("shop", "delivered", 2), line("till", "failed", 1)]);
  metrics.deliveriesEnded.inc("shop", "delivered");
  expect(await shown()).toEqual([line("shop", "delivered", 3), line("till", "failed", 1)]);
  await metrics.forgetNamespaces(new Set(["till"]));
  await metrics.forgetNamespaces(new Set(["till"]));
  expect(await shown()).toEqual([line("till", "failed", 1)]);
  metrics.deliveriesEnded.inc("shop", "delivered");
  expect(await shown()).toContain(line("shop", "delivered", 1));
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

it("nor is anything left of one that had a subscription and never an event; what belongs to no namespace stays", async () => {
  const metrics = new Metrics({ version: "test", defaults: false });
  metrics.showSubscription({ namespace: "quiet", name: "orders" }, false);
  metrics.ingestRefused.inc("", "unauthenticated");
  await metrics.forgetNamespaces(new Set(["quiet"]));
  expect(await metrics.expose()).toContain('namespace="quiet"');
  await metrics.forgetNamespaces(new Set());
  const text = await metrics.expose();
  expect(text).not.toContain('namespace="quiet"');
  expect(text).toContain('postrider_ingest_refused_total{namespace="",code="unauthenticated"} 1');
  expect(metrics.knowsNamespace("quiet")).toBe(false);
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
