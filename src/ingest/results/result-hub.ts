import { resultStatus } from "../../core/result.ts";
import type { Clock } from "../../lib/clock.ts";
import { TimerWheel, type WheelEntry, type WheelSlot } from "../../lib/timer-wheel.ts";
import type { Log } from "../../observe/log.ts";
import type { Store, StoredResult } from "../../store/store.ts";
import { AnswerRoom, BatchResults } from "./batch-results.ts";

/** Who tells that a delivery has ended, once that is durable; the app joins the engine to it. */
export interface DeliveryEnds {
  /** `eventId` undefined: deliveries of events not named have ended. */
  onDeliveryEnded(listener: (eventId: string | undefined) => void): void;
}

/** Requests that wait at once, of all namespaces and of one; connections for publishing, and room for other namespaces, are left beside them. */
const POLLS_MAX = 6_000;
const POLLS_PER_NAMESPACE_MAX = 5_000;
/** Questions to the store at once: the engine asks the same reader what is due. */
const READS_MAX = 32;
/** Questions that wait for one of these; one more is refused. Requests that wait for a result are not counted here. */
const LINE_MAX = 1_024;
/** After ends that named no event everybody's result is read anew: at most so often, and taking at most a fifth of the time. */
const RECHECK_MS = 500;
const RECHECK_SHARE = 4;

export interface HubLimits {
  readonly polls: number;
  readonly pollsPerNamespace: number;
}

export interface ResultHubParts {
  readonly store: Pick<Store, "result">;
  readonly clock: Clock;
  readonly log: Log;
  /** How many wait now. */
  readonly onCount: (open: number) => void;
  readonly limits?: Partial<HubLimits> | undefined;
}

/** What the store knows of an id; undefined = never was, or is another namespace's. */
export type Known = StoredResult | undefined;

/**
 * How a wait ends. `ended`: nothing is owed any more; `known` in the order of the events. `late`: the time is over; `matched` of the first
 * event as far as it was read. `stopped`: the process ends. `failed`: the store could not be read.
 */
export type PollEnd =
  | { readonly kind: "ended"; readonly known: readonly Known[] }
  | { readonly kind: "late" | "stopped"; readonly matched: number | undefined }
  | { readonly kind: "failed" };

export interface Awaited {
  readonly id: string;
  /** Deliveries just accepted, none of which can have ended yet; undefined = read it. */
  readonly owed: number | undefined;
}

/** One event that somebody waits for: `remaining` is never more than what is really owed beyond the ends heard since. */
class Watch {
  readonly namespace: string;
  readonly id: string;
  readonly polls: Poll[];
  remaining: number | undefined;
  matched: number | undefined;
  reading = false;
  /** Ends heard while it was read: whether the answer has them is not known. */
  heard = 0;
  settled = false;

  constructor(namespace: string, awaited: Awaited, first: Poll) {
    this.namespace = namespace;
    this.polls = [first];
    this.id = awaited.id;
    this.remaining = awaited.owed;
  }
}

/** Whom to tell. An object and no callback: thousands of them are held at once. */
export interface Waiter {
  readonly namespace: string;
  /** Called at most once, and not after `cancel`. */
  done(end: PollEnd): void;
}

/** What a waiter holds while it waits. */
export interface Wait {
  /** The waiter has gone away: it is told nothing any more. */
  cancel(): void;
}

/** One request that waits. It holds no timer, only an entry of the wheel. */
class Poll implements WheelEntry, Wait {
  readonly waiter: Waiter;
  readonly #hub: ResultHub;
  watches: readonly Watch[] = NO_WATCHES;
  left: number;
  slot: WheelSlot | undefined;
  /** Of several events; a single one's result is told at once and held by nobody. */
  readonly batch: BatchResults | undefined;

  constructor(hub: ResultHub, waiter: Waiter, awaited: { readonly events: number; readonly room: AnswerRoom }) {
    this.#hub = hub;
    this.waiter = waiter;
    this.left = awaited.events;
    this.batch = awaited.events === 1 ? undefined : new BatchResults(awaited.room);
  }

  /** One event has settled. @returns all of them with the last, which ends the wait. */
  learn(watch: Watch, known: Known): readonly Known[] | undefined {
    this.left -= 1;
    this.batch?.learn(watch.id, known);
    if (this.left > 0) return undefined;
    return this.batch === undefined ? [known] : this.batch.of(this.watches.map(({ id }) => id));
  }

