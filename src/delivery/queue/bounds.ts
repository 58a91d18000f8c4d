/**
 * Every bound of the engine with its value in production. Tests make them small, so that they are reached: a bound that no test reaches
 * may stall deliveries unseen.
 */
export interface EngineBounds {
  /** Fresh deliveries in memory, of all subscriptions, and their bodies' bytes together. */
  readonly freshMax: number;
  readonly freshBytesMax: number;
  /**
   * One subscription may always hold this many fresh ones, and more while memory is free: at most half of what is left. So a busy one
   * never takes the last room, and a burst of one alone need not go through the due index, which costs twice as much.
   */
  readonly freshPerLaneMin: number;
  /**
   * Fresh deliveries whose first claim was written with their accept although they wait for a slot, of all subscriptions; one holds at most half of what
   * is left. Each is one more whose attempt is reported as `unknown` after a crash, and that is then retried in a group of suspects.
   */
  readonly aheadMax: number;
  /**
   * From so many that wait for their turn on, or from as many as the subscription may have in flight, requests for it wait a moment, while the event loop is
   * the bottleneck (see ingest-pace.ts).
   */
  readonly paceAt: number;
  /** Windows of due rows read at once. */
  readonly loadsMax: number;
  /** Rows held in all windows together, and how many of them one namespace may hold, so that memory does not grow with backlogs. */
  readonly rowsMax: number;
  readonly rowsPerNamespaceMax: number;
  /** A subscription may always hold this many rows, whatever the others hold; above it, at most half of what is free. */
  readonly rowsFloor: number;
  /** Rows of one window. */
  readonly windowMax: number;
  /**
   * Claims written by one call to the store, one call a turn of the event loop. What is begun together comes back together: with a thousand at once a
   * turn takes 100 ms and more, and whoever publishes waits for three of them. Turns are short where little is under way, so the pace is not held down.
   */
  readonly claimsMax: number;
  /** Results not yet durable: above it nothing new is started or accepted. */
  readonly backlogMax: number;
  /**
   * Deliveries with a crash behind them that are under way at once: after the first crash, the second, and from the third on. Only the last are
   * tried alone and count towards quarantine. A namespace holds at most half of a group.
   */
  readonly suspectGroups: readonly [number, number, number];
  /** Paused subscriptions whose aged deliveries are looked for in one round. */
  readonly sweptLanesMax: number;
}

export const ENGINE_BOUNDS: EngineBounds = {
  freshMax: 20_000,
  freshBytesMax: 32 * 1024 * 1024,
  freshPerLaneMin: 256,
  aheadMax: 1_024,
  paceAt: 128,
  loadsMax: 8,
  rowsMax: 40_000,
  rowsPerNamespaceMax: 20_000,
  rowsFloor: 32,
  windowMax: 256,
  claimsMax: 64,
  backlogMax: 20_000,
  suspectGroups: [64, 8, 1],
  sweptLanesMax: 50,
};
