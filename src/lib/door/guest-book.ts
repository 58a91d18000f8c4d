import { type Doing, type Guest, type Lane, LANES, laneOf, Line } from "./guest.ts";

/** Whoever has just come, or just begun, is given so long before the place is wanted back, ms. */
export const GRACE_MS = 1_000;
/**
 * In a crowd a second is too much to give. So much is given still, ms: many connections come in one turn of the event loop, and what each asks is read in a
 * later one. Where no stranger has been there for so long (half of the house comes anew within it), the oldest goes.
 */
export const CROWD_GRACE_MS = 100;

/** One lane, and how long a guest must have been in it to go. */
interface Place {
  readonly lane: Lane;
  readonly graceMs: number;
}

/**
 * Who goes first when a place is needed. Strangers go before those who have proven themselves, and among each those who do nothing before those
 * who do something. Whoever is in the first second of it is spared as long as anybody else is there; `crowd`: one of CROWD goes, when so many
 * strangers have just come that they would push out those who have proven themselves. Last of all go requests under way.
 */
const ORDER: readonly (Place | "crowd")[] = [
  { lane: laneOf(false, "rest"), graceMs: GRACE_MS },
  { lane: laneOf(false, "head"), graceMs: GRACE_MS },
  { lane: laneOf(false, "unread"), graceMs: 0 },
  { lane: laneOf(false, "busy"), graceMs: GRACE_MS },
  "crowd",
  { lane: laneOf(true, "rest"), graceMs: 0 },
  { lane: laneOf(true, "head"), graceMs: GRACE_MS },
  { lane: laneOf(true, "unread"), graceMs: 0 },
  { lane: laneOf(false, "rest"), graceMs: 0 },
  { lane: laneOf(false, "head"), graceMs: 0 },
  { lane: laneOf(false, "busy"), graceMs: 0 },
  { lane: laneOf(true, "head"), graceMs: 0 },
  { lane: laneOf(true, "busy"), graceMs: 0 },
];

/** Who of an address goes when strangers are a crowd. */
const CROWD: readonly Place[] = [CROWD_GRACE_MS, 0].flatMap((graceMs) =>
  (["rest", "head", "busy"] as const).map((doing) => ({ lane: laneOf(false, doing), graceMs })),
);

/** The connections of one remote address. */
class Household<G extends Guest> {
  count = 0;
  /** How many of them have not proven themselves. */
  strangers = 0;
  readonly #lines = Array.from({ length: LANES }, () => new Line<G>());

  line(lane: Lane): Line<G> {
    return this.#lines[lane]!;
  }

  /** The one that has been in this lane for longest, for so long at least. */
  oldest(lane: Lane, beforeMs: number, spared: G | undefined): G | undefined {
    const { first } = this.line(lane);
    const found = first !== undefined && first === spared ? (first.next as G | undefined) : first;
    return found === undefined || found.sinceMs > beforeMs ? undefined : found;
  }
}

/**
 * Everybody who has a connection, and whose place is given up first. Knows no socket and no clock. Coming, going and changing cost the same
 * however many there are; finding whose place is given up looks at every address once.
 */
export class GuestBook<G extends Guest> {
  readonly #households = new Map<string, Household<G>>();
  /** How many are in each lane. */
  readonly #counts: number[] = Array.from({ length: LANES }, () => 0);
  readonly #strangersMax: number;
  #size = 0;
  #strangers = 0;

  /** More strangers than `strangersMax` are a crowd. */
  constructor(strangersMax: number) {
    this.#strangersMax = strangersMax;
  }

  get size(): number {
    return this.#size;
  }

  /** How many have not proven themselves. */
  get strangers(): number {
    return this.#strangers;
  }

  /** How many connections an address has. */
  of(address: string): number {
    return this.#households.get(address)?.count ?? 0;
  }

  add(guest: G): void {
    const known = this.#households.get(guest.address);
    const household = known ?? new Household<G>();
    if (known === undefined) this.#households.set(guest.address, household);
    household.count++;
    this.#push(household, guest);
    this.#size++;
  }

  remove(guest: G): void {
    const household = this.#households.get(guest.address);
    if (household === undefined) return;
    this.#pull(household, guest);
    household.count--;
    this.#size--;
    if (household.count === 0) this.#households.delete(guest.address);
  }

  /** It does something else from now on. */
  turn(guest: G, doing: Doing, nowMs: number): void {
    this.#change(guest, () => {
      guest.doing = doing;
      guest.sinceMs = nowMs;
    });
  }

  /** It has proven itself. */
  know(guest: G): void {
    if (!guest.known) this.#change(guest, () => (guest.known = true));
  }

  /**
   * Whose place is given up for another: by lane first (see ORDER), in that from the address with most connections, of those who have been in the lane
   * for longest. So nobody's address pushes out others, and no address has a limit while there is room. `spared` is never chosen.
   */
  victim(nowMs: number, spared?: G): G | undefined {
    for (const place of ORDER) {
      const found = place === "crowd" ? this.#ofCrowd(nowMs, spared) : this.#inLane(place, nowMs, spared);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #inLane({ lane, graceMs }: Place, nowMs: number, spared: G | undefined): G | undefined {
    if (this.#counts[lane] === 0) return undefined;
    let found: G | undefined;
    let most = 0;
    for (const household of this.#households.values()) {
      if (household.count <= most) continue;
      const oldest = household.oldest(lane, nowMs - graceMs, spared);
      if (oldest === undefined) continue;
      found = oldest;
      most = household.count;
    }
    return found;
  }

  /** One of the address with most strangers, whatever they do: so who brings the crowd pays for it. */
  #ofCrowd(nowMs: number, spared: G | undefined): G | undefined {
    if (this.#strangers <= this.#strangersMax) return undefined;
    let found: G | undefined;
    let most = 0;
    for (const household of this.#households.values()) {
      if (household.strangers <= most) continue;
      for (const { lane, graceMs } of CROWD) {
        const oldest = household.oldest(lane, nowMs - graceMs, spared);
        if (oldest === undefined) continue;
        found = oldest;
        most = household.strangers;
        break;
      }
    }
    return found;
  }

  /** Those in a lane; the one just given may go or change meanwhile. */
  *in(lane: Lane): Generator<G> {
    for (const household of this.#households.values()) yield* household.line(lane);
  }

  /** Those who have been in a lane since then or before; the one just given must go or change before the next is asked for. */
  *inSince(lane: Lane, beforeMs: number): Generator<G> {
    for (const household of this.#households.values()) {
      for (let first = household.line(lane).first; first !== undefined && first.sinceMs <= beforeMs;) {
        yield first;
        const { first: next } = household.line(lane);
        if (next === first) break;
        first = next;
      }
    }
  }

  #change(guest: G, change: () => void): void {
    const household = this.#households.get(guest.address);
    if (household === undefined) return;
    this.#pull(household, guest);
    change();
    this.#push(household, guest);
  }

  #push(household: Household<G>, guest: G): void {
    household.line(guest.lane).push(guest);
    this.#counts[guest.lane]!++;
    if (guest.known) return;
    this.#strangers++;
    household.strangers++;
  }

  #pull(household: Household<G>, guest: G): void {
    household.line(guest.lane).remove(guest);
    this.#counts[guest.lane]!--;
    if (guest.known) return;
    this.#strangers--;
    household.strangers--;
  }
}