  expire(): void {
    this.#hub.end(this, "late");
  }

  cancel(): void {
    this.#hub.cancel(this);
  }
}

const NO_WATCHES: readonly Watch[] = [];

/**
 * Lets thousands of requests wait for the ends of deliveries. An event is watched once, however many wait for it: it is read when the first
 * comes (unless it was just accepted) and when as many ends were heard as were owed. Everything is in memory; a crash ends the waits with
 * their connections, and whoever asks again is answered from the store.
 */
export class ResultHub {
  readonly #parts: ResultHubParts;
  readonly #limits: HubLimits;
  readonly #wheel: TimerWheel;
  readonly #watches = new Map<string, Watch>();
  readonly #polls = new Set<Poll>();
  readonly #room = new AnswerRoom();
  readonly #perNamespace = new Map<string, number>();
  readonly #line: (() => void)[] = [];
  #reads = 0;
  #stopped = false;
  #rechecking = false;
  #stale = false;
  #recheckNotBeforeMs = 0;
  readonly #recheckEntry: WheelEntry = { expire: () => void this.#recheck() };

  constructor(parts: ResultHubParts) {
    this.#parts = parts;
    this.#limits = { polls: POLLS_MAX, pollsPerNamespace: POLLS_PER_NAMESPACE_MAX, ...parts.limits };
    this.#wheel = new TimerWheel(parts.clock);
  }

  /** Requests that wait now. */
  get open(): number {
    return this.#polls.size;
  }

