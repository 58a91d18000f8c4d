import { tryOrder } from "../../core/egress/address-order.ts";
import type { ReachHistory } from "../../core/egress/address-order.ts";
import type { Clock } from "../../lib/clock.ts";
import { RecentMap } from "../../lib/recent-map.ts";

/** Places remembered; the one that was asked for the longest ago is forgotten first. */
const PLACES_MAX = 4_096;
/** Failed addresses remembered of one place. */
const FAILED_MAX = 64;
/** So long an address that failed is tried after the others. */
const FAILED_FOR_MS = 10 * 60_000;

interface Entry {
  worked: string | undefined;
  readonly failedAtMs: RecentMap<string, number>;
}

const NOTHING_KNOWN: ReachHistory = { worked: undefined, failedAtMs: new Map() };

/**
 * Which addresses of a place (a name and a port, as it is reached) answered and which did not. It decides the order in which they are tried and
 * nothing else: what is in it is vetted anew at each connect. Places where nothing failed take no room.
 */
export class ReachBook {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #places = new RecentMap<string, Entry>(PLACES_MAX);

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  /** The same addresses, the best first. */
  order(place: string, addresses: readonly string[]): readonly string[] {
    if (addresses.length < 2) return addresses;
    const entry = this.#places.get(place);
    if (entry !== undefined) this.#forgetOld(place, entry);
    return tryOrder(addresses, this.#places.get(place) ?? NOTHING_KNOWN);
  }

  worked(place: string, address: string): void {
    const entry = this.#places.get(place);
    if (entry === undefined) return;
    entry.worked = address;
    entry.failedAtMs.delete(address);
  }

  failed(place: string, address: string): void {
    const entry = this.#places.get(place) ?? { worked: undefined, failedAtMs: new RecentMap<string, number>(FAILED_MAX) };
    this.#places.set(place, entry);
    if (entry.worked === address) entry.worked = undefined;
    entry.failedAtMs.set(address, this.#clock.monotonicMs());
  }

  #forgetOld(place: string, { failedAtMs }: Entry): void {
    const before = this.#clock.monotonicMs() - FAILED_FOR_MS;
    for (const [address, atMs] of failedAtMs) if (atMs < before) failedAtMs.delete(address);
    if (failedAtMs.size === 0) this.#places.delete(place);
  }
}
