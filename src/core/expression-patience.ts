import { EVALUATION_STEPS_MAX } from "./expression-meter.ts";

/** What all filters of one event may take together, in steps; used up, each further one still gets its slice. */
const EVENT_STEPS_MAX = 600_000;
/** What every filter gets whatever its neighbours took: enough for one without loops, and for a loop over two hundred items. */
export const FILTER_STEPS_MIN = 2_000;
/** A filter cut off so often in a row rests. */
export const CUTS_IN_A_ROW_MAX = 3;
/** A resting filter is tried again with every so many-th event; once it comes to an end it rests no more. */
export const RESTING_EVENTS = 64;

/** The steps that one event's filters share. */
export interface EvaluationBudget {
  left: number;
}

export function eventBudget(): EvaluationBudget {
  return { left: EVENT_STEPS_MAX };
}

/** Why a filter was not evaluated, or how many steps it may take. */
export type Allowance = { readonly steps: number } | { readonly refused: string };

/**
 * How one filter has behaved. Hostile or careless filters cost a few full evaluations and then next to nothing, without a clock: what happens
 * depends on the events alone. A filter that is cut short only because its neighbours used up the event's steps is not held guilty.
 */
export class Patience {
  #cutsInARow = 0;
  #rested = 0;

  allowance(budget: EvaluationBudget): Allowance {
    if (this.#cutsInARow >= CUTS_IN_A_ROW_MAX) {
      this.#rested += 1;
      if (this.#rested % RESTING_EVENTS !== 0) {
        return {
          refused: `not evaluated: the filter needed more than ${EVALUATION_STEPS_MAX} steps ${this.#cutsInARow} times in a row and is tried again with every ${RESTING_EVENTS}th event`,
        };
      }
    }
    return { steps: Math.max(FILTER_STEPS_MIN, Math.min(EVALUATION_STEPS_MAX, budget.left)) };
  }

  /** Told after each evaluation, with the steps it was allowed and took. */
  evaluated(budget: EvaluationBudget, allowed: number, evaluation: { readonly steps: number; readonly cut: boolean }): void {
    budget.left = Math.max(0, budget.left - evaluation.steps);
    if (!evaluation.cut) {
      this.#cutsInARow = 0;
      this.#rested = 0;
    } else if (allowed === EVALUATION_STEPS_MAX) this.#cutsInARow += 1;
  }
}
