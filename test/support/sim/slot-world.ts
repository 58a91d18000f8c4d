import { FairQueue } from "../../../src/core/fairness/fair-queue.ts";
import { fairMarks, type FairLane, type FairMarks } from "../../../src/core/fairness/fair-share.ts";

export interface Sender {
  readonly namespace: string;
  readonly cap?: number;
  /** When it is first heard of, and when it is deleted, ms. */
  readonly fromMs?: number;
  readonly untilMs?: number;
  /** A delivery every so many ms; undefined = always one more. */
  readonly everyMs?: number;
  /** How long its nth attempt takes (0 = the first). */
  readonly takesMs: (n: number, nowMs: number) => number;
}

interface Party extends FairLane {
  readonly sender: Sender;
  readonly fair: FairMarks;
  /** When those that wait were due. */
  readonly dueMs: number[];
  begun: number;
  gone: boolean;
  readonly waitsMs: number[];
}

export interface Served {
  readonly begun: number;
  /** How long each delivery waited for its slot, in order; of one that still waits, until now. */
  readonly waitsMs: readonly number[];
}

/** Deliveries in virtual time: nothing but who is given a slot and for how long it is held. */
export function runSlots(
  slots: number,
  senders: readonly Sender[],
  untilMs: number,
): { readonly served: readonly Served[]; readonly inFlightMax: number } {
  const queue = new FairQueue<Party>(slots);
  const agenda = new Agenda();
  const parties = senders.map((sender): Party => ({
    sender,
    namespace: sender.namespace,
    capNow: sender.cap ?? 64,
    fair: fairMarks(),
    dueMs: [],
    begun: 0,
    gone: false,
    waitsMs: [],
  }));
  let inFlightMax = 0;
  const serve = (nowMs: number): void => {
    for (let turn = queue.take(nowMs, true); turn !== undefined; turn = queue.take(nowMs, true)) {
      const { lane, hold } = turn;
      const dueMs = lane.dueMs.shift();
      if (dueMs !== undefined) lane.waitsMs.push(nowMs - dueMs);
      if (lane.sender.everyMs !== undefined && lane.dueMs.length === 0) queue.withdraw(lane, "fresh");
      const tookMs = lane.sender.takesMs(lane.begun++, nowMs);
      inFlightMax = Math.max(inFlightMax, queue.inFlight);
      agenda.at(nowMs + tookMs, (endMs) => queue.release(hold, endMs, tookMs));
    }
  };
  for (const party of parties) {
    const { fromMs = 0, untilMs: goneMs, everyMs } = party.sender;
    const arrive = (nowMs: number): void => {
      if (party.gone) return;
      if (everyMs !== undefined) {
        party.dueMs.push(nowMs);
        agenda.at(nowMs + everyMs, arrive);
      }
      queue.offer(party, "fresh");
    };
    agenda.at(fromMs, arrive);
    if (goneMs === undefined) continue;
    agenda.at(goneMs, () => {
      party.gone = true;
      queue.forget(party);
    });
  }
  for (let next = agenda.take(untilMs); next !== undefined; next = agenda.take(untilMs)) {
    next.act(next.atMs);
    serve(next.atMs);
  }
  const served = parties.map(({ begun, waitsMs, dueMs }) => ({ begun, waitsMs: [...waitsMs, ...dueMs.map((atMs) => untilMs - atMs)] }));
  return { served, inFlightMax };
}

interface Entry {
  readonly atMs: number;
  readonly order: number;
  readonly act: (nowMs: number) => void;
}

/** What happens when, earliest first; at one moment in the order in which it was noted. */
class Agenda {
  readonly #entries: Entry[] = [];
  #order = 0;

  at(atMs: number, act: (nowMs: number) => void): void {
    const entries = this.#entries;
    const entry = { atMs, order: this.#order++, act };
    let at = entries.length;
    for (let up = (at - 1) >> 1; at > 0 && before(entry, entries[up]!); up = (at - 1) >> 1) {
      entries[at] = entries[up]!;
      at = up;
    }
    entries[at] = entry;
  }

  take(untilMs: number): Entry | undefined {
    const entries = this.#entries;
    const [first] = entries;
    if (first === undefined || first.atMs > untilMs) return undefined;
    const last = entries.pop()!;
    if (last === first) return first;
    let at = 0;
    for (let down = 1; down < entries.length; down = at * 2 + 1) {
      if (down + 1 < entries.length && before(entries[down + 1]!, entries[down]!)) down += 1;
      if (before(last, entries[down]!)) break;
      entries[at] = entries[down]!;
      at = down;
    }
    entries[at] = last;
    return first;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.atMs === b.atMs ? a.order < b.order : a.atMs < b.atMs;
}

/** The value below which this part of them lies; of none Infinity. */
export function quantile(values: readonly number[], of: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * of))] ?? Number.POSITIVE_INFINITY;
}
