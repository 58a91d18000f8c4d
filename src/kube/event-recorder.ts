import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import type { Service } from "../lib/service.ts";
import type { KubeTransport } from "./transport.ts";

/** What an Event is about. */
export interface EventSubject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string | undefined;
  readonly name: string;
  readonly uid: string | undefined;
  readonly resourceVersion: string | undefined;
}

export interface EventText {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
}

const QUEUE_MAX = 1_000;
const NOTE_CHARS_MAX = 1_024;
/** Per object: a burst of 25, then one in 5 minutes (client-go's aggregator). */
const BURST = 25;
const REFILL_MS = 300_000;
const BUCKETS_MAX = 20_000;

/** Writes Kubernetes Events (events.k8s.io/v1) one after another; drops what is too much, never blocks, never rejects. */
export class EventRecorder implements Service {
  readonly name = "kubernetes-events";
  readonly #transport: Pick<KubeTransport, "request">;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #controller: { readonly name: string; readonly instance: string };
  readonly #told: (result: "written" | "dropped" | "failed") => void;
  readonly #queue: { readonly subject: EventSubject; readonly text: EventText; readonly atMs: number }[] = [];
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>();
  #wake = (): void => {};

  constructor(options: {
    readonly transport: Pick<KubeTransport, "request">;
    readonly clock: Clock;
    readonly random: Random;
    readonly controller: { readonly name: string; readonly instance: string };
    readonly told: (result: "written" | "dropped" | "failed") => void;
  }) {
    this.#transport = options.transport;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#controller = options.controller;
    this.#told = options.told;
  }

  record(subject: EventSubject, text: EventText): void {
    if (this.#queue.length >= QUEUE_MAX || !this.#allowed(`${subject.kind}/${subject.namespace ?? ""}/${subject.name}`)) {
      this.#told("dropped");
      return;
    }
    this.#queue.push({ subject, text, atMs: this.#clock.trueMs() });
    this.#wake();
  }

  async run(signal: AbortSignal): Promise<void> {
    const stop = (): void => this.#wake();
    signal.addEventListener("abort", stop, { once: true });
    while (!signal.aborted) {
      const next = this.#queue.shift();
      if (next !== undefined) {
        await this.#write(next.subject, next.text, next.atMs, signal);
        continue;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        if (this.#queue.length > 0 || signal.aborted) resolve();
      });
    }
    signal.removeEventListener("abort", stop);
  }

  async #write(subject: EventSubject, text: EventText, atMs: number, signal: AbortSignal): Promise<void> {
    const { name, namespace = "default", ...regarding } = subject;
    const suffix = Buffer.from(this.#random.bytes(5)).toString("hex");
    const body = {
      apiVersion: "events.k8s.io/v1",
      kind: "Event",
      metadata: { name: `${name.slice(0, 230)}.${suffix}`, namespace },
      // The API refuses milliseconds here: it wants six digits.
      eventTime: `${new Date(atMs).toISOString().slice(0, -1)}000Z`,
      type: text.type,
      reason: text.reason,
      action: "Reconcile",
      note: text.message.slice(0, NOTE_CHARS_MAX),
      reportingController: this.#controller.name,
      reportingInstance: this.#controller.instance,
      regarding: { ...regarding, name, ...(subject.namespace === undefined ? {} : { namespace: subject.namespace }) },
    };
    try {
      const answer = await this.#transport.request({
        method: "POST",
        path: `/apis/events.k8s.io/v1/namespaces/${namespace}/events`,
        body,
        signal,
      });
      this.#told(answer.status < 300 ? "written" : "failed");
    } catch {
      this.#told("failed");
    }
  }

  #allowed(key: string): boolean {
    const nowMs = this.#clock.monotonicMs();
    if (this.#buckets.size > BUCKETS_MAX) this.#buckets.clear();
    const bucket = this.#buckets.get(key) ?? { tokens: BURST, atMs: nowMs };
    bucket.tokens = Math.min(BURST, bucket.tokens + (nowMs - bucket.atMs) / REFILL_MS);
    bucket.atMs = nowMs;
    this.#buckets.set(key, bucket);
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }
}
