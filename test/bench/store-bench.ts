/**
 * Lifecycles per second of one store: accept with its first claim, then complete with an attempt row. Prints one JSON line.
 * Run: npx node test/bench/store-bench.ts [--callers 128] [--seconds 5] [--mode lifecycle|fill] [--rows 100000]
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { uuidv7 } from "../../src/lib/random.ts";
import { SqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import type { AcceptItem, Completion } from "../../src/store/store.ts";

const { values } = parseArgs({
  options: {
    callers: { type: "string", default: "128" },
    seconds: { type: "string", default: "5" },
    mode: { type: "string", default: "lifecycle" },
    rows: { type: "string", default: "100000" },
    as: { type: "string", default: "indexed" },
  },
});

const DAY_MS = 86_400_000;
const body = Buffer.from(JSON.stringify({ text: "x".repeat(1_000) }));
const headers = [
  ["content-type", "application/json"],
  ["webhook-id", "0199-x"],
] as const;
let commits = 0;
let operations = 0;

function item(nowMs: number, as: "claimed" | "indexed" | "fresh", subscription: string): AcceptItem {
  const id = uuidv7(nowMs);
  return {
    event: {
      id,
      namespace: "shop",
      sourceId: id,
      source: "/namespaces/shop",
      type: "order.created",
      subject: undefined,
      time: undefined,
      dataContentType: "application/json",
      dataKind: "json",
      data: body,
      extensions: {},
      receivedAtMs: nowMs,
    },
    idempotencyKey: undefined,
    contentHash: new Uint8Array(32),
    deliveries: [{ subscription, namespace: "shop", orderKey: undefined, dueAtMs: nowMs, as, epoch: 1 }],
    bodyRetentionMs: 3 * DAY_MS,
    historyRetentionMs: 7 * DAY_MS,
  };
}

function completion(id: number, eventId: string, nowMs: number): Completion {
  return {
    id,
    epoch: 1,
    nowMs,
    historyRetentionMs: 7 * DAY_MS,
    next: { state: "delivered", reason: "Delivered" },
    attempt: {
      deliveryId: id,
      eventId,
      subscription: "sub-1",
      namespace: "shop",
      eventType: "order.created",
      attempt: 1,
      startedAtMs: nowMs,
      durationMs: 3,
      outcome: "success",
      statusCode: 200,
      connectionStatus: "ok",
      tlsStatus: "ok",
      message: "",
      url: "https://receiver.example/hook",
      recordId: undefined,
      requestHeaders: headers,
      requestBody: undefined,
      responseHeaders: headers,
      responseBody: Buffer.from("ok"),
    },
  };
}

const directory = mkdtempSync(join(tmpdir(), "postrider-bench-"));
const store = new SqliteStore({ directory, reserveBytes: 0 });
const openOptions = {
  owner: "bench",
  nowMs: Date.now(),
  idempotencyTtlMs: DAY_MS,
  onCommit: (_seconds: number, count: number) => {
    commits += 1;
    operations += count;
  },
};
await store.open(openOptions);
if (values.mode === "fill") {
  const total = Number(values.rows);
  const startedAtMs = performance.now();
  for (let done = 0; done < total; done += 500) {
    const nowMs = Date.now();
    const as = values.as as "indexed" | "fresh";
    await store.accept({ namespace: "shop", nowMs, items: Array.from({ length: 500 }, (_, i) => item(nowMs, as, `sub-${i % 50}`)) });
  }
  const filledMs = performance.now() - startedAtMs;
  await store.close();
  const again = new SqliteStore({ directory, reserveBytes: 0 });
  const openedAtMs = performance.now();
  const report = await again.open({ ...openOptions, nowMs: Date.now() });
  const bootMs = performance.now() - openedAtMs;
  const queues = performance.now();
  await again.queues();
  const queuesMs = performance.now() - queues;
  const next = performance.now();
  await again.nextDue(1_000);
  const nextDueMs = performance.now() - next;
  console.log(
    JSON.stringify({ rows: total, filledMs, bootMs, queuesMs, nextDueMs, pending: report.pending, rssMb: process.memoryUsage().rss / 1e6 }),
  );
  await again.close();
} else {
  const run = { running: true };
  let lifecycles = 0;
  const caller = async (): Promise<void> => {
    while (run.running) {
      const nowMs = Date.now();
      const one = item(nowMs, "claimed", "sub-1");
      const accepted = await store.accept({ namespace: "shop", nowMs, items: [one] });
      if (!accepted.ok) throw new Error("conflict");
      const id = accepted.items[0]?.deliveryIds[0] ?? 0;
      const [done] = await store.complete([completion(id, one.event.id, Date.now())]);
      if (done !== true) throw new Error("late");
      lifecycles += 1;
    }
  };
  const callers = Array.from({ length: Number(values.callers) }, caller);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const [from, cpu, thread, loop, startedAtMs] = [lifecycles, process.cpuUsage(), process.threadCpuUsage(), commits, performance.now()];
  await new Promise((resolve) => setTimeout(resolve, Number(values.seconds) * 1_000));
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const count = lifecycles - from;
  const total = process.cpuUsage(cpu);
  const main = process.threadCpuUsage(thread);
  const us = (usage: { user: number; system: number }): number => (usage.user + usage.system) / count;
  console.log(
    JSON.stringify({
      perSecond: Math.round(count / seconds),
      mainUs: us(main).toFixed(1),
      allUs: us(total).toFixed(1),
      commitsPerSecond: Math.round((commits - loop) / seconds),
      operationsPerCommit: (operations / commits).toFixed(1),
    }),
  );
  for (const task of readdirSync("/proc/self/task")) {
    const stat = readFileSync(`/proc/self/task/${task}/stat`, "latin1").split(" ");
    const [user, system] = [Number(stat.at(-39)), Number(stat.at(-38))];
    if (user + system > 20)
      console.error(
        task,
        stat[1],
        "user",
        ((user * 10_000) / lifecycles).toFixed(1),
        "system",
        ((system * 10_000) / lifecycles).toFixed(1),
        "us per lifecycle",
      );
  }
  run.running = false;
  await Promise.all(callers);
  await store.close();
}
rmSync(directory, { recursive: true });
