import type { Clock } from "../lib/clock.ts";

/** One list that is followed. */
export interface Sight {
  heard(): void;
  /** It is followed no longer, on purpose. */
  end(): void;
}

interface Seen {
  readonly kind: string;
  heardAtMs: number;
}

/** When each list was last heard of. Bookmarks come about once a minute, so silence is lost sight, never a quiet cluster. */
export class WatchSight {
  readonly #clock: Clock;
  readonly #lists = new Set<Seen>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What has never been heard of counts from now. */
  begin(kind: string): Sight {
    const seen: Seen = { kind, heardAtMs: this.#clock.monotonicMs() };
    this.#lists.add(seen);
    return { heard: () => (seen.heardAtMs = this.#clock.monotonicMs()), end: () => void this.#lists.delete(seen) };
  }

  /** Of each kind the list that has been silent longest, in seconds. */
  silentSeconds(): ReadonlyMap<string, number> {
    const nowMs = this.#clock.monotonicMs();
    const longest = new Map<string, number>();
    for (const { kind, heardAtMs } of this.#lists) longest.set(kind, Math.max(longest.get(kind) ?? 0, (nowMs - heardAtMs) / 1_000));
    return longest;
  }
}
