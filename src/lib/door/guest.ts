/**
 * What a connection does:
 *   `rest`    nothing of a request has come since it was opened or answered last
 *   `head`    a request's head has begun and is not whole
 *   `busy`    a request is under way
 *   `unread`  an answer waits for a reader who takes nothing of it
 */
export type Doing = "rest" | "head" | "busy" | "unread";

const DOINGS: Readonly<Record<Doing, number>> = { rest: 0, head: 1, busy: 2, unread: 3 };

/** In which line of its address a connection stands: 0 to LANES - 1. */
export type Lane = number;
export const LANES = 8;

export function laneOf(known: boolean, doing: Doing): Lane {
  return DOINGS[doing] + (known ? LANES / 2 : 0);
}

/** A connection as the door sees it: whose it is, whether it has ever proven itself, and what it does since when. */
export class Guest {
  readonly address: string;
  /** Whoever holds it has shown a valid credential on it, or done what the port is for. */
  known = false;
  doing: Doing = "rest";
  /** Since when it does that, on the monotonic clock, ms. */
  sinceMs: number;
  previous: Guest | undefined;
  next: Guest | undefined;

  constructor(address: string, nowMs: number) {
    this.address = address;
    this.sinceMs = nowMs;
  }

  get lane(): Lane {
    return laneOf(this.known, this.doing);
  }
}

/** Guests in the order in which they came into it; whoever leaves from the middle costs as little as the first. */
export class Line<G extends Guest> implements Iterable<G> {
  #first: Guest | undefined;
  #last: Guest | undefined;

  get first(): G | undefined {
    return this.#first as G | undefined;
  }

  push(guest: G): void {
    guest.previous = this.#last;
    guest.next = undefined;
    if (this.#last === undefined) this.#first = guest;
    else this.#last.next = guest;
    this.#last = guest;
  }

  /** It must stand in this line. */
  remove(guest: G): void {
    if (guest.previous === undefined) this.#first = guest.next;
    else guest.previous.next = guest.next;
    if (guest.next === undefined) this.#last = guest.previous;
    else guest.next.previous = guest.previous;
    guest.previous = undefined;
    guest.next = undefined;
  }

  /** The one just given may leave meanwhile. */
  *[Symbol.iterator](): Generator<G> {
    let guest = this.#first;
    while (guest !== undefined) {
      const { next } = guest;
      yield guest as G;
      guest = next;
    }
  }
}
