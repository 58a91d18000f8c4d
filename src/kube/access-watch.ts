import { aborted } from "../lib/abort.ts";
import type { Clock } from "../lib/clock.ts";
import { Fifo } from "../lib/fifo.ts";
import type { Random } from "../lib/random.ts";
import type { Service } from "../lib/service.ts";
import { AccessStanding, type AccessStep } from "./access-standing.ts";
import { accessAttributes, type ReviewedAccess } from "./reviewed-access.ts";
import { type KubeTransport, statusMessage } from "./transport.ts";

/** Questions in a second that come round by themselves: 1,000 closed namespaces within 9 s. Each is a line in an audit log. */
export const ROUTINE_PER_SECOND = 125;
/** So many of them may follow one another at once after a quiet moment. */
const ROUTINE_BURST = 25;
/** Questions at a time. */
const IN_FLIGHT_MAX = 6;
/** After a question without an answer nothing is asked for this long, ms. */
const AWAY_MS = 2_000;
/** A longer Retry-After is cut to this, ms. */
const AWAY_MAX_MS = 30_000;
/** One permission is asked about at most this often because something changed, ms: whoever edits in a loop does not make it more. */
const PROMPT_EVERY_MS = 5_000;
/** Requests tried in a second although the last one was refused, all together, where the API server does not answer such questions. */
const TRIES_PER_SECOND = 1;
/** The API server must refuse the questions themselves for this long, ms, before requests are tried instead: it does so for seconds when it starts. */
const MUTE_AFTER_MS = 60_000;

const PATH = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/** Who needs a permission. */
export interface AccessReader {
  /** Begin to read; called again only after `refused` or `close`. */
  open(): void;
  /** Not allowed: what was read must not be used. */
  close(): void;
  /** Not known yet, and why. */
  troubled(message: string): void;
}

export interface AccessHandle {
  readonly isDenied: boolean;
  /** Something was read. */
  granted(): void;
  /** A request was answered 403, and reading has stopped. */
  refused(): void;
  /** Something has changed where the permission is needed. */
  prompt(): void;
  stop(): void;
}

export type AccessCheckResult = "allowed" | "denied" | "unanswered";

export interface AccessWatchOptions {
  readonly transport: Pick<KubeTransport, "request">;
  readonly clock: Clock;
  readonly random: Random;
  readonly asked: (result: AccessCheckResult) => void;
}

type Answer =
  | { readonly kind: "answered"; readonly isAllowed: boolean }
  | { readonly kind: "mute"; readonly message: string }
  | { readonly kind: "unanswered"; readonly message: string; readonly awayMs: number };

interface Entry {
  readonly access: ReviewedAccess;
  readonly reader: AccessReader;
  readonly standing: AccessStanding;
  cancel: () => void;
  isQueued: boolean;
  isStopped: boolean;
  askedAtMs: number;
}

/**
 * Which permissions the operator has, asked with SelfSubjectAccessReviews, because a question that is answered no is not a refused request.
 * What is not allowed is asked about again within 9 s, what is allowed once a minute, all together at a bounded pace; with more of them
 * each waits longer. An API server that does not answer changes nothing.
 */
export class AccessWatch implements Service {
  readonly name = "access-watch";
  readonly #options: AccessWatchOptions;
  readonly #entries = new Set<Entry>();
  /** First questions and prompted ones. */
  readonly #urgent = new Fifo<Entry>();
  readonly #routine = new Fifo<Entry>();
  readonly #asks = new Set<Promise<void>>();
  #signal: AbortSignal | undefined;
  #nextRoutineMs = 0;
  #nextTryMs = 0;
  #awayUntilMs = 0;
  #mutedAtMs: number | undefined;
  #cancelWake: (() => void) | undefined;

  constructor(options: AccessWatchOptions) {
    this.#options = options;
  }

  /** Asks from now on, until `stop`. */
  follow(access: ReviewedAccess, reader: AccessReader): AccessHandle {
    const standing = new AccessStanding();
    const entry: Entry = {
      access,
      reader,
      standing,
      cancel: () => {},
      isQueued: false,
      isStopped: false,
      askedAtMs: Number.NEGATIVE_INFINITY,
    };
    this.#entries.add(entry);
    this.#queue(entry, this.#urgent);
    return {
      get isDenied(): boolean {
        return standing.state === "denied";
      },
      granted: () => standing.granted(),
      refused: () => {
        if (entry.isStopped) return;
        this.#take(entry, standing.refused(this.#options.clock.monotonicMs()));
        this.#schedule(entry);
      },
      prompt: () => this.#prompt(entry),
      stop: () => this.#stop(entry),
    };
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    this.#pump();
    await aborted(signal);
    this.#cancelWake?.();
    for (const entry of this.#entries) this.#stop(entry);
    await Promise.all(this.#asks);
  }

  #stop(entry: Entry): void {
    entry.isStopped = true;
    entry.cancel();
    this.#entries.delete(entry);
  }

  #prompt(entry: Entry): void {
    if (entry.standing.state === "granted" || entry.isStopped || entry.isQueued) return;
    entry.standing.prompted();
    const dueInMs = entry.askedAtMs + PROMPT_EVERY_MS - this.#options.clock.monotonicMs();
    entry.cancel();
    if (dueInMs <= 0) this.#queue(entry, this.#urgent);
    else entry.cancel = this.#options.clock.after(dueInMs, () => this.#queue(entry, this.#urgent));
  }

