import { tryOrder } from "../../core/egress/address-order.ts";
import type { ReachHistory } from "../../core/egress/address-order.ts";
import type { Clock } from "../../lib/clock.ts";
import { RecentMap } from "../../lib/recent-map.ts";

/** Destinations remembered; the one that was asked for the longest ago is forgotten first. */
const DESTINATIONS_MAX = 4_096;
/** Failed addresses remembered of one destination. */
const FAILED_MAX = 64;
/** So long an address that failed is tried after the others. */
const FAILED_FOR_MS = 10 * 60_000;

interface Entry {
  worked: string | undefined;
  readonly failedAtMs: RecentMap<string, number>;
}

const NOTHING_KNOWN: ReachHistory = { worked: undefined, failedAtMs: new Map() };

/**
 * Which addresses of a destination (a name and a port, as it is reached) answered and which did not. It decides the order in which they are tried and
 * nothing else: what is in it is vetted anew at each connect. Destinations where nothing failed take no room.
 */
export class ReachBook {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #destinations = new RecentMap<string, Entry>(DESTINATIONS_MAX);

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  /** The same addresses, the best first. */
  order(destination: string, addresses: readonly string[]): readonly string[] {
    if (addresses.length < 2) return addresses;
    const entry = this.#destinations.get(destination);
    if (entry !== undefined) this.#forgetOld(destination, entry);
    return tryOrder(addresses, this.#destinations.get(destination) ?? NOTHING_KNOWN);
  }

  worked(destination: string, address: string): void {
    const entry = this.#destinations.get(destination);
    if (entry === undefined) return;
    entry.worked = address;
    entry.failedAtMs.delete(address);
  }

  failed(destination: string, address: string): void {
    const entry = this.#destinations.get(destination) ?? { worked: undefined, failedAtMs: new RecentMap<string, number>(FAILED_MAX) };
    this.#destinations.set(destination, entry);
    if (entry.worked === address) entry.worked = undefined;
    entry.failedAtMs.set(address, this.#clock.monotonicMs());
  }

  #forgetOld(destination: string, { failedAtMs }: Entry): void {
    const before = this.#clock.monotonicMs() - FAILED_FOR_MS;
    for (const [address, atMs] of failedAtMs) if (atMs < before) failedAtMs.delete(address);
    if (failedAtMs.size === 0) this.#destinations.delete(destination);
  }
}
