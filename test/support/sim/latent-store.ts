import { StoreError, type Store } from "../../../src/store/store.ts";
import type { ManualClock } from "../time/manual-clock.ts";
import { seededRandom } from "./seeded-random.ts";

export interface Latency {
  /** In [0, 1). */
  readonly random: () => number;
  /** A read takes up to so long, ms; it answers as of the moment when it was asked, or of any moment until then. */
  readonly readMs: number;
  /** Until a write is applied, and again until its answer is there: each up to so long, ms. Writes are applied and answered in their order. */
  readonly writeMs: number;
  /** How many of the commits do not say whether they happened, 0..1; half of those did. */
  readonly unknownShare?: () => number;
}

/** Up to 5 ms a read, up to 3 ms each for a write and its answer. */
export function latencyOf(seed: number, unknownShare?: () => number): Latency {
  const random = seededRandom(seed * 7_919 + 13);
  return { random: () => random.next(), readMs: 5, writeMs: 3, ...(unknownShare === undefined ? {} : { unknownShare }) };
}

const READS: ReadonlySet<string> = new Set([
  "due",
  "nextDue",
  "fresh",
  "claimed",
  "queues",
  "parked",
  "listState",
  "readEvent",
  "events",
  "readBody",
  "readDelivery",
  "deliveriesOf",
  "attemptsOf",
  "listDeliveries",
  "history",
  "result",
]);
/** What a start needs at once, and what has no answer to wait for. */
const DIRECT: ReadonlySet<string> = new Set(["open", "close", "advanceTo", "health"]);
/** Calls that a lost answer leaves in doubt. */
const COMMITS: ReadonlySet<string> = new Set(["accept", "claim", "complete"]);

/** A store as it is behind a thread, a disk and a busy machine. */
export function latentStore(store: Store, clock: ManualClock, latency: Latency): Store {
  const { random, readMs, writeMs } = latency;
  const wait = (ms: number): Promise<void> => new Promise((resolve) => clock.arrive(ms, resolve));
  const queue: Write[] = [];
  let isCommitting = false;

  /** Group commit: what has gathered is applied together, in its order; the next group begins when this one has been answered. */
  const commit = async (): Promise<void> => {
    if (isCommitting) return;
    isCommitting = true;
    while (queue.length > 0) {
      const group = queue.splice(0);
      await wait(random() * writeMs);
      const done = await Promise.all(group.map(async ({ call, fate }) => (fate === "lost" ? UNTOLD : settled(call()))));
      await wait(random() * writeMs);
      for (const [i, { answer, fate }] of group.entries()) answer(fate === "told" ? (done[i] ?? UNTOLD) : UNTOLD);
    }
    isCommitting = false;
  };

  const read = async (call: () => Promise<unknown>): Promise<unknown> => {
    const before = random() * readMs;
    const late = random() < 0.5 ? before : 0;
    if (late > 0) await wait(late);
    const value = settled(call());
    await wait(Math.max(0, before - late));
    return unwrap(await value);
  };

  const write = async (name: string, call: () => Promise<unknown>): Promise<unknown> => {
    const fate = COMMITS.has(name) && random() < (latency.unknownShare?.() ?? 0) ? (random() < 0.5 ? "lost" : "untold") : "told";
    const told = new Promise<Settled>((answer) => queue.push({ call, fate, answer }));
    void commit();
    return unwrap(await told);
  };

  return new Proxy(store, {
    get: (target, property) => {
      const member: unknown = Reflect.get(target, property, target);
      const name = String(property);
      if (typeof member !== "function") return member;
      if (DIRECT.has(name)) return (...args: unknown[]): unknown => Reflect.apply(member, target, args);
      return (...args: unknown[]): unknown => {
        // Whoever asks keeps what it gave: the store sees it as it was.
        const call = (): Promise<unknown> => Reflect.apply(member, target, args) as Promise<unknown>;
        return READS.has(name) ? read(call) : write(name, call);
      };
    },
  });
}

interface Write {
  readonly call: () => Promise<unknown>;
  readonly fate: "told" | "untold" | "lost";
  readonly answer: (result: Settled) => void;
}

const UNTOLD: Settled = { ok: false, error: new StoreError("unknown", "simulated: the commit was not confirmed") };

type Settled = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: unknown };

async function settled(promise: Promise<unknown>): Promise<Settled> {
  try {
    return { ok: true, value: await promise };
  } catch (error) {
    return { ok: false, error };
  }
}

function unwrap(result: Settled): unknown {
  if (result.ok) return result.value;
  throw result.error;
}
