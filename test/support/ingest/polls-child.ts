import type { StoredResult } from "../../../src/store/store.ts";
import { route, runningIngest } from "./running-ingest.ts";
import type { PollsAsked, PollsSeen } from "./polls.ts";
import { until } from "../until.ts";

/** A process of its own with a real ingest, which says how much memory and how many timers those who wait for results cost it. */
const perNamespace = Number(process.argv[2]);
const namespaces = ["n1", "n2", "n3", "n4", "n5"];
const routes = namespaces.map((namespace) => {
  const one = route(`orders-${namespace}`, ["order.*"]);
  return { ...one, subscription: { ...one.subscription, namespace } };
});
// The memory store looks at every row for each answer: its garbage is no cost of those who wait.
const owed: StoredResult = {
  matched: 1,
  owed: 1,
  delivered: 0,
  failed: 0,
  discarded: 0,
  keptUntilMs: Number.MAX_SAFE_INTEGER,
  deliveries: [],
};
const ingest = await runningIngest({ routes, drainMs: 1_000, result: () => Promise.resolve(owed) });
const paths: string[] = [];
for (const namespace of namespaces) paths.push(...(await publish(namespace)));

/** Everybody who waits has an event of his own: as much to remember as can be. */
async function publish(namespace: string): Promise<string[]> {
  const events = Array.from({ length: perNamespace }, (_, i) => ({ specversion: "1.0", id: `${i}`, source: "/s", type: "order.paid" }));
  const headers = { "content-type": "application/cloudevents-batch+json" };
  const { items } = (await (await ingest.post(JSON.stringify(events), headers, namespace)).json()) as { items: { id: string }[] };
  return items.map(({ id }) => `/v1/namespaces/${namespace}/results/${id}`);
}

function seen(): PollsSeen {
  const timers = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const memory = process.memoryUsage();
  return { kind: "seen", rssBytes: memory.rss, heapBytes: memory.heapUsed, timers };
}

async function open(): Promise<number> {
  return (await ingest.metrics.resultPollsOpen.get()).values[0]?.value ?? 0;
}

process.on("message", (asked: PollsAsked) => {
  void act(asked).then((told) => process.send?.(told, () => asked.kind === "stop" && process.disconnect()));
});

async function act(asked: PollsAsked): Promise<PollsSeen> {
  if (asked.kind === "stop") {
    await ingest.stop();
    return seen();
  }
  await until(async () => (await open()) === asked.waiting, { everyMs: 5 });
  // Collected only at rest: a forced collection while all are open moves them, which costs more than they do.
  if (asked.collected) globalThis.gc?.();
  return seen();
}

process.send?.({ kind: "ready", url: ingest.url, paths });
