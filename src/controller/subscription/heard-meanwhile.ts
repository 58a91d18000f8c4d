import type { ObjectRef } from "../objects.ts";

/**
 * Changes told while subscriptions are looked at. What one names for the first time is known only after its look: of a change in between nobody
 * would tell it.
 */
export class HeardMeanwhile {
  #refs: ObjectRef[] = [];
  #looks = 0;

  note(ref: ObjectRef): void {
    if (this.#looks > 0) this.#refs.push(ref);
  }

  /** A look begins; answers what `end` wants to be given. */
  begin(): number {
    this.#looks += 1;
    return this.#refs.length;
  }

  /** The look has ended: what was told during it. */
  end(since: number): readonly ObjectRef[] {
    const heard = since === this.#refs.length ? [] : this.#refs.slice(since);
    this.#looks -= 1;
    if (this.#looks === 0) this.#refs = [];
    return heard;
  }
}
