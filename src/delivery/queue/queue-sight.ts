import { deadLetterOwner } from "../../core/dead-letter.ts";
import { FAILING, SLOW } from "../../core/fairness/fair-share.ts";
import type { SubscriptionName } from "../../core/subscription.ts";
import type { Clock } from "../../lib/clock.ts";
import type { QueueSeen, ReceiverKind } from "../../observe/queue-seen.ts";
import type { Lane } from "./lane.ts";

/** Below this a share of failures is none: it halves with every 14 successes and never ends. */
const SHARE_SHOWN_MIN = 0.001;

/** What a receiver is like for the fair queue; one that is not known yet counts as well, because it may be tried at once. */
export function receiverKind({ fair: { standing, pace } }: Lane): ReceiverKind {
  if (standing === FAILING) return "failing";
  return standing === SLOW && !pace.isUntried ? "slow" : "well";
}

/** The queues that have a route, as metrics show them. Nothing of it is kept: whoever reads a field pays for it. */
export function* queuesSeen(lanes: Iterable<Lane>, clock: Clock): Iterable<QueueSeen> {
  const nowMs = clock.nowMs();
  for (const lane of lanes) {
    const subscription = lane.route?.subscription;
    if (subscription !== undefined) yield new LaneSeen(lane, subscription, { nowMs, clock });
  }
}

interface Moment {
  readonly nowMs: number;
  readonly clock: Clock;
}

/** A lane at a moment. */
class LaneSeen implements QueueSeen {
  readonly namespace: string;
  readonly name: string;
  readonly #lane: Lane;
  readonly #moment: Moment;

  constructor(lane: Lane, { namespace, name }: SubscriptionName, moment: Moment) {
    this.namespace = namespace;
    this.name = name;
    this.#lane = lane;
    this.#moment = moment;
  }

  get isDeadLetters(): boolean {
    return deadLetterOwner(this.#lane.uid) !== undefined;
  }

  get pending(): number {
    return this.#lane.count.pending;
  }

  get inFlight(): number {
    return this.#lane.fair.inFlight;
  }

  get oldestAgeSeconds(): number | undefined {
    const { pending, oldestAcceptedAtMs } = this.#lane.count;
    if (pending === 0 || oldestAcceptedAtMs === undefined) return undefined;
    return Math.max(0, this.#moment.nowMs - oldestAcceptedAtMs) / 1_000;
  }

  get dueAgeSeconds(): number | undefined {
    const sinceMs = this.pending > this.inFlight ? dueSince(this.#lane, this.#moment.nowMs) : undefined;
    return sinceMs === undefined ? undefined : (this.#moment.nowMs - sinceMs) / 1_000;
  }

  get held(): QueueSeen["held"] {
    return this.#lane.gate.pausedUntil(this.#moment.nowMs)?.reason ?? (this.circuitIsOpen ? "CircuitOpen" : undefined);
  }

  get circuitIsOpen(): boolean {
    return this.#lane.gate.circuitIsOpen;
  }

  get failingSinceSeconds(): number | undefined {
    return this.#shown(this.#lane.standing.record.failingSinceMs);
  }

  get failureRatio(): number | undefined {
    const { failureShare } = this.#lane.standing.record;
    return failureShare < SHARE_SHOWN_MIN ? undefined : Math.round(failureShare * 1_000) / 1_000;
  }

  get deadLetters(): number | undefined {
    return this.#lane.letters?.at(this.#moment.nowMs).count;
  }

  get deadLettersExpirySeconds(): number | undefined {
    return this.#shown(this.#lane.letters?.at(this.#moment.nowMs).oldestExpiryMs);
  }

  get lastSuccessSeconds(): number | undefined {
    return this.#shown(this.#lane.standing.record.lastSuccessAtMs);
  }

  get nextAttemptSeconds(): number | undefined {
    return this.#shown(nextAttemptMs(this.#lane, this.#moment.nowMs));
  }

  #shown(atMs: number | undefined): number | undefined {
    return atMs === undefined ? undefined : this.#moment.clock.shownMs(atMs) / 1_000;
  }
}

/** Since when the oldest could have been sent that waits for nobody but us. */
function dueSince(lane: Lane, nowMs: number): number | undefined {
  if (lane.fair.inFlight >= lane.capNow || receiverKind(lane) !== "well" || lane.openAtMs(nowMs) > nowMs) return undefined;
  const dueAtMs = lane.backlog.dueSinceMs(nowMs);
  return dueAtMs === undefined ? undefined : Math.min(nowMs, Math.max(dueAtMs, lane.freeSinceMs));
}

function nextAttemptMs(lane: Lane, nowMs: number): number | undefined {
  if (lane.count.pending === 0) return undefined;
  const openAtMs = lane.openAtMs(nowMs);
  if (!Number.isFinite(openAtMs)) return undefined;
  const rowAtMs = lane.backlog.dueSinceMs(nowMs) === undefined ? Math.min(lane.wakeAtMs, lane.backlog.nextRowAtMs(nowMs)) : nowMs;
  return Number.isFinite(rowAtMs) ? Math.max(openAtMs, rowAtMs) : undefined;
}
