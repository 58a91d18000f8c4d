import { strippedCheckout } from "../support/operator/stripped-checkout.ts";
import { Load } from "./load.ts";
import { cpuSecondsOf, shareMiB } from "./machine.ts";
import { manySubscriptions } from "./many-subscriptions.ts";
import { median, type BenchContext } from "./row.ts";
import { CONNECTIONS, measureParts } from "./rows/throughput.ts";
import { System } from "./system.ts";

/** CPU of bare delivery, answer and store, against ours: 0.34 to 0.40 quiet; single rounds 0.20 to 0.64 at a load of 20 on two cores. The aim is 0.45. */
export const SHARE_OF_PARTS_MIN = 0.2;
/** Proportional set with 10,000 subscriptions, against one with none: measured 2.70 and 2.96; the aim is 3. */
export const MANY_AGAINST_EMPTY_MAX = 3.3;

/** Nothing is sent in the memory gate; a port that the rules for URLs allow. */
const NEVER_CALLED = "127.0.0.1:65000";
const ROUNDS = 5;
const WARM_UP_MS = 6_000;
const WINDOW_MS = 1_500;
const REST_MS = 5_000;

export interface Gate {
  readonly name: string;
  readonly figure: number;
  /** One of the two. */
  readonly atLeast?: number;
  readonly atMost?: number;
  /** What the figure was made of. */
  readonly parts: string;
}

/**
 * What may not get worse unseen. Both are ratios of what is measured in one run on one machine, so that a slow or a busy one passes and a change that
 * costs a third more does not. Takes a minute and a half, longer on a busy machine. @throws when deliveries are missing.
 */
export async function gates(progress: (text: string) => void): Promise<readonly Gate[]> {
  return [await partsGate(progress), await memoryGate(progress)];
}

/** Rounds side by side; a round in which the load generator was the bottleneck is void. */
async function partsGate(progress: (text: string) => void): Promise<Gate> {
  const load = await Load.start();
  const context: BenchContext = { load, rounds: ROUNDS, seconds: 1, progress };
  const system = await System.start({
    receiver: load.address,
    subscriptions: [{ name: "one", type: "bench.*" }],
    maxInFlight: CONNECTIONS,
  });
  try {
    const command = { url: system.events(), connections: CONNECTIONS };
    await load.run({ ...command, durationMs: WARM_UP_MS });
    const shares: number[] = [];
    const told: string[] = [];
    for (let round = 1; round <= ROUNDS; round++) {
      const { bare, answer, store } = await measureParts(context);
      const before = cpuSecondsOf(system.pid);
      const result = await load.run({ ...command, durationMs: WINDOW_MS });
      if (result.missing > 0) throw new Error(`${result.missing} deliveries did not arrive within 20 s`);
      if (result.cpuShare > 0.6) continue;
      const partsUs = bare.cpuUs + answer.cpuUs + store.cpuUs;
      const wholeUs = ((cpuSecondsOf(system.pid) - before) * 1e6) / result.received;
      shares.push(partsUs / wholeUs);
      told.push(`${partsUs.toFixed(0)} of ${wholeUs.toFixed(0)} µs`);
    }
    if (shares.length === 0) throw new Error(`all ${ROUNDS} rounds are void: the load generator used more than 60 % of its core`);
    const figure = median(shares);
    progress(told.join(", "));
    const name = "CPU of bare delivery, answer and store, against a delivery 1:1";
    return { name, figure, atLeast: SHARE_OF_PARTS_MIN, parts: told.join(", ") };
  } finally {
    await system.stop();
    load.stop();
  }
}

async function memoryGate(progress: (text: string) => void): Promise<Gate> {
  const { root, remove } = strippedCheckout();
  try {
    const empty = await heldMiB(root, []);
    progress(`empty: ${empty.toFixed(0)} MiB`);
    const many = await heldMiB(root, manySubscriptions(NEVER_CALLED));
    const figure = many / empty;
    const name = "memory with 10,000 subscriptions, against none";
    return { name, figure, atMost: MANY_AGAINST_EMPTY_MAX, parts: `${many.toFixed(0)} and ${empty.toFixed(0)} MiB` };
  } finally {
    remove();
  }
}

async function heldMiB(root: string, subscriptions: Parameters<typeof System.start>[0]["subscriptions"]): Promise<number> {
  const system = await System.start({ receiver: NEVER_CALLED, subscriptions, root });
  try {
    await system.settled(subscriptions.length);
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
    return shareMiB(system.pid).pss;
  } finally {
    await system.stop();
  }
}

/** A figure that is not a number meets nothing. */
export function isMet({ figure, atLeast = 0, atMost = Number.POSITIVE_INFINITY }: Gate): boolean {
  return figure >= atLeast && figure <= atMost;
}

/** One line for each gate. */
export function gateLine(gate: Gate): string {
  const { name, figure, atLeast, atMost, parts } = gate;
  const bound = atLeast === undefined ? `at most ${atMost}` : `at least ${atLeast}`;
  return `${isMet(gate) ? "met    " : "NOT MET"}  ${name}: ${figure.toFixed(2)}, ${bound} (${parts})`;
}
