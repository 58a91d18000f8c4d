import type { ApiAnswer, ApiRequest } from "../../../src/kube/transport.ts";
import type { Clock } from "../../../src/lib/clock.ts";

interface StoredLease {
  metadata: { resourceVersion?: string; annotations?: Record<string, string>; labels?: Record<string, string> };
  spec?: Record<string, unknown>;
}

/** One Lease, with the API server's rules for PUT: it creates, refuses an old version, and refuses to overwrite without a version. */
export class FakeLeaseServer {
  lease: StoredLease | undefined;
  /** Answered to everything instead, or (`away`) no answer at all. */
  trouble: number | "away" | "silent" | undefined;
  /** How long each answer takes, ms. */
  delayMs = 0;
  /** Reads are answered, writes are not. */
  readOnly = false;
  /** Called once between a read and the write that follows it. */
  meanwhile: (() => void) | undefined;
  readonly requests: string[] = [];
  #version = 1;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A connection; it may be cut off alone. */
  transport(state: { trouble?: FakeLeaseServer["trouble"] } = {}) {
    return {
      request: (request: ApiRequest): Promise<ApiAnswer> => this.#answer(request, state.trouble ?? this.trouble),
      close: () => Promise.resolve(),
    };
  }

  get holder(): unknown {
    return this.lease?.spec?.["holderIdentity"];
  }

  edit(change: (lease: StoredLease) => void): void {
    this.lease ??= { metadata: {} };
    change(this.lease);
    this.lease.metadata.resourceVersion = String(++this.#version);
  }

  async #answer(request: ApiRequest, trouble: FakeLeaseServer["trouble"]): Promise<ApiAnswer> {
    this.requests.push(`${request.method} ${request.path}`);
    if (trouble === "silent") {
      await new Promise((_, reject) => request.signal?.addEventListener("abort", () => reject(new Error("given up")), { once: true }));
    }
    if (this.delayMs > 0) await new Promise<void>((resolve) => void this.#clock.after(this.delayMs, resolve));
    if (trouble === "away") throw new Error("connect ECONNREFUSED");
    if (typeof trouble === "number") return status(trouble, { message: `it says ${trouble}` });
    if (request.method === "GET") return this.lease === undefined ? status(404, {}) : status(200, structuredClone(this.lease));
    if (this.readOnly) return status(500, { message: "etcdserver: mvcc: database space exceeded" });
    const { meanwhile } = this;
    this.meanwhile = undefined;
    meanwhile?.();
    return this.#put(request.body as StoredLease);
  }

  #put(given: StoredLease): ApiAnswer {
    const { resourceVersion } = given.metadata;
    if (this.lease === undefined && resourceVersion !== undefined) return status(409, { message: "it has been deleted" });
    if (this.lease !== undefined && resourceVersion === undefined) return status(422, { message: "must be specified for an update" });
    if (this.lease !== undefined && resourceVersion !== this.lease.metadata.resourceVersion)
      return status(409, { message: "it has changed" });
    for (const field of ["acquireTime", "renewTime"]) {
      const time = given.spec?.[field];
      if (time !== undefined && !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/.test(JSON.stringify(time).slice(1, -1)))
        return status(400, { message: `${field} is no MicroTime` });
    }
    const code = this.lease === undefined ? 201 : 200;
    this.lease = structuredClone(given);
    this.lease.metadata.resourceVersion = String(++this.#version);
    return status(code, structuredClone(this.lease));
  }
}

function status(code: number, body: unknown): ApiAnswer {
  return { status: code, body, retryAfterMs: undefined };
}
