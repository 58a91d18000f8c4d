import type { WebhookSubscription } from "../../api/generated/custom-resources.ts";
import type { EgressPolicy, Policy } from "../../core/policy.ts";
import type { SubscriptionSpec } from "../../core/subscription.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../observe/log.ts";

/**
 * What a subscription was when it was last accepted, and what it obeyed last: goes on while an edit is refused, and over restarts. Holds no
 * secret value. Rows of older versions lack the optional fields.
 */
export interface AcceptedSpec {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly generation: number;
  readonly spec: SubscriptionSpec;
  readonly policy: Policy;
  readonly egress: EgressPolicy;
  /** `limits.fanOut` of the cluster policy; undefined = the built-in one. */
  readonly fanOutMax?: number | undefined;
  /** The Secret that was generated for it; never generated again while the subscription lives. */
  readonly signingSecretName: string | undefined;
  /** Value of the resume annotation that was last obeyed. */
  readonly lastHandledResume: string | undefined;
  /** Since when it is on its way out (engine time): it matches nothing new, and its five minutes go on over restarts. */
  readonly leavingSinceMs?: number | undefined;
  /** Since when it is ours while another installation still delivers what it accepted (engine time); over restarts that is not waited for again. */
  readonly takenOverSinceMs?: number | undefined;
}

/** A subscription of which only what was accepted is known. */
export function subscriptionOf({ uid, namespace, name, generation }: AcceptedSpec): WebhookSubscription {
  const gone: unknown = {
    apiVersion: "postrider.dev/v1alpha1",
    kind: "WebhookSubscription",
    metadata: { uid, namespace, name, generation },
    spec: {},
  };
  return gone as WebhookSubscription;
}

/** Where last accepted specs are kept; the app joins it to the store's state of kind `route`. Calls may reject: they are tried again. */
export interface AcceptedSpecs {
  load(): Promise<readonly AcceptedSpec[]>;
  save(specs: readonly AcceptedSpec[]): Promise<void>;
  forget(uid: string): Promise<void>;
}

/** Changes are gathered this long before they are written in one go. */
export const FLUSH_DELAY_MS = 50;
const FLUSH_RETRY_MS = 1_000;

/** Last accepted specs in memory, written behind: a crash before the write leaves the one before, which is as true as it was. */
export class AcceptedBook {
  readonly #keep: AcceptedSpecs;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #specs = new Map<string, AcceptedSpec>();
  readonly #dirty = new Set<string>();
  readonly #gone = new Set<string>();
  #cancel: (() => void) | undefined;
  #flushing: Promise<void> = Promise.resolve();

  constructor(keep: AcceptedSpecs, clock: Clock, log: Log) {
    this.#keep = keep;
    this.#clock = clock;
    this.#log = log;
  }

  /** @throws when the store cannot be read: going on would forget what was accepted. */
  async load(): Promise<readonly AcceptedSpec[]> {
    const loaded = await this.#keep.load();
    for (const spec of loaded) this.#specs.set(spec.uid, spec);
    return loaded;
  }

  get(uid: string): AcceptedSpec | undefined {
    return this.#specs.get(uid);
  }

  /** Everything known, also of subscriptions that may be gone by now. */
  all(): Iterable<AcceptedSpec> {
    return this.#specs.values();
  }

  put(spec: AcceptedSpec): void {
    const before = this.#specs.get(spec.uid);
    // Also where it says the same: its parts are those of the route in force, and the ones before are held by no one else.
    this.#specs.set(spec.uid, spec);
    if (before !== undefined && JSON.stringify(before) === JSON.stringify(spec)) return;
    this.#dirty.add(spec.uid);
    this.#gone.delete(spec.uid);
    this.#flushSoon(FLUSH_DELAY_MS);
  }

  forget(uid: string): void {
    if (!this.#specs.delete(uid)) return;
    this.#dirty.delete(uid);
    this.#gone.add(uid);
    this.#flushSoon(FLUSH_DELAY_MS);
  }

  #flushSoon(delayMs: number): void {
    this.#cancel ??= this.#clock.after(delayMs, () => void this.flush());
  }

  /** Writes what has gathered. Never rejects: a failed write is tried again a second later. */
  flush(): Promise<void> {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#flushing = this.#flushing.then(() => this.#write());
    return this.#flushing;
  }

  async #write(): Promise<void> {
    const dirty = [...this.#dirty];
    const gone = [...this.#gone];
    if (dirty.length + gone.length === 0) return;
    this.#dirty.clear();
    this.#gone.clear();
    try {
      const specs = dirty.map((uid) => this.#specs.get(uid)).filter((spec) => spec !== undefined);
      if (specs.length > 0) await this.#keep.save(specs);
      for (const uid of gone) await this.#keep.forget(uid);
    } catch (error) {
      for (const uid of dirty) if (this.#specs.has(uid)) this.#dirty.add(uid);
      for (const uid of gone) if (!this.#specs.has(uid)) this.#gone.add(uid);
      this.#log.error({ err: error }, "accepted subscriptions could not be stored: retrying");
      this.#flushSoon(FLUSH_RETRY_MS);
    }
  }
}
