import {
  CLASS_HOLDERS_MAX,
  classLeaseName,
  type ClassHolder,
  decideClass,
  HolderSightings,
  microTime,
  readClassLease,
  type ReadLease,
  writtenClassLease,
} from "../core/class-lease.ts";
import { pause } from "../lib/abort.ts";
import type { Clock } from "../lib/clock.ts";
import type { Service } from "../lib/service.ts";
import { statusMessage, type ApiAnswer, type KubeTransport } from "./transport.ts";

/** How a class is held. */
export interface ClassLeaseBounds {
  /** A holder that was not seen to renew for this long is gone, ms. */
  readonly durationMs: number;
  /** The holder renews this often, ms; several renewals may fail before others think it gone. */
  readonly renewEveryMs: number;
  /** One that waits, or that got no answer, asks again after this, ms. */
  readonly retryEveryMs: number;
  /** At the end the class is released within this, ms; the supervisor waits 500. */
  readonly releaseWithinMs: number;
}

export const CLASS_LEASE_BOUNDS: ClassLeaseBounds = {
  durationMs: 60_000,
  renewEveryMs: 10_000,
  retryEveryMs: 2_000,
  releaseWithinMs: 400,
};

/** Somebody else writes the same Lease at the same moment: read again this often in one go, then after a pause. */
const CONFLICTS_MAX = 3;
/** The first answers decide whether anything is begun: after this the API server counts as away, ms. */
const FIRST_ANSWER_MS = 3_000;

/**
 *   asking     no answer yet: nothing is begun.
 *   held       the class is ours.
 *   away       no answer could be had since the start: as with every outage of the API server, what the store knows is served.
 *   in-use     another installation serves it.
 *   forbidden  the API server does not let us read or write the Lease: nobody knows whether the class is free.
 */
export interface ClassStanding {
  readonly kind: "asking" | "held" | "away" | "in-use" | "forbidden";
  /** For people; empty while the class is held. */
  readonly message: string;
}

export interface ClassLeaseOptions {
  /** Of its own: a flood of other calls must not delay a renewal. Closed at the end. */
  readonly transport: Pick<KubeTransport, "request" | "close">;
  readonly clock: Clock;
  readonly className: string;
  /** Where the Lease is; the same for every installation of the cluster. */
  readonly namespace: string;
  readonly me: Pick<ClassHolder, "installation" | "pod" | "process" | "namespaces">;
  /** Called when `kind` or `message` changes. Must not throw. */
  readonly onStanding: (standing: ClassStanding) => void;
  readonly bounds?: Partial<ClassLeaseBounds>;
}

/**
 * Holds the Lease of a class for as long as it runs. Each write names the version that was read, so of two that write at the same moment one is
 * refused. Whether another holder lives is judged by its renewals on our monotonic clock alone. A crash leaves the Lease: the same installation takes
 * it over at once, another one after `durationMs`. An API server that is away changes nothing for a holder; when it is back, a Lease that somebody else
 * has taken meanwhile ends ours.
 */
export class ClassLease implements Service {
  readonly name = "class-lease";
  readonly #options: ClassLeaseOptions;
  readonly #bounds: ClassLeaseBounds;
  readonly #seen = new HolderSightings();
  /** As last written by us; undefined when it must be read first. */
  #written: ReadLease | undefined;
  #since: string | undefined;
  #hasHeld = false;
  /** The Lease that was read last names our installation: nobody else serves, whether or not it can be written now. */
  #isNamed = false;
  #standing: ClassStanding;

  constructor(options: ClassLeaseOptions) {
    this.#options = options;
    this.#bounds = { ...CLASS_LEASE_BOUNDS, ...options.bounds };
    this.#standing = { kind: "asking", message: `${this.#name} has not been read yet` };
  }

  get standing(): ClassStanding {
    return this.#standing;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#turn(signal);
      const isHeld = this.#standing.kind === "held" && this.#written !== undefined;
      await pause(this.#options.clock, isHeld ? this.#bounds.renewEveryMs : this.#bounds.retryEveryMs, signal);
    }
    await this.#release();
    await this.#options.transport.close();
  }

