import { rmSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, expect, it, vi, type MockInstance } from "vitest";
import { SqliteStore } from "../../../src/store/sqlite/sqlite-store.ts";
import { accept, event, HOUR_MS, item, NAMESPACE, START_MS } from "../../conformance/store/fixture.ts";
import { storeDirectory } from "./child-process.ts";

let directory = "";
let store: SqliteStore;
let fatal: Error[];
let posted: MockInstance<Worker["postMessage"]>;

beforeEach(async () => {
  directory = storeDirectory();
  fatal = [];
  posted = vi.spyOn(Worker.prototype, "postMessage");
  store = new SqliteStore({ directory, reserveBytes: 0, freeBytesMin: 0 });
  await store.open({ owner: "test", nowMs: START_MS, idempotencyTtlMs: HOUR_MS, onFatal: (error) => fatal.push(error) });
});

afterEach(async () => {
  await store.close();
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true, force: true });
});

/** Threads that were told anything, newest last. */
function told(): Worker[] {
  return [...new Set(posted.mock.contexts as Worker[])];
}

it("goes on delivering when the thread that reads for people ends, and starts another for the next question", async () => {
  const stored = event();
  await accept(store, [item({ event: stored })]);
  expect(await store.readEvent(NAMESPACE, stored.id)).toBeDefined();
  const reader = told().at(-1);
  const exit = new Promise((resolve) => reader?.once("exit", resolve));
  const lost = store.history({ namespace: NAMESPACE, limit: 10 }).catch((error: unknown) => error);
  await reader?.terminate();
  await exit;
  // Asked before the thread ended: answered, or told that it is not.
  const answer = await lost;
  expect(answer instanceof Error ? (answer as { code?: string }).code : "answered").toMatch(/^(unavailable|answered)$/);
  expect(await accept(store, [item()])).toHaveLength(1);
  expect((await store.history({ namespace: NAMESPACE, limit: 10 })).deliveries).toHaveLength(2);
  expect(fatal).toEqual([]);
});

it("closes although its writer has died, and says that it cannot go on once", async () => {
  await accept(store, [item()]);
  const [writer] = told();
  await writer?.terminate();
  await expect(accept(store, [item()])).rejects.toMatchObject({ code: "unavailable" });
  await store.close();
  expect(fatal).toHaveLength(1);
});
