import type { ClassStanding } from "../kube/class-lease.ts";
import type { HealthCheck } from "../observe/health-server.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";

/** What the class lets begin. Each is called at most once. */
export interface ClassSteps {
  /** Serves what the store knows, and reads manifests. */
  readonly serve: () => void;
  /** Judges them: verdicts, statuses, finalizers. */
  readonly judge: () => void;
  /** Another installation has the class although we had begun: nothing more may be sent or written. */
  readonly lost: () => void;
}

/** With files nobody else can serve the same manifests. */
const HELD: ClassStanding = { kind: "held", message: "" };

/**
 * Lets an installation begin once it holds its class, and ends it when it holds it no more: what runs is not halted piece by piece, the process stops
 * in order and is started again, to wait. Nothing is stored; the Lease says all.
 */
export class ClassGate {
  readonly #log: Log;
  readonly #metrics: Pick<Metrics, "classHeld">;
  #standing: ClassStanding;
  #steps: ClassSteps | undefined;
  readonly #begun = { serve: false, judge: false, lost: false };

  /** `isGuarded`: there is a Lease to wait for. */
  constructor(isGuarded: boolean, log: Log, metrics: Pick<Metrics, "classHeld">) {
    this.#log = log;
    this.#metrics = metrics;
    this.#standing = isGuarded ? { kind: "asking", message: "the Lease of the class has not been read yet" } : HELD;
    metrics.classHeld.set(isGuarded ? 0 : 1);
  }

  /** From now on the steps are taken as they become possible. */
  open(steps: ClassSteps): void {
    this.#steps = steps;
    this.#step();
  }

  note(standing: ClassStanding): void {
    const { kind, message } = standing;
    this.#standing = standing;
    this.#metrics.classHeld.set(kind === "held" ? 1 : 0);
    if (kind === "held") this.#log.info({ event: "class.held" }, "this installation serves its class");
    else if (kind === "in-use") this.#log.error({ event: "class.in_use" }, message);
    else this.#log.warn({ event: `class.${kind}` }, message);
    this.#step();
  }

  /** Why nothing is served, for people; undefined where it is. */
  closed(): string | undefined {
    const { kind, message } = this.#standing;
    if (this.#begun.lost || kind === "in-use") return message;
    return this.#begun.serve ? undefined : message;
  }

  /** Why no manifest may be judged yet; undefined once the class was held. */
  heldBack(): string | undefined {
    return this.#begun.judge ? undefined : this.#standing.message;
  }

  /** Readiness: the class first; what has not begun because of it is not asked. */
  checks(others: readonly HealthCheck[]): HealthCheck[] {
    const note = (): string | undefined => (this.#standing.message === "" ? undefined : this.#standing.message);
    const own: HealthCheck = { name: "class", reason: () => this.closed(), note };
    const waits = (): string | undefined => (this.closed() === undefined ? undefined : "nothing is served, see class");
    return [own, ...others.map((check) => unless(waits, check))];
  }

  /** Whether the start is over: whoever waits for another installation to go must not be started again for it. */
  started(others: readonly HealthCheck[]): HealthCheck[] {
    const isWaiting = (): boolean => this.closed() !== undefined && this.#standing.kind !== "asking";
    return this.checks(others).map((check) => ({ name: check.name, reason: () => (isWaiting() ? undefined : check.reason()) }));
  }

  #step(): void {
    const { kind } = this.#standing;
    const steps = this.#steps;
    const begun = this.#begun;
    if (steps === undefined || begun.lost) return;
    if ((kind === "held" || kind === "away") && !begun.serve) {
      begun.serve = true;
      steps.serve();
    }
    if (kind === "held" && !begun.judge) {
      begun.judge = true;
      steps.judge();
    }
    if (kind === "in-use" && begun.serve) {
      begun.lost = true;
      steps.lost();
    }
  }
}

/** A check whose reason is another one as long as there is such. */
function unless(first: () => string | undefined, check: HealthCheck): HealthCheck {
  return { name: check.name, reason: () => first() ?? check.reason(), note: () => check.note?.() };
}
