import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../observe/log.ts";
import type { Deliveries } from "../deliveries.ts";
import { WorkQueue } from "../work-queue.ts";

/** A deleted subscription's deliveries may go on for this long; the rest goes to the dead-letter store. */
export const DRAIN_MAX_MS = 5 * 60_000;
const LOOK_EVERY_MS = 1_000;

/** Nothing can be sent any more: suspended, or a reference is gone. `why` goes on after "because ". */
export interface Hopeless {
  readonly why: string;
}

/** What was ended of a subscription. */
export interface Ended {
  readonly ended: number;
  /** Attempts in flight, which are waited for: what they do not deliver ends the same way. */
  readonly underWay: number;
  /** Why the deliveries were not waited for any longer; undefined = it was to be so from the start. */
  readonly why: string | undefined;
}

/** A subscription on its way out. */
export interface Departure {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** The class that serves it now; undefined = it was deleted. */
  readonly to?: string | undefined;
  /** `discard`: by `deletionPolicy`, or because the namespace is going away. */
  readonly how: "drain" | "discard";
  /** Engine time. */
  readonly sinceMs: number;
  readonly hopeless: Hopeless | undefined;
  /**
   * Finds out where what is left goes, if that is not known yet; answers `hopeless`, or that it cannot be known now and is to be asked again. Called
   * before anything is ended.
   */
  readonly aim?: (() => Promise<Hopeless | "unknown" | undefined>) | undefined;
  /** Deliveries were thrown away, or given to the dead-letter store, or will be. Called once, unless there are none. */
  readonly tell?: ((ended: Ended) => void) | undefined;
  /** Lets the object go (finalizer, routes). Rejects to be called again. */
  readonly finish: () => Promise<void>;
}

/** Ends what is left of deleted subscriptions. A crash loses nothing: the object, or what was last accepted, is still there. */
export class Departures {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #deliveries: Deliveries;
  readonly #departing = new Map<string, Departure>();
  /** Deliveries ended so far of those whose object could not be let go yet. */
  readonly #ended = new Map<string, number>();
  readonly #queue: WorkQueue<string>;

  constructor(clock: Clock, log: Log, deliveries: Deliveries) {
    this.#clock = clock;
    this.#log = log;
    this.#deliveries = deliveries;
    this.#queue = new WorkQueue({
      clock,
      // Each takes its turn by itself: a namespace that goes away whole must not end a few of its subscriptions at a time.
      namespaceOf: (uid) => uid,
      work: (uid) => this.#step(uid),
      onFailure: (uid, error) => log.warn({ err: error, uid }, "a deleted subscription could not be ended: retrying"),
    });
  }

  start(): void {
    this.#queue.start();
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  /** Begins, or goes on with what is known now. */
  begin(departure: Departure): void {
    // Looked at again, it has not been deleted again: its five minutes go on.
    const sinceMs = this.#departing.get(departure.uid)?.sinceMs ?? departure.sinceMs;
    this.#departing.set(departure.uid, { ...departure, sinceMs });
    this.#queue.add(departure.uid);
  }

  /** The subscription is back (a manifest that was away for a moment). */
  cancel(uid: string): void {
    this.#departing.delete(uid);
    this.#ended.delete(uid);
  }

  /** Something about its deliveries has changed. */
  poke(uid: string): void {
    if (this.#departing.has(uid)) this.#queue.add(uid);
  }

  async #step(uid: string): Promise<void> {
    const departure = await this.#aimed(uid);
    if (departure === undefined) return;
    const { namespace, name, how, finish, tell, to } = departure;
    if (!this.#deliveries.ready) {
      // Nobody knows yet what it is owed: let go now, its deliveries would be nobody's.
      this.#queue.addAfter(uid, LOOK_EVERY_MS);
      return;
    }
    const why = how === "drain" ? this.#whyOver(departure) : undefined;
    if (how === "drain" && this.#deliveries.pending(uid) > 0 && why === undefined) {
      this.#queue.addAfter(uid, LOOK_EVERY_MS);
      return;
    }
    const ended = await this.#deliveries.end(uid, how === "discard" ? "discard" : "dead-letter");
    const sum = ended + (this.#ended.get(uid) ?? 0);
    this.#ended.set(uid, sum);
    if (this.#departing.get(uid) !== departure) return;
    await finish();
    this.#ended.delete(uid);
    const underWay = this.#deliveries.pending(uid);
    if (sum + underWay > 0) tell?.({ ended: sum, underWay, why });
    this.#departing.delete(uid);
    this.#queue.forget(uid);
    const about = { namespace, subscription: name, uid, how, ended: sum, ...(sum > 0 && { why }) };
    if (to === undefined) this.#log.info({ event: "subscription.deleted", ...about }, "subscription deleted");
    else this.#log.info({ event: "subscription.handed_over", ...about, to }, "subscription handed over to another class");
  }

  /** What departs under this uid, its `hopeless` known. */
  async #aimed(uid: string): Promise<Departure | undefined> {
    const departure = this.#departing.get(uid);
    if (departure?.aim === undefined || departure.how === "discard") return departure;
    const found = await departure.aim();
    // Begun anew meanwhile, it is in the queue once more.
    if (this.#departing.get(uid) !== departure) return undefined;
    if (found === "unknown") return departure;
    const aimed = { ...departure, hopeless: found, aim: undefined };
    this.#departing.set(uid, aimed);
    return aimed;
  }

  /** Why the deliveries are not waited for any longer; undefined = they are. */
  #whyOver({ uid, sinceMs, hopeless }: Departure): string | undefined {
    if (hopeless !== undefined) return hopeless.why;
    if (this.#clock.nowMs() - sinceMs >= DRAIN_MAX_MS) return `the ${DRAIN_MAX_MS / 60_000} minutes after a deletion were over`;
    return this.#deliveries.health(uid)?.suspension === undefined ? undefined : "it was suspended";
  }
}
