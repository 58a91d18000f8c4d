import { EVALUATION_STEPS_MAX } from "./expression-meter.ts";

/** A filter cut off so often in a row rests. */
export const CUTS_IN_A_ROW_MAX = 3;
/** A resting filter is tried again with every so many-th event; once it comes to an end it rests no more. */
export const RESTING_EVENTS = 64;

/**
 * How one filter has behaved. Hostile or careless filters cost a few full evaluations and then next to nothing, without a clock: what happens
 * depends on the events alone. A filter that is cut short only because others used up what it was to share is not held guilty.
 */
export class Patience {
  #cutsInARow = 0;
  #rested = 0;

  /** Why it is not asked about this event; undefined when it is. */
  refusal(): string | undefined {
    if (this.#cutsInARow < CUTS_IN_A_ROW_MAX) return undefined;
    this.#rested += 1;
    if (this.#rested % RESTING_EVENTS === 0) return undefined;
    return `not evaluated: the filter was too costly ${this.#cutsInARow} times in a row (at most ${EVALUATION_STEPS_MAX} steps are allowed) and is tried again with every ${RESTING_EVENTS}th event`;
  }

  /** Told after each evaluation that was allowed all it may ever take, or came to its end. */
  evaluated(cut: boolean): void {
    this.#cutsInARow = cut ? this.#cutsInARow + 1 : 0;
    if (!cut) this.#rested = 0;
  }

  /** It took more than its share of what one event may cost, so that a whole request could not be stored: it rests at once. */
  blamed(): void {
    this.#cutsInARow = Math.max(this.#cutsInARow, CUTS_IN_A_ROW_MAX);
  }
}
