/**
 * Does one piece of work at the end of this turn of the event loop, however often it is asked for in it. What is asked for while the work runs
 * follows at the end of the next turn.
 */
export class Soon {
  #work: () => void = () => undefined;
  #isAsked = false;
  /** Made once: asking makes nothing. */
  readonly #turnEnds = (): void => {
    this.#isAsked = false;
    this.#work();
  };

  /** Names the work. Whoever does it names it when it is made, before anybody asks. */
  does(work: () => void): void {
    this.#work = work;
  }

  ask(): void {
    if (this.#isAsked) return;
    this.#isAsked = true;
    setImmediate(this.#turnEnds);
  }
}
