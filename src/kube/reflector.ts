import { pause } from "../lib/abort.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import type { Service } from "../lib/service.ts";
import { statusMessage, type ApiAnswer, type KubeTransport } from "./transport.ts";

/** The part of any Kubernetes object that a reflector reads. */
export interface KubeObject {
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly uid?: string; readonly resourceVersion?: string };
}

/** What a reflector tells. Handlers may throw: it is caught and told to `failed`, never passed on. */
export interface ReflectorHandler {
  /** A complete list: whatever is not in it is gone. */
  replace(objects: readonly KubeObject[]): void;
  changed(object: KubeObject): void;
  deleted(object: KubeObject): void;
  /** A watch or list had to be started anew. `reason` is a bounded word; `status` is the HTTP status, where there was an answer. */
  restarted(reason: RestartReason, message: string, status?: number): void;
  /** The API server has opened a watch: what was listed is followed from now on. */
  opened?(): void;
  /** Something arrived: a page of the list, or something on the watch; a bookmark counts. That a watch was opened does not. */
  heard?(): void;
  /** A handler threw. */
  failed(error: unknown): void;
}

export type RestartReason =
  | "expired"
  | "unauthorized"
  | "forbidden"
  | "not_found"
  | "throttled"
  | "refused"
  | "network"
  | "silent"
  | "malformed"
  | "periodic";

export interface ReflectorOptions {
  readonly name: string;
  /** E.g. `/apis/postrider.dev/v1alpha1/webhooksubscriptions`. */
  readonly path: string;
  readonly labelSelector?: string;
  readonly transport: Pick<KubeTransport, "request" | "stream">;
  readonly clock: Clock;
  readonly random: Random;
  readonly handler: ReflectorHandler;
  readonly limits?: Partial<ReflectorLimits>;
  /** Shared by all reflectors of a process: however many there are, together they do not storm an API server that is in trouble. */
  readonly pace?: RetryPace;
  /** A 403 ends it: somebody else finds out when it is worth asking again. */
  readonly endsWhenForbidden?: boolean;
}

/** Lets one retry after another pass. */
export interface RetryPace {
  /** Settles when it is this retry's turn, or `signal` aborts. */
  turn(reason: RestartReason, signal: AbortSignal): Promise<void>;
  /** A list or a watch was answered: the API server is there. */
  answered(): void;
  /** One was not. */
  unanswered(): void;
}

export interface ReflectorLimits {
  readonly pageSize: number;
  /** The server ends a watch after this (plus up to a fifth), s. */
  readonly watchSeconds: number;
  /** Bookmarks come about once a minute: longer silence means the connection is dead, ms. */
  readonly silenceMaxMs: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** The same for what is refused until a person changes something: 403 and 404. */
  readonly refusedBackoffMaxMs: number;
  /** A watch that lived this long was a good one: the next wait is short again, ms. */
  readonly healthyAfterMs: number;
  /** Even a healthy watch is checked against a new list this often, ms. */
  readonly relistEveryMs: number;
}

export const REFLECTOR_LIMITS: ReflectorLimits = {
  pageSize: 500,
  watchSeconds: 300,
  silenceMaxMs: 90_000,
  backoffMinMs: 200,
  // So that after any outage all is as it should be within 30 s, of which an API server that starts needs some itself.
  backoffMaxMs: 5_000,
  refusedBackoffMaxMs: 20_000,
  healthyAfterMs: 10_000,
  relistEveryMs: 900_000,
};

const LINE_BYTES_MAX = 8 * 1_048_576;
/** A longer Retry-After is cut to this, ms. */
const RETRY_AFTER_MAX_MS = 60_000;

/** Why a list or a watch ended, and whether the place in the stream is lost. */
interface End {
  readonly relist: boolean;
  readonly reason: RestartReason | undefined;
  readonly message: string;
  readonly status?: number;
  readonly retryAfterMs?: number | undefined;
}

/**
 * Lists, then watches, for as long as it runs: pages of 500, bookmarks, an inactivity limit, a new list on 410, backoff with jitter,
 * Retry-After. It never gives up and never throws out of a handler; the objects last seen stay in force meanwhile.
 */
