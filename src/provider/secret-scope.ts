import type { SecretsState } from "../controller/objects.ts";
import type { AccessHandle, AccessWatch } from "../kube/access-watch.ts";
import { Reflector, type KubeObject, type ReflectorHandler, type RestartReason, type RetryPace } from "../kube/reflector.ts";
import type { KubeTransport } from "../kube/transport.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Sight, WatchSight } from "./watch-sight.ts";

export interface SecretScopeOptions {
  readonly transport: KubeTransport;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly pace: RetryPace;
  readonly access: AccessWatch;
  readonly sight: WatchSight;
}

/** Who keeps what a scope reads. */
export interface SecretSink {
  replace(label: string, objects: readonly KubeObject[]): void;
  put(label: string, object: KubeObject): void;
  drop(label: string, object: KubeObject): void;
  /** It may not be read: nothing of it may be used. */
  closed(): void;
  /** `state` may have changed. */
  turned(): void;
}

/**
 * The labelled Secrets of one namespace or of all, one watch a label, open while the operator may read them. Nothing is listed where the
 * answer is known to be 403.
 */
export class SecretScope {
  readonly namespace: string | undefined;
  readonly #options: SecretScopeOptions;
  readonly #labels: readonly string[];
  readonly #sink: SecretSink;
  readonly #listed = new Set<string>();
  readonly #access: AccessHandle;
  readonly #signal: AbortSignal;
  #reading: AbortController | undefined;
  readonly #done = new Set<Promise<unknown>>();
  #trouble: string | undefined;

  constructor(
    options: SecretScopeOptions,
    what: { readonly namespace: string | undefined; readonly labels: readonly string[]; readonly signal: AbortSignal },
    sink: SecretSink,
  ) {
    this.#options = options;
    this.namespace = what.namespace;
    this.#labels = what.labels;
    this.#signal = what.signal;
    this.#sink = sink;
    const access = { namespace: what.namespace ?? "", verb: "watch", group: "", resource: "secrets" };
    this.#access = options.access.follow(access, {
      open: () => this.#open(),
      close: () => this.#close(),
      troubled: (message) => this.#inTrouble(message),
    });
  }

  get state(): SecretsState {
    if (this.#access.isDenied) return "closed";
    if (this.#listed.size === this.#labels.length) return "read";
    return this.#trouble === undefined ? "pending" : "troubled";
  }

  /** Why nothing could be read so far, other than for lack of permission. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  hasListed(label: string): boolean {
    return this.#listed.has(label);
  }

  prompt(): void {
    this.#access.prompt();
  }

  stop(): void {
    this.#access.stop();
    this.#reading?.abort();
    this.#reading = undefined;
  }

  /** Settles when every watch has ended. */
  async ended(): Promise<void> {
    await Promise.all(this.#done);
  }

  #open(): void {
    if (this.#signal.aborted) return;
    this.#reading?.abort();
    const reading = new AbortController();
    this.#reading = reading;
    const stop = (): void => reading.abort();
    this.#signal.addEventListener("abort", stop, { once: true });
    const done = Promise.all(this.#labels.map((label) => this.#read(label, reading))).finally(() => {
      this.#signal.removeEventListener("abort", stop);
      this.#done.delete(done);
    });
    this.#done.add(done);
  }

  async #read(label: string, reading: AbortController): Promise<void> {
    const { transport, clock, random, pace, sight } = this.#options;
    const { namespace } = this;
    const seen = sight.begin("Secret");
    await new Reflector({
      name: `secrets-${namespace ?? "all"}`,
      path: namespace === undefined ? "/api/v1/secrets" : `/api/v1/namespaces/${namespace}/secrets`,
      labelSelector: `${label}=true`,
      transport,
      clock,
      random,
      handler: this.#handler(label, reading, seen),
      pace,
      endsWhenForbidden: true,
    }).run(reading.signal);
    seen.end();
  }

  #close(): void {
    this.#reading?.abort();
    this.#reading = undefined;
    this.#listed.clear();
    this.#trouble = undefined;
    this.#sink.closed();
    this.#sink.turned();
  }

  #inTrouble(message: string): void {
    if (this.state !== "pending") return;
    this.#trouble = message;
    this.#sink.turned();
  }

  #handler(label: string, reading: AbortController, seen: Sight): ReflectorHandler {
    const { log } = this.#options;
    // What was in the socket as the permission was taken back must not come in after it.
    const isOver = (): boolean => reading.signal.aborted;
    return {
      replace: (objects) => {
        if (isOver()) return;
        const before = this.state;
        this.#listed.add(label);
        this.#access.granted();
        this.#sink.replace(label, objects);
        if (this.#listed.size === this.#labels.length) this.#trouble = undefined;
        if (this.state !== before) this.#sink.turned();
      },
      changed: (object) => {
        if (!isOver()) this.#sink.put(label, object);
      },
      deleted: (object) => {
        if (!isOver()) this.#sink.drop(label, object);
      },
      heard: () => seen.heard(),
      restarted: (reason, message) => this.#restarted(label, reading, { reason, message }),
      failed: (error) => log.error({ err: error, kind: "Secret", namespace: this.namespace }, "a change could not be handled"),
    };
  }

  #restarted(label: string, reading: AbortController, { reason, message }: { reason: RestartReason; message: string }): void {
    const { log, metrics } = this.#options;
    metrics.watchRestarts.inc({ kind: "Secret", reason });
    if (reason === "forbidden") {
      if (reading.signal.aborted) return;
      // One label's 403 is all labels': they are one permission.
      reading.abort();
      this.#access.refused();
      return;
    }
    log.info({ event: "watch.restarted", kind: "Secret", namespace: this.namespace, reason }, message);
    if (!this.#listed.has(label)) this.#inTrouble(message);
  }
}