  /** From four fifths to the whole wait, so that what was asked together spreads. */
  #schedule(entry: Entry): void {
    if (entry.isStopped || entry.isQueued) return;
    entry.cancel();
    const waitMs = entry.standing.waitMs() * (0.8 + this.#options.random.next() / 5);
    // What is in doubt is counted only after its whole interval.
    const isDoubt = entry.standing.state === "granted";
    entry.cancel = this.#options.clock.after(isDoubt ? entry.standing.waitMs() : waitMs, () => this.#queue(entry, this.#routine));
  }

  #queue(entry: Entry, line: Fifo<Entry>): void {
    if (entry.isQueued || entry.isStopped) return;
    entry.isQueued = true;
    entry.cancel();
    line.push(entry);
    this.#pump();
  }

  #pump(): void {
    if (this.#signal === undefined || this.#signal.aborted) return;
    const nowMs = this.#options.clock.monotonicMs();
    while (this.#asks.size < IN_FLIGHT_MAX) {
      if (nowMs < this.#awayUntilMs) return this.#wakeIn(this.#awayUntilMs - nowMs);
      const entry = this.#urgent.shift() ?? this.#nextRoutine(nowMs);
      if (entry === undefined) return;
      entry.isQueued = false;
      if (entry.isStopped) continue;
      const ask = this.#askAbout(entry).finally(() => {
        this.#asks.delete(ask);
        this.#pump();
      });
      this.#asks.add(ask);
    }
  }

  #nextRoutine(nowMs: number): Entry | undefined {
    if (this.#routine.size === 0) return undefined;
    if (nowMs < this.#nextRoutineMs) {
      this.#wakeIn(this.#nextRoutineMs - nowMs);
      return undefined;
    }
    const gapMs = 1_000 / ROUTINE_PER_SECOND;
    this.#nextRoutineMs = Math.max(this.#nextRoutineMs, nowMs - ROUTINE_BURST * gapMs) + gapMs;
    return this.#routine.shift();
  }

  #wakeIn(ms: number): void {
    this.#cancelWake?.();
    this.#cancelWake = this.#options.clock.after(ms, () => this.#pump());
  }

  async #askAbout(entry: Entry): Promise<void> {
    entry.askedAtMs = this.#options.clock.monotonicMs();
    const answer = await this.#ask(entry.access);
    if (this.#signal?.aborted === true) return;
    const result = answer.kind === "answered" ? (answer.isAllowed ? "allowed" : "denied") : "unanswered";
    this.#options.asked(result);
    if (!entry.isStopped) this.#learn(entry, answer);
  }

  #learn(entry: Entry, answer: Answer): void {
    if (answer.kind === "unanswered") {
      this.#away(answer.message, answer.awayMs);
      if (entry.standing.state === "pending") entry.reader.troubled(answer.message);
      return this.#queue(entry, entry.standing.state === "pending" ? this.#urgent : this.#routine);
    }
    const nowMs = this.#options.clock.monotonicMs();
    if (answer.kind === "answered") {
      this.#mutedAtMs = undefined;
      const mustWait = answer.isAllowed && entry.standing.isRefusedAnyway && !this.#mayTry(nowMs);
      if (!mustWait) this.#take(entry, entry.standing.answered(answer.isAllowed, nowMs));
    } else {
      this.#mutedAtMs ??= nowMs;
      entry.standing.unanswered();
      const isLasting = nowMs - this.#mutedAtMs >= MUTE_AFTER_MS;
      const isFirst = entry.standing.state === "pending" && !entry.standing.isTried;
      if (isFirst || (isLasting && this.#mayTry(nowMs))) this.#take(entry, entry.standing.attempt());
    }
    this.#schedule(entry);
  }

  #mayTry(nowMs: number): boolean {
    if (nowMs < this.#nextTryMs) return false;
    this.#nextTryMs = nowMs + 1_000 / TRIES_PER_SECOND;
    return true;
  }

  /** Who has never had an answer learns why; a thousand that each waited for their own would wait for minutes. */
  #away(message: string, awayMs: number): void {
    this.#awayUntilMs = this.#options.clock.monotonicMs() + awayMs;
    for (const { standing, reader } of this.#entries) {
      standing.unanswered();
      if (standing.state === "pending" && !standing.isReading) reader.troubled(message);
    }
  }

  #take(entry: Entry, step: AccessStep): void {
    if (step === "open") entry.reader.open();
    else if (step === "close") entry.reader.close();
  }

  async #ask(access: ReviewedAccess): Promise<Answer> {
    try {
      const body = { apiVersion: "authorization.k8s.io/v1", kind: "SelfSubjectAccessReview", spec: accessAttributes(access) };
      const signal = this.#signal;
      const answer = await this.#options.transport.request({
        method: "POST",
        path: PATH,
        body,
        ...(signal === undefined ? {} : { signal }),
      });
      const allowed = (answer.body as { status?: { allowed?: unknown } } | undefined)?.status?.allowed;
      if (answer.status === 201 && typeof allowed === "boolean") return { kind: "answered", isAllowed: allowed };
      const message = statusMessage(answer);
      if (answer.status === 403 || answer.status === 404 || answer.status === 405) return { kind: "mute", message };
      return { kind: "unanswered", message, awayMs: Math.min(answer.retryAfterMs ?? AWAY_MS, AWAY_MAX_MS) };
    } catch (error) {
      return { kind: "unanswered", message: error instanceof Error ? error.message : String(error), awayMs: AWAY_MS };
    }
  }
}