export class Reflector implements Service {
  readonly name: string;
  readonly #options: ReflectorOptions;
  readonly #limits: ReflectorLimits;
  #resourceVersion: string | undefined;
  #failures = 0;
  #lastReason: RestartReason | undefined;
  #listedAtMs = 0;

  constructor(options: ReflectorOptions) {
    this.name = `watch-${options.name}`;
    this.#options = options;
    this.#limits = { ...REFLECTOR_LIMITS, ...options.limits };
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const startedMs = this.#options.clock.monotonicMs();
      const isWatch = this.#resourceVersion !== undefined;
      const end = isWatch ? await this.#watch(signal) : await this.#list(signal);
      if (signal.aborted) return;
      if (end === undefined) continue;
      if (isWatch && this.#options.clock.monotonicMs() - startedMs >= this.#limits.healthyAfterMs) this.#failures = 0;
      if (end.relist) this.#resourceVersion = undefined;
      const { reason } = end;
      if (reason !== undefined) this.#tell(() => this.#options.handler.restarted(reason, end.message, end.status));
      if (reason === "forbidden" && this.#options.endsWhenForbidden === true) return;
      if (reason !== "periodic") await this.#wait(end, signal);
    }
  }

  async #wait(end: End, signal: AbortSignal): Promise<void> {
    const { clock, pace } = this.#options;
    if (end.reason !== undefined && UNANSWERED.has(end.reason)) pace?.unanswered();
    await pause(clock, this.#backoff(end), signal);
    if (end.reason !== undefined) await pace?.turn(end.reason, signal);
  }

  /** Undefined = done, the watch may begin. */
  async #list(signal: AbortSignal): Promise<End | undefined> {
    const objects: KubeObject[] = [];
    let next = "";
    let resourceVersion = "";
    do {
      const query = this.#query({ limit: String(this.#limits.pageSize), ...(next === "" ? {} : { continue: next }) });
      let answer: ApiAnswer;
      try {
        answer = await this.#options.transport.request({ method: "GET", path: `${this.#options.path}?${query}`, signal });
      } catch (error) {
        return { relist: true, reason: "network", message: describe(error) };
      }
      if (answer.status !== 200) return refusal(answer, true);
      const page = answer.body as { metadata?: { continue?: string; resourceVersion?: string }; items?: KubeObject[] | null } | undefined;
      if (typeof page?.metadata?.resourceVersion !== "string")
        return { relist: true, reason: "malformed", message: "the list is not a list" };
      // An empty list of a built-in kind may be null.
      for (const item of page.items ?? []) objects.push(item);
      this.#heard();
      next = page.metadata.continue ?? "";
      resourceVersion = page.metadata.resourceVersion;
    } while (next !== "");
    if (signal.aborted) return undefined;
    this.#resourceVersion = resourceVersion;
    this.#listedAtMs = this.#options.clock.monotonicMs();
    this.#tell(() => this.#options.handler.replace(objects));
    return undefined;
  }

