import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterEach, expect, it } from "vitest";
import { SqliteStore } from "../../../src/store/sqlite/sqlite-store.ts";
import { accept, claimOne, completion, delivery, event, HOUR_MS, item, NAMESPACE } from "../../conformance/store/fixture.ts";
import { countOf } from "../../support/full-run.ts";
import { fillHistory } from "../../support/store/filled-store.ts";

const ROWS = countOf(100_000, 1_000_000);
const READERS = countOf(32, 100);
const PHASE_MS = countOf(750, 5_000);
const TURNS = 4;
const LOG_BYTES_MAX = 64 * 1_048_576;
/** Two numbers this small are told apart by the machine's other work, not by readers. */
const NOISE_MS = 25;
/** For each, one ordered delivery after the other and two lines of unordered ones: together the log grows by megabytes a second. */
const SENDERS = 2;
const LOOK_EVERY_MS = 20;
/** The rarest one of a hundred takes a run of some length to be told from what else the machine does. */
const SHARE = countOf(0.95, 0.99);

let directory = "";
let store: SqliteStore | undefined;
afterEach(async () => {
  await store?.close();
  await rm(directory, { recursive: true, force: true });
});

/** From acceptance to the end, as the engine does it: unordered ones are claimed as they are accepted, ordered ones are read when they are due. */
async function deliver(to: SqliteStore, ordered: boolean): Promise<number> {
  const nowMs = Date.now();
  const startedAt = performance.now();
  const subscription = ordered ? "ordered" : "plain";
  const one = delivery({
    subscription,
    as: ordered ? "indexed" : "claimed",
    orderKey: ordered ? `k${startedAt}` : undefined,
    dueAtMs: nowMs,
  });
  const [id = 0] = await accept(
    to,
    [item({ event: event({ data: new Uint8Array(4_000), receivedAtMs: nowMs }), deliveries: [one] })],
    nowMs,
  );
  if (ordered) {
    expect((await to.due("ordered", nowMs, 256)).some((row) => row.id === id)).toBe(true);
    expect(await claimOne(to, id, { withEvent: true })).toBeDefined();
  }
  expect(await to.complete([completion(id, { nowMs })])).toEqual([true]);
  return performance.now() - startedAt;
}

async function loop(signal: AbortSignal, work: () => Promise<unknown>): Promise<void> {
  while (!signal.aborted) await work();
}

/** Pages through everything with a filter that matches nothing, from the beginning again and again. */
function reader(from: SqliteStore): () => Promise<void> {
  let beforeId: number | undefined;
  return async () => {
    const page = await from.history({ namespace: NAMESPACE, type: "no.such", limit: 50, ...(beforeId === undefined ? {} : { beforeId }) });
    beforeId = page.nextBeforeId;
  };
}

interface Seen {
  readonly plain: number[];
  readonly ordered: number[];
  logBytes: number;
  pages: number;
}

const nothing = (): Seen => ({ plain: [], ordered: [], logBytes: 0, pages: 0 });

async function phase(of: SqliteStore, readers: number, seen: Seen): Promise<void> {
  const stop = new AbortController();
  const read = async (page: () => Promise<void>): Promise<void> => {
    await page();
    seen.pages += 1;
  };
  const reading = Array.from({ length: readers }, () => reader(of)).map((page) => loop(stop.signal, () => read(page)));
  const note = async (took: number[], ordered: boolean): Promise<void> => void took.push(await deliver(of, ordered));
  const delivering = Array.from({ length: 3 * SENDERS }, (_, i) =>
    loop(stop.signal, () => (i % 3 === 0 ? note(seen.ordered, true) : note(seen.plain, false))),
  );
  const untilMs = performance.now() + PHASE_MS;
  while (performance.now() < untilMs) {
    await setTimeout(LOOK_EVERY_MS);
    seen.logBytes = Math.max(seen.logBytes, (await of.health()).logBytes);
  }
  stop.abort();
  await Promise.all([...reading, ...delivering]);
}

function at(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? Number.POSITIVE_INFINITY;
}

it(
  `${READERS} readers of ${ROWS} rows leave deliveries as fast as they were and the log short`,
  { timeout: countOf(60_000, 300_000) },
  async () => {
    directory = await mkdtemp(join(tmpdir(), "postrider-readers-"));
    fillHistory(directory, { namespace: NAMESPACE, rows: ROWS, nowMs: Date.now() });
    store = new SqliteStore({ directory, reserveBytes: 0, freeBytesMin: 0 });
    await store.open({ owner: "test", nowMs: Date.now(), idempotencyTtlMs: HOUR_MS });
    await phase(store, READERS, nothing());
    const [alone, read] = [nothing(), nothing()];
    // In turns, so that what else the machine does falls on both.
    for (let turn = 0; turn < TURNS; turn++) {
      await phase(store, 0, alone);
      await phase(store, READERS, read);
    }
    const told = [alone, read].map((seen) => ({
      deliveries: seen.plain.length + seen.ordered.length,
      plainMs: [0.5, 0.95, 0.99].map((share) => at(seen.plain, share)),
      orderedMs: [0.5, 0.95, 0.99].map((share) => at(seen.ordered, share)),
      logMiB: seen.logBytes / 1_048_576,
      pages: seen.pages,
    }));
    process.stdout.write(`alone, and beside ${READERS} readers: ${JSON.stringify(told)}\n`);
    expect(read.pages).toBeGreaterThan(20);
    expect(read.logBytes).toBeLessThan(LOG_BYTES_MAX);
    for (const kind of ["plain", "ordered"] as const)
      expect(at(read[kind], SHARE), kind).toBeLessThanOrEqual(Math.max(2 * at(alone[kind], SHARE), NOISE_MS));
  },
);
