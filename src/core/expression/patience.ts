import { EVALUATION_STEPS_MAX } from "./meter.ts";

/** A filter cut off so often in a row rests. */
export const CUTS_IN_A_ROW_MAX = 3;
/** A resting filter is tried again with every so many-th event; once it comes to an end it rests no more. */
export const RESTING_EVENTS = 64;

interface Record {
  cutsInARow: number;
  rested: number;
}

/**
 * How one filter has behaved, in each namespace by itself: subscriptions of different namespaces may share its text, and what one sends must not cost the
 * other its matches. Hostile or careless filters cost a few full evaluations and then next to nothing, without a clock: what happens depends on
 * the events alone. A filter that is cut short only because others used up what it was to share is not held guilty.
 */
export class Patience {
  /** Of namespaces where it was cut last. */
  readonly #records = new Map<string, Record>();

  /** Why it is not asked about this event; undefined when it is. */
  refusal(namespace: string): string | undefined {
    const record = this.#records.get(namespace);
    if (record === undefined || record.cutsInARow < CUTS_IN_A_ROW_MAX) return undefined;
    record.rested += 1;
    if (record.rested % RESTING_EVENTS === 0) return undefined;
    return `not evaluated: the filter was too costly for earlier events (at most ${EVALUATION_STEPS_MAX} steps are allowed) and is evaluated again for every ${RESTING_EVENTS}th event`;
  }

  /** Told after each evaluation that was allowed all it may ever take, or came to its end. */
  evaluated(namespace: string, cut: boolean): void {
    if (cut) this.#record(namespace).cutsInARow += 1;
    else if (this.#records.size > 0) this.#records.delete(namespace);
  }

  /** It took more than its share of what one event may cost, so that a whole request could not be stored: it rests at once. */
  blamed(namespace: string): void {
    const record = this.#record(namespace);
    record.cutsInARow = Math.max(record.cutsInARow, CUTS_IN_A_ROW_MAX);
  }

  #record(namespace: string): Record {
    const known = this.#records.get(namespace) ?? { cutsInARow: 0, rested: 0 };
    this.#records.set(namespace, known);
    return known;
  }
}