  /** Why nobody more can wait; undefined = there is room. */
  full(namespace: string): string | undefined {
    const { polls, pollsPerNamespace } = this.#limits;
    if (this.#polls.size >= polls) return `${polls} requests are already waiting for results`;
    if ((this.#perNamespace.get(namespace) ?? 0) >= pollsPerNamespace) {
      return `${pollsPerNamespace} requests are already waiting for results of namespace ${namespace}`;
    }
    return undefined;
  }

  /** Reads now; `busy` when too many ask. Rejects when the store cannot be read. */
  read(namespace: string, id: string): Promise<Known> | "busy" {
    return this.#line.length >= LINE_MAX ? "busy" : this.#read(namespace, id);
  }

  /** Tells the waiter how it ended, at once or later. Ask `full` first. */
  wait(waiter: Waiter, awaited: readonly Awaited[], waitMs: number): Wait | undefined {
    if (this.#stopped) {
      waiter.done({ kind: "stopped", matched: undefined });
      return undefined;
    }
    const { namespace } = waiter;
    const poll = new Poll(this, waiter, { events: awaited.length, room: this.#room });
    const isNew: Watch[] = [];
    poll.watches = awaited.map((each) => {
      const found = this.#watches.get(each.id);
      if (found?.namespace === namespace) {
        found.polls.push(poll);
        return found;
      }
      const watch = new Watch(namespace, each, poll);
      // Another namespace's question for the same id is read once and hears nothing; that its id is unknown is all it is told.
      if (found === undefined) this.#watches.set(each.id, watch);
      isNew.push(watch);
      return watch;
    });
    this.#polls.add(poll);
    this.#perNamespace.set(namespace, (this.#perNamespace.get(namespace) ?? 0) + 1);
    this.#parts.onCount(this.#polls.size);
    poll.slot = this.#wheel.add(waitMs, poll);
    for (const watch of isNew) if ((watch.remaining ?? 0) <= 0) void this.#look(watch);
    return poll;
  }

  /** For its own waits only: the client has gone away. */
  cancel(wait: Wait): void {
    if (wait instanceof Poll) this.#remove(wait);
  }

  /** For its own waits only: the time is over, or the process ends. */
  end(wait: Wait, kind: "late" | "stopped"): void {
    if (wait instanceof Poll && this.#remove(wait)) wait.waiter.done({ kind, matched: wait.watches[0]?.matched });
  }

  /** Everybody who waits is answered now; whoever comes later at once. */
  stop(): void {
    this.#stopped = true;
    for (const poll of this.#polls) this.end(poll, "stopped");
    this.#wheel.clear();
  }

  /** A delivery has ended, durably. Cheap while nobody waits: every delivery comes by. */
  ended(eventId: string | undefined): void {
    if (this.#watches.size === 0) return;
    if (eventId === undefined) {
      this.#heardOfUnnamed();
      return;
    }
    const watch = this.#watches.get(eventId);
    if (watch === undefined) return;
    if (watch.reading) watch.heard += 1;
    else if (watch.remaining !== undefined && --watch.remaining <= 0) void this.#look(watch);
  }

  /** Reads a watched event until either nothing is owed or more than was heard. */
  async #look(watch: Watch): Promise<void> {
    // What was settled, or left by everybody, may still stand in the list that a recheck goes through.
    if (watch.reading || watch.settled || watch.polls.length === 0) return;
    watch.reading = true;
    try {
      do {
        watch.heard = 0;
        const known = await this.#read(watch.namespace, watch.id);
        if (known === undefined || resultStatus(known, this.#parts.clock.nowMs()) !== "processing") {
          this.#settle(watch, known);
          return;
        }
        watch.matched = known.matched;
        watch.remaining = known.owed - watch.heard;
      } while (watch.remaining <= 0 && watch.polls.length > 0);
    } catch (error) {
      this.#parts.log.warn({ err: error }, "a result could not be read");
      for (const poll of watch.polls.slice()) if (this.#remove(poll)) poll.waiter.done({ kind: "failed" });
    } finally {
      watch.reading = false;
    }
  }

  #settle(watch: Watch, known: Known): void {
    watch.settled = true;
    if (this.#watches.get(watch.id) === watch) this.#watches.delete(watch.id);
    for (const poll of watch.polls.slice()) {
      const all = poll.learn(watch, known);
      if (all !== undefined && this.#remove(poll)) poll.waiter.done({ kind: "ended", known: all });
    }
  }

  /** Removes a poll from everything; false if it was removed before. */
  #remove(poll: Poll): boolean {
    if (!this.#polls.delete(poll)) return false;
    poll.batch?.release();
    if (poll.slot !== undefined) this.#wheel.cancel(poll.slot);
    const { namespace } = poll.waiter;
    const others = (this.#perNamespace.get(namespace) ?? 1) - 1;
    if (others === 0) this.#perNamespace.delete(namespace);
    else this.#perNamespace.set(namespace, others);
    for (const watch of poll.watches) {
      watch.polls.splice(watch.polls.indexOf(poll), 1);
      if (watch.polls.length === 0 && this.#watches.get(watch.id) === watch) this.#watches.delete(watch.id);
    }
    this.#parts.onCount(this.#polls.size);
    return true;
  }

  #heardOfUnnamed(): void {
    if (this.#stale) return;
    this.#stale = true;
    if (!this.#rechecking) this.#wheel.add(Math.max(0, this.#recheckNotBeforeMs - this.#parts.clock.monotonicMs()), this.#recheckEntry);
  }

  /** One after the other: many watches must not keep the store's reader from the engine. */
  async #recheck(): Promise<void> {
    const { clock } = this.#parts;
    const startMs = clock.monotonicMs();
    this.#rechecking = true;
    this.#stale = false;
    for (const watch of Array.from(this.#watches.values())) {
      // Whether the answer on its way has the end that was not named is not known: it is asked for once more.
      if (watch.reading) watch.heard = Number.POSITIVE_INFINITY;
      else await this.#look(watch);
    }
    this.#rechecking = false;
    const nowMs = clock.monotonicMs();
    this.#recheckNotBeforeMs = nowMs + Math.max(RECHECK_MS, (nowMs - startMs) * RECHECK_SHARE);
    if (this.#stale && !this.#stopped) this.#wheel.add(this.#recheckNotBeforeMs - nowMs, this.#recheckEntry);
  }

  async #read(namespace: string, id: string): Promise<Known> {
    if (this.#reads >= READS_MAX) await new Promise<void>((resolve) => this.#line.push(resolve));
    else this.#reads += 1;
    try {
      return await this.#parts.store.result(namespace, id, this.#parts.clock.nowMs());
    } finally {
      // The turn is handed on, so that nobody can come in between.
      const next = this.#line.shift();
      if (next === undefined) this.#reads -= 1;
      else next();
    }
  }
}
