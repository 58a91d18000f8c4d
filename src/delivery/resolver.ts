import { Resolver as CaresResolver } from "node:dns/promises";
import type { Clock } from "../lib/clock.ts";

/** What the dispatcher asks of name resolution. */
export interface NameResolver {
  /** All addresses of a name, IPv4 first, at least one. Rejects with an error whose `code` is c-ares' (ENOTFOUND, ESERVFAIL, ETIMEOUT, …). */
  resolve(host: string): Promise<readonly string[]>;
}

/** A lookup ends after this long, whatever the name servers do. */
const DNS_TIMEOUT_MS = 2_000;
/** An answer is kept for its TTL but no longer, so that a moved receiver is followed. Addresses are judged anew at each connect. */
const DNS_TTL_MAX_MS = 30_000;
const DNS_CACHE_NAMES_MAX = 4_096;

export interface DnsResolverOptions {
  readonly clock: Clock;
  /** `host:port` of name servers; undefined = the system's. */
  readonly servers?: readonly string[] | undefined;
  readonly timeoutMs?: number;
}

/** A lookup that failed; `code` as c-ares names it. */
class LookupError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

interface Answer {
  readonly addresses: readonly string[];
  readonly ttlMs: number;
}

/**
 * Names through c-ares, not through the system's thread pool (where four dead names delay a healthy one by 20 s). Search domains and
 * /etc/hosts are not read: a receiver is a fully qualified public name; `localhost` is always 127.0.0.1 (RFC 6761).
 */
export class DnsResolver implements NameResolver {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #cares: CaresResolver;
  readonly #cache = new Map<string, { readonly addresses: readonly string[]; readonly untilMs: number }>();
  readonly #underWay = new Map<string, Promise<readonly string[]>>();

  constructor(options: DnsResolverOptions) {
    this.#clock = options.clock;
    this.#timeoutMs = options.timeoutMs ?? DNS_TIMEOUT_MS;
    this.#cares = new CaresResolver({ timeout: Math.ceil(this.#timeoutMs / 2), tries: 2 });
    if (options.servers !== undefined) this.#cares.setServers(options.servers);
  }

  async resolve(host: string): Promise<readonly string[]> {
    if (host === "localhost" || host.endsWith(".localhost")) return ["127.0.0.1"];
    const kept = this.#cache.get(host);
    if (kept !== undefined && kept.untilMs > this.#clock.monotonicMs()) return kept.addresses;
    const joined = this.#underWay.get(host);
    if (joined !== undefined) return joined;
    const lookup = this.#lookup(host).finally(() => this.#underWay.delete(host));
    this.#underWay.set(host, lookup);
    return lookup;
  }

  /** Ends what is under way with ECANCELLED. */
  close(): void {
    this.#cares.cancel();
  }

  async #lookup(host: string): Promise<readonly string[]> {
    const { addresses, ttlMs } = await this.#bounded(host);
    this.#cache.delete(host);
    if (ttlMs > 0) {
      if (this.#cache.size >= DNS_CACHE_NAMES_MAX) this.#cache.delete(this.#cache.keys().next().value ?? "");
      this.#cache.set(host, { addresses, untilMs: this.#clock.monotonicMs() + Math.min(ttlMs, DNS_TTL_MAX_MS) });
    }
    return addresses;
  }

  #bounded(host: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(this.#timeoutMs, () => {
        reject(new LookupError("ETIMEOUT", `no answer from the name servers within ${this.#timeoutMs} ms`));
      });
      this.#query(host).then(resolve, reject).finally(cancel);
    });
  }

  async #query(host: string): Promise<Answer> {
    const [v4, v6] = await Promise.allSettled([this.#cares.resolve4(host, { ttl: true }), this.#cares.resolve6(host, { ttl: true })]);
    const records = [...(v4.status === "fulfilled" ? v4.value : []), ...(v6.status === "fulfilled" ? v6.value : [])];
    if (records.length > 0) {
      return { addresses: records.map(({ address }) => address), ttlMs: Math.min(...records.map(({ ttl }) => ttl)) * 1_000 };
    }
    const errors = [v4, v6].map((result) => (result.status === "rejected" ? codeOf(result.reason) : "ENODATA"));
    // "No such record" says more than a failure only when both say so: a name server that failed may recover.
    const code = errors.find((error) => error !== "ENODATA") ?? "ENODATA";
    throw new LookupError(code, `no address found for ${host}`);
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "EUNKNOWN";
}
