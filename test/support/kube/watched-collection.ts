import { Reflector } from "../../../src/kube/reflector.ts";
import type { KubeObject, ReflectorLimits, RestartReason, RetryPace } from "../../../src/kube/reflector.ts";
import { KubeTransport } from "../../../src/kube/transport.ts";
import { ManualClock, settle } from "../time/manual-clock.ts";
import type { FaultyApiServer } from "./faulty-api-server.ts";
import { Changes } from "../until.ts";

export const COLLECTION = "/apis/postrider.dev/v1alpha1/webhooksubscriptions";

/** Sums of instants that are no whole milliseconds are off by less than this. */
const ROUNDING_MS = 0.001;

export interface WatchedOptions {
  readonly clock?: ManualClock;
  readonly transport?: KubeTransport;
  readonly random?: number;
  readonly limits?: Partial<ReflectorLimits>;
  readonly pace?: RetryPace;
}

/** A reflector at work on a loopback API server, under a clock that the test moves, with all that it told. */
export class WatchedCollection {
  readonly clock: ManualClock;
  readonly transport: KubeTransport;
  readonly reflector: Reflector;
  readonly objects = new Map<string, KubeObject>();
  readonly replaced: number[] = [];
  readonly restarts: { readonly reason: RestartReason; readonly message: string; readonly atMs: number }[] = [];
  readonly failures: unknown[] = [];
  /** Called inside the handler; what it throws, the handler throws. */
  onChanged = (_object: KubeObject): void => undefined;
  readonly #abort = new AbortController();
  readonly #changes = new Changes();
  #done: Promise<void> | undefined;

  constructor(server: FaultyApiServer, options: WatchedOptions = {}) {
    this.clock = options.clock ?? new ManualClock();
    const source = { server: server.url, current: () => Promise.resolve({ headers: {}, tls: {} }) };
    this.transport = options.transport ?? new KubeTransport(source, this.clock);
    const random = { next: () => options.random ?? 0, bytes: (n: number) => new Uint8Array(n) };
    this.reflector = new Reflector({
      name: "test",
      path: COLLECTION,
      transport: this.transport,
      clock: this.clock,
      random,
      limits: { pageSize: 2, ...options.limits },
      ...(options.pace === undefined ? {} : { pace: options.pace }),
      handler: {
        replace: (objects) => {
          this.replaced.push(objects.length);
          this.objects.clear();
          for (const object of objects) this.objects.set(object.metadata.name, object);
          this.#changes.happened();
        },
        changed: (object) => {
          this.#changes.happened();
          this.onChanged(object);
          this.objects.set(object.metadata.name, object);
        },
        deleted: (object) => {
          this.objects.delete(object.metadata.name);
          this.#changes.happened();
        },
        restarted: (reason, message) => {
          this.restarts.push({ reason, message, atMs: this.clock.nowMs() });
          this.#changes.happened();
        },
        failed: (error) => {
          this.failures.push(error);
          this.#changes.happened();
        },
      },
    });
  }

  run(): this {
    this.#done = this.reflector.run(this.#abort.signal);
    return this;
  }

  until(holds: () => boolean): Promise<void> {
    return this.#changes.until(holds);
  }

  /** Waits for the n-th restart, and until its pause has begun. */
  async paused(n: number): Promise<void> {
    await this.until(() => this.restarts.length >= n);
    await settle();
  }

  /** How long the pause that has begun takes, ms. */
  get pauseMs(): number {
    return this.clock.nextInMs() ?? Number.NaN;
  }

  /** Ends the pause that has begun. */
  async endPause(): Promise<number> {
    const { pauseMs } = this;
    await this.clock.advance(pauseMs);
    if (this.pauseMs < ROUNDING_MS) await this.clock.advance(ROUNDING_MS);
    return pauseMs;
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#done;
  }

  async end(): Promise<void> {
    await this.stop();
    await this.transport.close();
  }
}

export function subscription(name: string, spec: object = {}): { metadata: { name: string; namespace: string }; spec: object } {
  return { metadata: { name, namespace: "shop" }, spec };
}