  get #name(): string {
    return `the Lease ${classLeaseName(this.#options.className)} in namespace ${this.#options.namespace}`;
  }

  get #collection(): string {
    return `/apis/coordination.k8s.io/v1/namespaces/${this.#options.namespace}/leases`;
  }

  /** Reads, decides and writes. What the API server does not answer ends nothing. */
  async #turn(signal: AbortSignal): Promise<void> {
    const first = new AbortController();
    const cancel = this.#standing.kind === "asking" ? this.#options.clock.after(FIRST_ANSWER_MS, () => first.abort()) : () => undefined;
    try {
      for (let tries = 0; tries < CONFLICTS_MAX; tries++) {
        if (await this.#once(AbortSignal.any([signal, first.signal]))) return;
      }
      this.#trouble("away", "others write it at the same moment");
    } catch (error) {
      if (signal.aborted) return;
      const message = first.signal.aborted
        ? `no answer within ${FIRST_ANSWER_MS} ms`
        : error instanceof Error
          ? error.message
          : String(error);
      this.#trouble("away", message);
    } finally {
      cancel();
    }
  }

  /** Answers whether that is settled for now; false asks for one more look, because the Lease has changed in between. */
  async #once(signal: AbortSignal): Promise<boolean> {
    const { clock, me } = this.#options;
    const lease = this.#written ?? (await this.#read(signal));
    if (lease === undefined) return true;
    const nowMs = clock.monotonicMs();
    this.#seen.note(lease.holders, nowMs);
    const renewed = microTime(clock.trueMs());
    const mine: ClassHolder = { ...me, since: this.#since ?? renewed, renewed };
    const isLive = (holder: ClassHolder): boolean => this.#seen.isLive(holder, nowMs, this.#bounds.durationMs);
    const decision = decideClass(lease.holders, mine, this.#hasHeld, isLive);
    if (decision.kind === "full") {
      const message = `${CLASS_HOLDERS_MAX} installations serve class ${this.#options.className} already, which is the most`;
      this.#stand("in-use", `ClassInUse: ${message}: give this one a class of its own (--class; className in the chart)`);
      return true;
    }
    if (decision.kind === "in-use") {
      this.#written = undefined;
      this.#stand("in-use", inUseMessage(this.#options.className, decision.holder, decision.isReplaced));
      return true;
    }
    this.#isNamed = lease.holders.some(({ installation }) => installation === me.installation);
    const outcome = await this.#put(lease, decision.holders, signal);
    if (outcome !== "done") return outcome === "settled";
    this.#since = mine.since;
    this.#hasHeld = true;
    this.#stand("held", "");
    return true;
  }

  /** Undefined when it cannot be read, which has been noted. */
  async #read(signal: AbortSignal): Promise<ReadLease | undefined> {
    const path = `${this.#collection}/${classLeaseName(this.#options.className)}`;
    const answer = await this.#options.transport.request({ method: "GET", path, signal });
    if (answer.status === 200) return readClassLease(answer.body);
    if (answer.status === 404) return readClassLease(undefined);
    this.#refused(answer, "read");
    return undefined;
  }

  /**
   * PUT creates what does not exist: a right to `create` can then name the one Lease. With the version that was read it is refused when the Lease has
   * changed, without one when it exists.
   */
  async #put(lease: ReadLease, holders: readonly ClassHolder[], signal: AbortSignal): Promise<"done" | "again" | "settled"> {
    const { namespace, className } = this.#options;
    const body = writtenClassLease(lease, holders, { namespace, className, durationMs: this.#bounds.durationMs });
    this.#written = undefined;
    const path = `${this.#collection}/${classLeaseName(className)}`;
    const answer = await this.#options.transport.request({ method: "PUT", path, body, signal });
    if (answer.status === 200 || answer.status === 201) {
      this.#written = readClassLease(answer.body);
      return "done";
    }
    // A Lease that was deleted in between answers 404 or 409; one that was created in between 409 or 422.
    const isRaced = answer.status === 409 || (lease.object === undefined ? answer.status === 422 : answer.status === 404);
    if (isRaced) return "again";
    this.#refused(answer, "written");
    return "settled";
  }

  #refused(answer: ApiAnswer, how: "read" | "written"): void {
    const { status } = answer;
    const isForbidden = status === 403 || status === 401 || status === 404 || status === 422;
    this.#trouble(isForbidden ? "forbidden" : "away", `it cannot be ${how}: ${statusMessage(answer)}`);
  }

  /** What was held stays held: an API server in trouble must not stop deliveries. Who was refused by another installation stays refused. */
  #trouble(kind: "away" | "forbidden", why: string): void {
    const { namespace } = this.#options;
    if (this.#standing.kind === "held" || this.#standing.kind === "in-use") return;
    if (kind === "away" && this.#isNamed) return this.#stand("held", "");
    const lease = classLeaseName(this.#options.className);
    const allow = `kubectl -n ${namespace} create role ${lease} --verb=get,create,update --resource=leases.coordination.k8s.io --resource-name=${lease}`;
    const message =
      kind === "away"
        ? `${this.#name}: ${why}; until it can be read, what the store knows is served`
        : `${this.#name}: ${why}; nothing is served until it can be: allow it (\`${allow}\`, and bind the Role to the operator's ServiceAccount), or name a namespace that exists with --class-lease-namespace`;
    this.#stand(kind, message);
  }

  #stand(kind: ClassStanding["kind"], message: string): void {
    if (this.#standing.kind === kind && this.#standing.message === message) return;
    this.#standing = { kind, message };
    this.#options.onStanding(this.#standing);
  }

  /** Lets others in at once. Lost, they wait for `durationMs`; our own installation does not wait. */
  async #release(): Promise<void> {
    const lease = this.#written;
    if (lease === undefined || this.#standing.kind !== "held") return;
    const { clock, me } = this.#options;
    const late = new AbortController();
    const cancel = clock.after(this.#bounds.releaseWithinMs, () => late.abort());
    try {
      const others = lease.holders.filter(({ installation }) => installation !== me.installation);
      await this.#put(lease, others, late.signal);
    } catch {
      // The Lease expires.
    } finally {
      cancel();
    }
  }
}

function inUseMessage(className: string, { installation, pod, since, namespaces }: ClassHolder, isReplaced: boolean): string {
  const place = pod === "" ? "" : `Pod ${pod}, `;
  const where = namespaces.length === 0 ? "all namespaces" : `namespaces ${namespaces.join(", ")}`;
  if (isReplaced) return `ClassInUse: another process of this installation (${place}since ${since}) has replaced this one`;
  return `ClassInUse: class ${className} is served by installation ${installation} (${place}since ${since === "" ? "an unknown time" : since}, ${where}); this one serves nothing until the other is gone: uninstall one of them, or give this one a class of its own (--class; className in the chart)`;
}
