import type { Match } from "../core/route-table.ts";
import {
  EVENT_STEPS_MAX,
  REQUEST_STEPS_MAX,
  STEPS_IN_DEBT_MAX,
  type StepAllowance,
  type StepBudgets,
} from "../core/expression/step-budgets.ts";
import type { Clock } from "../lib/clock.ts";
import { refuse, type Refusal } from "./refusal.ts";

/** Which event of how many. */
interface EventPosition {
  readonly index: number;
  readonly events: number;
}

/**
 * What the filters of one request cost. All its events share one allowance, and what they take is owed by their namespace: as long as it owes something
 * to earlier requests, this one may only take little. Too much for that: the request is refused as a whole, before anything of it is stored.
 */
export class FilterBill {
  readonly #namespace: string;
  readonly #budgets: StepBudgets;
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #allowance: StepAllowance = { left: REQUEST_STEPS_MAX };
  #given = REQUEST_STEPS_MAX;
  #spent = 0;

  constructor(namespace: string, budgets: StepBudgets, clock: Pick<Clock, "monotonicMs">) {
    this.#namespace = namespace;
    this.#budgets = budgets;
    this.#clock = clock;
  }

  /** What the next event's filters may take. */
  next(): StepAllowance {
    const max = this.#othersOwe() ? STEPS_IN_DEBT_MAX : REQUEST_STEPS_MAX;
    this.#given = max;
    this.#allowance.left = max - this.#spent;
    return this.#allowance;
  }

  /** Charges what they took. @returns why the request goes no further, where that was too much */
  paid({ steps, short }: Match, position: EventPosition): Refusal | undefined {
    this.#spent += steps;
    this.#budgets.spend(this.#namespace, steps, this.#clock.monotonicMs());
    if (short === undefined) return undefined;
    const debtMs = this.#budgets.debtMs(this.#namespace, this.#clock.monotonicMs());
    const retryAfterSeconds = Math.max(1, Math.ceil(debtMs / 1_000));
    const at = position.events > 1 ? { index: position.index } : {};
    return refuse("filters_too_costly", this.#why(short, position, retryAfterSeconds), { ...at, retryAfterSeconds });
  }

  /** A debt that is not this request's own. */
  #othersOwe(): boolean {
    return this.#budgets.left(this.#namespace, this.#clock.monotonicMs()) + this.#spent < 0;
  }

  #why(short: "event" | "allowance", { index, events }: EventPosition, waitSeconds: number): string {
    const cost = `Nothing was stored. The filters (events.filter) of namespace ${this.#namespace}`;
    if (short === "event") {
      return `${cost} need more than the ${EVENT_STEPS_MAX} steps allowed for one event: the costliest now pause; try again in ${waitSeconds} s. Make them cheaper: fewer loops and regular expressions.`;
    }
    if (this.#given === STEPS_IN_DEBT_MAX) {
      return `${cost} have used up their ${this.#budgets.perSecond} steps a second, and this request needs more than the ${STEPS_IN_DEBT_MAX} allowed meanwhile: try again in ${waitSeconds} s, or make them cheaper.`;
    }
    const fitting = Math.max(1, Math.floor(index * 0.8));
    return `${cost} took the ${REQUEST_STEPS_MAX} steps allowed for one request with the first ${index} of ${events} events: send fewer events in a request, about ${fitting}, in ${waitSeconds} s, or make the filters cheaper.`;
  }
}
