import { deadLetterOwner } from "../../core/dead-letter.ts";
import { FAILING, SLOW } from "../../core/fairness/fair-share.ts";
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

/** The queues that have a route, as metrics show them. Nothing of it is kept: whoever reads it pays for it. */
export function* queuesSeen(lanes: Iterable<Lane>, clock: Clock): Iterable<QueueSeen> {
  const nowMs = clock.nowMs();
  for (const lane of lanes) if (lane.route !== undefined) yield seen(lane, nowMs, clock);
}

function seen(lane: Lane, nowMs: number, clock: Clock): QueueSeen {
  const { count, gate, standing, fair } = lane;
  const { record } = standing;
  const { namespace, name } = lane.route?.subscription ?? { namespace: lane.namespace, name: "" };
  const circuitIsOpen = gate.circuitIsOpen;
  const shown = (atMs: number | undefined): number | undefined => (atMs === undefined ? undefined : clock.shownMs(atMs) / 1_000);
  const dueSinceMs = count.pending > fair.inFlight ? dueSince(lane, nowMs) : undefined;
  const oldestAtMs = count.pending > 0 ? count.oldestAcceptedAtMs : undefined;
  return {
    namespace,
    name,
    isDeadLetters: deadLetterOwner(lane.uid) !== undefined,
    pending: count.pending,
    inFlight: fair.inFlight,
    oldestAgeSeconds: oldestAtMs === undefined ? undefined : Math.max(0, nowMs - oldestAtMs) / 1_000,
    dueAgeSeconds: dueSinceMs === undefined ? undefined : (nowMs - dueSinceMs) / 1_000,
    held: gate.pausedUntil(nowMs)?.reason ?? (circuitIsOpen ? "CircuitOpen" : undefined),
    circuitIsOpen,
    failingSinceSeconds: shown(record.failingSinceMs),
    failureRatio: record.failureShare < SHARE_SHOWN_MIN ? undefined : Math.round(record.failureShare * 1_000) / 1_000,
    lastSuccessSeconds: shown(record.lastSuccessAtMs),
    nextAttemptSeconds: shown(nextAttemptMs(lane, nowMs)),
  };
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
