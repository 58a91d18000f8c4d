import type { EndReason } from "../../core/delivery.ts";
import { spent } from "../../core/delivery-state.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Soon } from "../../lib/soon.ts";
import type { BusinessEvents } from "../../observe/events.ts";
import type { Log } from "../../observe/log.ts";
import { StoreError, type Claimed, type DeliveryId, type Store } from "../../store/store.ts";
import type { ForgottenRows } from "../forgotten-rows.ts";
import type { Lifetime } from "../lifetime.ts";
import type { FlightDesk } from "./flight-desk.ts";
import type { EngineBounds } from "../queue/bounds.ts";
import type { Lane } from "../queue/lane.ts";
import type { FreshMemory } from "../queue/fresh-memory.ts";
import { isLone, type Scheduler, type Turn } from "../queue/scheduler.ts";

const CLAIM_RETRY_MS = 500;
/** Attempts begun in one turn of the event loop by one such call: beginning one costs 0.1 ms and more, and others wait meanwhile. */
const SENDS_A_TURN = 32;

export interface ClaimLoopParts {
  readonly store: Pick<Store, "claim">;
  readonly clock: Clock;
  readonly log: Log;
  readonly events: Pick<BusinessEvents, "deliveriesLost">;
  readonly scheduler: Scheduler;
  readonly soon: Soon;
  readonly fresh: Pick<FreshMemory, "taken">;
  readonly flights: FlightDesk;
  readonly bounds: Pick<EngineBounds, "claimsMax">;
  /** While booting or draining results are written, but nothing new is claimed. */
  readonly life: Pick<Lifetime, "isUp" | "livedSinceMs">;
  /** Looks for claims of which the store did not say whether they were written. */
  readonly forgotten: Pick<ForgottenRows, "doubt">;
}

/** Gives turns to deliveries and makes their claims durable: no claim, no socket. */
export class ClaimLoop {
  readonly #parts: ClaimLoopParts;
  #claimsHeld = false;

  constructor(parts: ClaimLoopParts) {
    this.#parts = parts;
    // Everything of one turn of the event loop goes to the store together.
    parts.soon.does(() => this.#tick());
  }

  #tick(): void {
    const { flights, scheduler, life, soon } = this.#parts;
    flights.flush();
    if (!flights.keepsUp() || this.#claimsHeld || !life.isUp) return;
    const { claimsMax } = this.#parts.bounds;
    const batch: Turn[] = [];
    const spentOf = new Map<Lane, Spent[]>();
    for (let picked = 0; picked < claimsMax; picked++) {
      const turn = scheduler.pick();
      if (turn === undefined) break;
      const reason = this.#endIfSpent(turn);
      if (reason === undefined) batch.push(turn);
      else noteSpent(spentOf, turn, reason);
      if (picked + 1 === claimsMax) soon.ask();
    }
    if (spentOf.size > 0) this.#tellSpent(spentOf);
    if (batch.length > 0) void this.#claim(batch);
  }

  /** Attempts and age are judged by the policy at claim. */
  #endIfSpent(turn: Turn): EndReason | undefined {
    const { lane, waiting } = turn;
    const policy = lane.route?.subscription.policy;
    if (policy === undefined) return undefined;
    const reason = spent(waiting, policy, { nowMs: this.#parts.clock.nowMs(), livedSinceMs: this.#parts.life.livedSinceMs });
    if (reason === undefined) return undefined;
    if (waiting.isFresh) this.#parts.fresh.taken(lane, waiting);
    this.#parts.flights.endUntried(turn, reason);
    return reason;
  }

  /** One line for each lane and reason: after a long trouble there may be thousands. */
  #tellSpent(spentOf: ReadonlyMap<Lane, readonly Spent[]>): void {
    for (const [lane, spent] of spentOf) {
      const subscription = lane.route?.subscription;
      if (subscription === undefined) continue;
      for (const reason of new Set(spent.map((each) => each.reason))) {
        const ids = spent.filter((each) => each.reason === reason).map(({ id }) => id);
        this.#parts.events.deliveriesLost(subscription, { reason, count: ids.length, ids });
      }
    }
  }

  async #claim(turns: readonly Turn[]): Promise<void> {
    const { store, fresh, scheduler, flights } = this.#parts;
    let claimed: readonly (Claimed | undefined)[];
    try {
      claimed = await store.claim(
        turns.map((turn) => ({
          id: turn.waiting.id,
          epoch: turn.lane.epoch,
          lone: isLone(turn),
          withEvent: turn.waiting.event === undefined,
        })),
      );
    } catch (error) {
      this.#claimFailed(turns, error);
      return;
    }
    for (const [i, turn] of turns.entries()) {
      const { lane, waiting } = turn;
      if (i > 0 && i % SENDS_A_TURN === 0) await new Promise<void>((resolve) => this.#parts.clock.afterPoll(resolve));
      const row = claimed[i];
      if (waiting.isFresh) fresh.taken(lane, waiting);
      if (row === undefined) {
        // Ended or claimed by somebody else meanwhile.
        scheduler.release(turn, { sent: false });
        scheduler.letGo(lane, waiting.id);
      } else flights.send(turn, row.attempt, waiting.event ?? row.event);
    }
  }

  #claimFailed(turns: readonly Turn[], error: unknown): void {
    const { log, scheduler, clock } = this.#parts;
    this.#claimsHeld = true;
    // Claims that were written all the same are found again as claimed by nobody.
    if (error instanceof StoreError && error.code === "unknown") this.#parts.forgotten.doubt();
    log.error({ err: error, claims: turns.length }, "claims could not be stored, so nothing was sent: retrying");
    for (const turn of turns.toReversed()) {
      turn.lane.backlog.putBack(turn.waiting);
      scheduler.release(turn, { sent: false });
    }
    clock.after(CLAIM_RETRY_MS, () => {
      this.#claimsHeld = false;
      this.#parts.soon.ask();
    });
  }
}

interface Spent {
  readonly id: DeliveryId;
  readonly reason: EndReason;
}

function noteSpent(spentOf: Map<Lane, Spent[]>, { lane, waiting }: Turn, reason: EndReason): void {
  const spent = spentOf.get(lane) ?? [];
  spent.push({ id: waiting.id, reason });
  spentOf.set(lane, spent);
}