  async #watch(signal: AbortSignal): Promise<End> {
    if (this.#options.clock.monotonicMs() - this.#listedAtMs > this.#limits.relistEveryMs) {
      return { relist: true, reason: "periodic", message: "a new list is due" };
    }
    const abort = new AbortController();
    const stop = (): void => abort.abort();
    signal.addEventListener("abort", stop, { once: true });
    let silent = false;
    let cancelSilence = (): void => {};
    const heard = (): void => {
      cancelSilence();
      cancelSilence = this.#options.clock.after(this.#limits.silenceMaxMs, () => {
        silent = true;
        abort.abort();
      });
    };
    try {
      heard();
      return await this.#follow(abort.signal, heard);
    } catch (error) {
      if (silent) return { relist: false, reason: "silent", message: `nothing arrived for ${this.#limits.silenceMaxMs} ms` };
      return { relist: false, reason: "network", message: describe(error) };
    } finally {
      cancelSilence();
      signal.removeEventListener("abort", stop);
      abort.abort();
    }
  }

  async #follow(signal: AbortSignal, heard: () => void): Promise<End> {
    const timeoutSeconds = Math.floor(this.#limits.watchSeconds * (1 + this.#options.random.next() / 5));
    const query = this.#query({
      watch: "1",
      allowWatchBookmarks: "true",
      timeoutSeconds: String(timeoutSeconds),
      resourceVersion: this.#resourceVersion ?? "",
    });
    const stream = await this.#options.transport.stream(`${this.#options.path}?${query}`, signal);
    if (!stream.ok) return refusal(stream.answer, false);
    this.#options.pace?.answered();
    this.#tell(() => this.#options.handler.opened?.());
    let rest: Buffer = Buffer.alloc(0);
    for await (const chunk of stream.chunks) {
      heard();
      this.#heard();
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
        const ended = this.#line(rest.toString("utf8", 0, end));
        rest = rest.subarray(end + 1);
        if (ended !== undefined) return ended;
      }
      if (rest.length > LINE_BYTES_MAX)
        return { relist: true, reason: "malformed", message: `a line of the watch is over ${LINE_BYTES_MAX} bytes` };
    }
    return { relist: false, reason: undefined, message: "the watch reached its time limit" };
  }

  /** One event of the watch; an End when it must be started anew. */
  #line(text: string): End | undefined {
    if (text.trim() === "") return undefined;
    let event: { type?: string; object?: KubeObject & { code?: number; message?: string } };
    try {
      event = JSON.parse(text) as typeof event;
    } catch {
      return { relist: true, reason: "malformed", message: "a line of the watch is not JSON" };
    }
    const { type, object } = event;
    if (type === "ERROR") {
      const code = object?.code ?? 0;
      return {
        relist: true,
        reason: code === 410 ? "expired" : "refused",
        message: object?.message ?? `the watch ended with code ${code}`,
      };
    }
    const resourceVersion = object?.metadata?.resourceVersion;
    if (object === undefined || resourceVersion === undefined)
      return { relist: true, reason: "malformed", message: "an event of the watch has no object" };
    if (type === "ADDED" || type === "MODIFIED") this.#tell(() => this.#options.handler.changed(object));
    else if (type === "DELETED") this.#tell(() => this.#options.handler.deleted(object));
    this.#resourceVersion = resourceVersion;
    return undefined;
  }

  #query(parameters: Readonly<Record<string, string>>): string {
    const { labelSelector } = this.#options;
    return new URLSearchParams({ ...parameters, ...(labelSelector === undefined ? {} : { labelSelector }) }).toString();
  }

  /** A watch that reached its time is no failure; one that ends at once again and again is. */
  #backoff(end: End): number {
    const { backoffMinMs, backoffMaxMs, refusedBackoffMaxMs } = this.#limits;
    // Another trouble is a step forward: an API server that comes back refuses for a moment, and then finds our place too old.
    if (end.reason !== this.#lastReason) this.#failures = 0;
    this.#lastReason = end.reason;
    this.#failures += 1;
    const maxMs = end.reason === "forbidden" || end.reason === "not_found" ? refusedBackoffMaxMs : backoffMaxMs;
    const waitMs = this.#jitter(Math.min(maxMs, backoffMinMs * 2 ** Math.min(this.#failures - 1, 20)));
    return Math.max(waitMs, Math.min(end.retryAfterMs ?? 0, RETRY_AFTER_MAX_MS));
  }

  #heard(): void {
    this.#options.pace?.answered();
    this.#tell(() => this.#options.handler.heard?.());
  }

  /** Half to whole, so that many watchers do not come back together. */
  #jitter(ms: number): number {
    return ms * (0.5 + this.#options.random.next() / 2);
  }

  #tell(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#options.handler.failed(error);
    }
  }
}

/** What shows that the API server does not do its part; a 403, a 404 and a 410 are answers. */
const UNANSWERED: ReadonlySet<RestartReason> = new Set(["throttled", "refused", "network", "silent", "malformed"]);

const REASONS: Readonly<Record<number, RestartReason>> = {
  401: "unauthorized",
  403: "forbidden",
  404: "not_found",
  410: "expired",
  429: "throttled",
};

function refusal(answer: ApiAnswer, listing: boolean): End {
  const reason = REASONS[answer.status] ?? "refused";
  return {
    // 504: our place is ahead of the server's (etcd was restored from a backup): only a new list ends that.
    relist: listing || answer.status === 410 || answer.status === 400 || answer.status === 504,
    reason,
    message: statusMessage(answer),
    status: answer.status,
    retryAfterMs: answer.retryAfterMs,
  };
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
