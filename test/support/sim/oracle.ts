import { WELL } from "../../../src/core/fairness/fair-share.ts";
import type { Lane } from "../../../src/delivery/queue/lane.ts";
import type { ReadyDelivery, Store } from "../../../src/store/store.ts";
import type { World } from "./world.ts";

/** What has just come to the store may not have reached memory yet, and the other way round: what is wrong must still be so after this. */
const AGAIN_MS = 500;
/** A row that is due and may be sent is on its way into memory within this: reads are slow, and others read too. */
const LOADED_WITHIN_MS = 5_000;
const ALL = 1_000;

/**
 * What must hold at any quiet moment: each row that has not ended is in memory, or noted as due, or behind its key, or held by a pause whose reason
 * holds now; what may go, goes; memory and store count the same (`isExact`: unless a commit has not said whether it happened). Answers what does
 * not hold, as sentences.
 */
export async function whatIsWrong(world: World, isExact = true): Promise<string[]> {
  const before = await look(world, isExact);
  if (before.length === 0) return [];
  await world.clock.advance(AGAIN_MS);
  const after = new Set((await look(world, isExact)).map(({ what }) => what));
  return before.filter(({ what }) => after.has(what)).map(({ what, detail }) => `${what}${detail}`);
}

interface Wrong {
  /** The same at both looks. */
  readonly what: string;
  readonly detail: string;
}

async function look(world: World, isExact: boolean): Promise<Wrong[]> {
  const { store, engine, clock } = world;
  const wrong: Wrong[] = [];
  const nowMs = clock.nowMs();
  const queues = await store.queues();
  for (const { subscription, pending } of queues) {
    const lane = engine.lanes.get(subscription);
    if (lane === undefined) {
      if (pending > 0) wrong.push({ what: `${subscription}: owed and no lane`, detail: ` (${pending})` });
      continue;
    }
    wrong.push(...wrongPauses(lane, nowMs));
    if (isExact && lane.isQuiet && lane.count.pending !== pending)
      wrong.push({ what: `${subscription}: owes ${pending}, memory says ${lane.count.pending}`, detail: "" });
    if (pending === 0 || lane.ending !== undefined) continue;
    wrong.push(...(await wrongRows(world, lane, nowMs)));
  }
  for (const as of ["fresh", "claimed"] as const) {
    for (const row of await unheld(store, as, world)) {
      wrong.push({ what: `${row.subscription}: row ${row.id} is ${as} and nowhere in memory`, detail: "" });
    }
  }
  wrong.push(...idleSlots(world, nowMs));
  return wrong;
}

async function unheld(store: Store, as: "fresh" | "claimed", world: World): Promise<ReadyDelivery[]> {
  const rows: ReadyDelivery[] = [];
  for (let afterId = 0; ;) {
    const window = await store[as](afterId, ALL);
    rows.push(
      ...window.filter(({ id, subscription }) => !world.engine.holds(id) && world.engine.lanes.get(subscription)?.ending === undefined),
    );
    if (window.length < ALL) return rows;
    afterId = window.at(-1)?.id ?? afterId;
  }
}

async function wrongRows({ store, engine }: World, lane: Lane, nowMs: number): Promise<Wrong[]> {
  const wrong: Wrong[] = [];
  const isReading = lane.backlog.loading || lane.backlog.wantsToLoad;
  for (const row of await store.due(lane.uid, Number.MAX_SAFE_INTEGER, ALL)) {
    if (engine.holds(row.id) || isReading || lane.backlog.indexDueAtMs <= row.dueAtMs) continue;
    // Full windows are read again a moment later.
    if (lane.backlog.indexDueAtMs <= nowMs + LOADED_WITHIN_MS) continue;
    const detail = `, due ${row.dueAtMs - nowMs} ms from now (noted: ${lane.backlog.indexDueAtMs})`;
    wrong.push({ what: `${lane.uid}: row ${row.id} is neither in memory nor noted`, detail });
  }
  return wrong;
}

/** Every pause holds for a reason that is there now, and ends within what the policy in force allows. */
function wrongPauses(lane: Lane, nowMs: number): Wrong[] {
  const pause = lane.gate.pausedUntil(nowMs);
  const subscription = lane.route?.subscription;
  if (pause === undefined || subscription === undefined) return [];
  const { policy } = subscription;
  const leftMs = pause.untilMs - nowMs;
  const holds: Record<typeof pause.reason, boolean> = {
    BySpec: subscription.spec.suspend,
    RefsUnresolved: subscription.target === undefined,
    Paused: lane.standing.paused !== undefined,
    AutoSuspended: lane.standing.suspended?.reason === "AutoSuspended",
    EndpointGone: lane.standing.suspended?.reason === "EndpointGone",
    HandshakePending: subscription.spec.verification !== undefined,
    CircuitOpen: lane.gate.circuitIsOpen && leftMs <= policy.circuitBreaker.openForMs,
    RetryAfter: leftMs <= policy.retry.retryAfterMaxMs,
  };
  return holds[pause.reason]
    ? []
    : [{ what: `${lane.uid}: paused by ${pause.reason}, which nothing asks for`, detail: `, for ${leftMs} ms` }];
}

/** Work is conserved: while so many slots are free that no share can be used up, whoever may send first tries has sent them. */
function idleSlots({ engine, slotsMax }: World, nowMs: number): Wrong[] {
  const lanes = [...engine.lanes.values()];
  const inFlight = lanes.reduce((sum, lane) => sum + lane.fair.inFlight, 0);
  if (inFlight >= Math.max(1, Math.floor(slotsMax / 4))) return [];
  // One that is failing is held back as a whole; of one that is slow, or not known yet, the first of its namespace goes at once.
  const holders = new Set(lanes.filter((lane) => lane.fair.inFlight > 0).map((lane) => lane.namespace));
  const isHeldBack = ({ fair, namespace }: Lane): boolean => fair.failing || (fair.standing !== WELL && holders.has(namespace));
  return lanes
    .filter((lane) => lane.ending === undefined && lane.openAtMs(nowMs) <= nowMs && lane.fair.inFlight < lane.capNow && !isHeldBack(lane))
    .filter((lane) => lane.backlog.hasReady("fresh", nowMs))
    .map((lane) => ({
      what: `${lane.uid}: may send, and its first tries wait`,
      detail: `, ${slotsMax - inFlight} of ${slotsMax} slots are free`,
    }));
}

/** For tests of the oracle itself: forgets everything that a lane holds in memory, as a defect would. */
export function makeForget(lane: Lane): void {
  while (lane.backlog.takeFresh() !== undefined);
  lane.backlog.dropWindow();
  lane.backlog.forgetDue();
}
