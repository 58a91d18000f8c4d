/** A refusal of what was once allowed is believed once it has been repeated this often ... */
const DOUBT_DENIALS = 7;
/** ... each time at least this long after the last, ms: a minute in all. The authorizer of an API server that starts refuses everything for seconds. */
export const DOUBT_EVERY_MS = 10_000;
/** What was refused a moment ago is asked again sooner, ms, so that what an API server refused as it started is read again soon ... */
const RETURN_AFTER_MS = 3_000;
/** ... this often. */
const RETURNS_MAX = 3;
/** What may be read is asked again this often, ms: a watch that is open does not show that its permission was taken away. */
export const ALLOWED_EVERY_MS = 60_000;
/** What may not be read is asked again this often, ms, so that a new RoleBinding is seen within 10 s. */
export const DENIED_EVERY_MS = 9_000;
/** Where requests are refused although the answer was yes, or where no answer can be had, the waits double up to this, ms. */
export const REFUSED_EVERY_MAX_MS = 300_000;

/** What the owner of a question has to do now. */
export type AccessStep = "open" | "close" | undefined;

/**
 * What is known of one permission, and what each answer makes of it. `granted` only once something was read: an answer of yes alone changes
 * nothing for those who wait. What was granted is taken back after a minute of uninterrupted refusals; what was not, by the first one.
 */
export class AccessStanding {
  state: "pending" | "granted" | "denied" = "pending";
  /** Whether the owner has been told to open, and has not been refused or told to close since. */
  isReading = false;
  #denials = 0;
  #countedAtMs = Number.NEGATIVE_INFINITY;
  /** Requests refused since the last that was not. */
  #refusals = 0;

  answered(isAllowed: boolean, nowMs: number): AccessStep {
    if (!isAllowed) {
      this.#refusals = 0;
      return this.#deny(nowMs);
    }
    if (this.isReading) {
      this.#denials = 0;
      return undefined;
    }
    return this.attempt();
  }

  /** The request itself is the question. */
  attempt(): AccessStep {
    if (this.isReading) return undefined;
    this.isReading = true;
    return "open";
  }

  /** Something was read. */
  granted(): void {
    this.state = "granted";
    this.#denials = 0;
    this.#refusals = 0;
  }

  /** A request was answered 403; the owner has stopped reading. */
  refused(nowMs: number): AccessStep {
    this.isReading = false;
    this.#refusals += 1;
    return this.#deny(nowMs);
  }

  /** No answer: refusals before and after it do not make one minute. */
  unanswered(): void {
    this.#denials = 0;
  }

  /** Something has changed where the permission is needed: whatever waited long does so no longer. */
  prompted(): void {
    this.#refusals = 0;
  }

  /** When to ask next, from now. */
  waitMs(): number {
    if (this.state === "granted" && !this.isReading && this.#refusals <= RETURNS_MAX) return RETURN_AFTER_MS;
    if (this.state === "granted") return this.#denials > 0 || !this.isReading ? DOUBT_EVERY_MS : ALLOWED_EVERY_MS;
    if (this.isReading) return ALLOWED_EVERY_MS;
    return Math.min(REFUSED_EVERY_MAX_MS, DENIED_EVERY_MS * 2 ** Math.min(Math.max(0, this.#refusals - 1), 10));
  }

  /** Requests are refused again and again although they should not be. */
  get isRefusedAnyway(): boolean {
    return this.state !== "granted" && this.#refusals > 1;
  }

  /** A request was tried. */
  get isTried(): boolean {
    return this.#refusals > 0;
  }

  #deny(nowMs: number): AccessStep {
    if (this.state === "denied" && !this.isReading) return undefined;
    if (this.state === "granted") {
      if (nowMs - this.#countedAtMs < DOUBT_EVERY_MS && this.#denials > 0) return undefined;
      this.#denials += 1;
      this.#countedAtMs = nowMs;
      if (this.#denials < DOUBT_DENIALS) return undefined;
    }
    this.state = "denied";
    this.isReading = false;
    this.#denials = 0;
    return "close";
  }
}
