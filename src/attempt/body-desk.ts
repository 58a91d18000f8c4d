import type { Event } from "../core/event.ts";
import type { CompiledBody } from "../core/expression/compile.ts";
import { type Rendering, renderPayload } from "../core/payload.ts";
import type { Route } from "../core/route-table.ts";
import { StepBudgets } from "../core/expression/step-budgets.ts";
import type { Clock } from "../lib/clock.ts";
import { LongWork } from "../lib/long-work.ts";

/** A body that took less the last time is made at once: a fifth of a millisecond. */
const QUICK_STEPS = 2_000;
/** What bodies that are made at once may take in one turn of the event loop, together: ten milliseconds. The next may be made of other data. */
const STEPS_A_TURN = 100_000;

/** Called with the body to send, or undefined when there will be none because Postrider stops. */
export type OnBody = (rendering: Rendering | undefined) => void;

/** An attempt whose body is to be made. */
interface Job {
  readonly event: Event;
  readonly route: Route;
  readonly body: CompiledBody;
  readonly onBody: OnBody;
}

interface Line {
  readonly jobs: Job[];
  /** Ends the wait for the namespace's budget. */
  stopWaiting: (() => void) | undefined;
}

/**
 * Makes bodies by `payload.body`. Expressions that may take long wait for their turn of the event loop, one after the other in a namespace, and for
 * their namespace's budget of steps: attempts of others go on, and what waits has begun neither its attempt nor its timeout.
 */
export class BodyDesk {
  readonly #clock: Clock;
  readonly #work: LongWork;
  readonly #budgets: StepBudgets;
  readonly #lines = new Map<string, Line>();
  readonly #lastSteps = new WeakMap<CompiledBody, number>();
  #isClosed = false;
  /** Taken in this turn of the event loop by what was made at once. */
  #turnSteps = 0;

  constructor(clock: Clock, budgets = new StepBudgets()) {
    this.#clock = clock;
    this.#work = new LongWork(clock);
    this.#budgets = budgets;
  }

  /** Attempts that wait for their body. */
  get waiting(): number {
    let count = 0;
    for (const { jobs } of this.#lines.values()) count += jobs.length;
    return count;
  }

  /** Calls `onBody` once: before it returns, if the body takes no time worth waiting for. */
  make(event: Event, route: Route, onBody: OnBody): void {
    const { body } = route;
    if (body === undefined) return onBody(renderPayload(event, route.subscription.spec.payload, undefined));
    const job = { event, route, body, onBody };
    if (this.#isQuick(body)) return onBody(this.#atOnce(job));
    const { namespace } = route.subscription;
    const line = this.#lines.get(namespace);
    if (line !== undefined) {
      line.jobs.push(job);
      return;
    }
    this.#lines.set(namespace, { jobs: [job], stopWaiting: undefined });
    this.#next(namespace);
  }

  /** Everything that waits goes without. */
  close(): void {
    this.#isClosed = true;
    for (const { jobs, stopWaiting } of this.#lines.values()) {
      stopWaiting?.();
      for (const { onBody } of jobs) onBody(undefined);
    }
    this.#lines.clear();
  }

  #isQuick(body: CompiledBody): boolean {
    if (this.#turnSteps > STEPS_A_TURN) return false;
    return !body.costly || (this.#lastSteps.get(body) ?? Number.POSITIVE_INFINITY) <= QUICK_STEPS;
  }

  #atOnce(job: Job): Rendering {
    const rendering = this.#render(job);
    if (this.#turnSteps === 0) this.#clock.afterPoll(() => (this.#turnSteps = 0));
    this.#turnSteps += Math.max(1, rendering.steps ?? 0);
    return rendering;
  }

  #next(namespace: string): void {
    const line = this.#lines.get(namespace);
    if (line === undefined) return;
    const debtMs = this.#budgets.debtMs(namespace, this.#clock.monotonicMs());
    if (debtMs === 0) void this.#work.later(namespace, () => this.#serve(namespace, line));
    else line.stopWaiting = this.#clock.after(debtMs, () => this.#next(namespace));
  }

  #serve(namespace: string, line: Line): void {
    const job = this.#isClosed ? undefined : line.jobs.shift();
    if (job === undefined) return;
    const rendering = this.#render(job);
    if (line.jobs.length === 0) this.#lines.delete(namespace);
    else this.#next(namespace);
    job.onBody(rendering);
  }

  #render({ event, route, body }: Job): Rendering {
    const { namespace, spec } = route.subscription;
    const rendering = renderPayload(event, spec.payload, body);
    const steps = rendering.steps ?? 0;
    this.#lastSteps.set(body, steps);
    this.#budgets.spend(namespace, steps, this.#clock.monotonicMs());
    return rendering;
  }
}
