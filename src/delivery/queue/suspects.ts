import { assert } from "../../lib/assert.ts";
import type { Lane } from "./lane.ts";
import type { Waiting } from "./lane-backlog.ts";

interface Group {
  readonly size: number;
  inFlight: number;
  readonly held: Map<string, number>;
  /** Lanes with such rows that may send, by namespace; the one that came first is asked first and then goes to the end. */
  readonly waiting: Map<string, Set<Lane>>;
}

export interface Suspect {
  readonly lane: Lane;
  readonly waiting: Waiting;
  readonly level: number;
}

/**
 * Deliveries that were under way when the process ended uncleanly: one of them may have ended it. They are tried again in groups that shrink
 * with each crash, so that the guilty one is found without making all the others wait for each other: 64 at once after the first crash, 8 after
 * the second, then alone, which is the only try that counts towards quarantine. The groups do not wait for one another; within a group the
 * namespace that holds the least of it goes first and none holds more than half, so one tenant's receivers that hang hold up nobody.
 */
export class Suspects {
  readonly #groups: readonly Group[];

  constructor(sizes: readonly number[]) {
    this.#groups = sizes.map((size) => ({ size, inFlight: 0, held: new Map(), waiting: new Map() }));
  }

  /** Whether any lane that may send has one. */
  get hasWaiting(): boolean {
    return this.#groups.some(({ waiting }) => waiting.size > 0);
  }

  /** The lane may send: its suspects wait for their turn. */
  offer(lane: Lane): void {
    for (const [level, { waiting }] of this.#groups.entries()) {
      if (lane.backlog.suspectHead(level) === undefined) continue;
      let lanes = waiting.get(lane.namespace);
      if (lanes === undefined) waiting.set(lane.namespace, (lanes = new Set()));
      lanes.add(lane);
    }
  }

  withdraw(lane: Lane): void {
    for (const group of this.#groups) remove(group, lane);
  }

  /** The next one for which its group has room; `takeSlot` takes a slot of the whole for its lane, or answers false. */
  pick(takeSlot: (lane: Lane) => boolean): Suspect | undefined {
    for (const [level, group] of this.#groups.entries()) {
      if (group.waiting.size === 0 || group.inFlight >= group.size) continue;
      const picked = this.#pickOf(group, level, takeSlot);
      if (picked !== undefined) return picked;
    }
    return undefined;
  }

  /** One that was picked gave its slot back. */
  release(lane: Lane, level: number): void {
    const group = this.#groups[level];
    if (group === undefined) return;
    group.inFlight -= 1;
    const held = (group.held.get(lane.namespace) ?? 1) - 1;
    if (held > 0) group.held.set(lane.namespace, held);
    else group.held.delete(lane.namespace);
  }

  #pickOf(group: Group, level: number, takeSlot: (lane: Lane) => boolean): Suspect | undefined {
    const most = Math.max(1, Math.floor(group.size / 2));
    const heldOf = (namespace: string): number => group.held.get(namespace) ?? 0;
    const namespaces = [...group.waiting.keys()].filter((namespace) => heldOf(namespace) < most);
    for (const namespace of namespaces.toSorted((a, b) => heldOf(a) - heldOf(b))) {
      // Healthy receivers first: they are done soonest.
      const lanes = [...(group.waiting.get(namespace) ?? [])];
      for (const lane of lanes.toSorted((a, b) => a.standing.record.consecutiveFailures - b.standing.record.consecutiveFailures)) {
        if (lane.backlog.suspectHead(level) === undefined || !takeSlot(lane)) continue;
        const waiting = lane.backlog.takeSuspect(level);
        assert(waiting !== undefined, "a line that has a head gives it");
        // Behind the others of its namespace, or out of the line.
        remove(group, lane);
        this.offer(lane);
        group.inFlight += 1;
        group.held.set(namespace, heldOf(namespace) + 1);
        return { lane, waiting, level };
      }
    }
    return undefined;
  }
}

function remove(group: Group, lane: Lane): void {
  const lanes = group.waiting.get(lane.namespace);
  if (lanes?.delete(lane) === true && lanes.size === 0) group.waiting.delete(lane.namespace);
}
