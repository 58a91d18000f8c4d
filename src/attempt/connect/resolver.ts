import { Resolver as CaresResolver } from "node:dns/promises";
import type { RecordWithTtl } from "node:dns";
import type { Clock } from "../../lib/clock.ts";
import { errorCode, UNKNOWN_CODE } from "../../lib/error-code.ts";
import { RecentMap } from "../../lib/recent-map.ts";

/** What the dispatcher asks of name resolution. */
export interface NameResolver {
  /** All addresses of a name, IPv4 first, at least one. Rejects with an error whose `code` is c-ares' (ENOTFOUND, ESERVFAIL, ETIMEOUT, …). */
  resolve(host: string): Promise<readonly string[]>;
  /** How long the last answer for a name still holds by its TTL, ms; 0 when it does not, or none is known. Absent: never. */
  freshForMs?(host: string): number;
}

/** RFC 6761, 6.3: what a name server says of these names is never asked for. */
const LOCALHOST: readonly string[] = ["127.0.0.1", "::1"];
/**
 * Where one family has been answered for and the other's question still waits, it waits no longer than this (RFC 8305, 3): there are name servers
 * that never answer for IPv6. What comes too late is not dialled, so it need not be judged.
 */
const OTHER_FAMILY_MS = 250;
/** A lookup ends after this long, whatever the name servers do. */
const DNS_TIMEOUT_MS = 2_000;
/** A lookup that timed out so much later than it should was judged by a process that stood still: its answer may have lain in the socket. */
const STOOD_MIN_MS = 250;
const TIMED_OUT: ReadonlySet<string> = new Set(["ETIMEOUT", "ETIMEDOUT"]);
/** An answer is kept for its TTL but no longer, so that a moved receiver is followed. Addresses are judged anew at each connect. */
const DNS_TTL_MAX_MS = 30_000;
const DNS_CACHE_NAMES_MAX = 4_096;
/** An answer of more addresses is used but not kept, so that nobody fills the memory with his own zone. */
const DNS_CACHE_ADDRESSES_MAX = 64;
/**
 * After so long without an answer the next name server is asked too (where there is one alone: it again, for a datagram may be lost), and the
 * first answer counts: a dead server costs 50 ms, once.
 */
const ASK_AGAIN_AFTER_MS: readonly number[] = [50, 350, 600];
/** Questions put in one turn of the event loop: more would overrun the socket's buffers, and what is lost there may be anybody's. */
const ASKED_PER_TURN_MAX = 32;
/** What a name server knows for certain: no other one need be asked. */
const NO_SUCH_NAME: ReadonlySet<string> = new Set(["ENOTFOUND", "ENODATA"]);

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

type Settled = PromiseSettledResult<readonly RecordWithTtl[]>;
const UNANSWERED: Settled = { status: "rejected", reason: new LookupError("ETIMEOUT", "no answer yet") };

interface KeptAnswer {
  readonly addresses: readonly string[];
  /** Until then it is given out. */
  readonly untilMs: number;
  /** Until then it holds by its TTL. */
  readonly holdsUntilMs: number;
}

/**
 * Names through c-ares, not through the system's thread pool (where four dead names delay a healthy one by 20 s). Search domains and
 * /etc/hosts are not read: a receiver is a fully qualified public name; `localhost` is always 127.0.0.1 and ::1 (RFC 6761).
 */
export class DnsResolver implements NameResolver {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  /** One for each name server, so that a dead one is told from its neighbours. */
  readonly #servers: readonly CaresResolver[];
  /** Index of the server that answered last: the one to ask first. */
  #preferred = 0;
  readonly #cache = new RecentMap<string, KeptAnswer>(DNS_CACHE_NAMES_MAX);
  #askedThisTurn = 0;
  readonly #waitingTurn: (() => void)[] = [];
  readonly #underWay = new Map<string, Promise<readonly string[]>>();

  constructor(options: DnsResolverOptions) {
    this.#clock = options.clock;
    this.#timeoutMs = options.timeoutMs ?? DNS_TIMEOUT_MS;
    const servers = options.servers ?? new CaresResolver().getServers();
    this.#servers = servers.map((server) => {
      const resolver = new CaresResolver({ timeout: this.#timeoutMs, tries: 1 });
      resolver.setServers([server]);
      return resolver;
    });
  }

  async resolve(host: string): Promise<readonly string[]> {
    if (isLocalhost(host)) return LOCALHOST;
    const kept = this.#cache.get(host);
    if (kept !== undefined && kept.untilMs > this.#clock.monotonicMs()) return kept.addresses;
    const joined = this.#underWay.get(host);
    if (joined !== undefined) return joined;
    const lookup = this.#lookup(host).finally(() => this.#underWay.delete(host));
    this.#underWay.set(host, lookup);
    return lookup;
  }

  freshForMs(host: string): number {
    return Math.max(0, (this.#cache.get(host)?.holdsUntilMs ?? 0) - this.#clock.monotonicMs());
  }

  /** Ends what is under way with ECANCELLED. */
  close(): void {
    for (const server of this.#servers) server.cancel();
  }

  async #lookup(host: string): Promise<readonly string[]> {
    const { addresses, ttlMs } = await this.#answered(host);
    this.#cache.delete(host);
    if (ttlMs > 0 && addresses.length <= DNS_CACHE_ADDRESSES_MAX) {
      const nowMs = this.#clock.monotonicMs();
      this.#cache.set(host, { addresses, untilMs: nowMs + Math.min(ttlMs, DNS_TTL_MAX_MS), holdsUntilMs: nowMs + ttlMs });
    }
    return addresses;
  }

  /** Asks once more where nobody could have answered in time because we stood still: c-ares, too, looks at its clock before it reads. */
  async #answered(host: string): Promise<Answer> {
    const askedMs = this.#clock.monotonicMs();
    try {
      return await this.#bounded(host);
    } catch (error) {
      const tookMs = this.#clock.monotonicMs() - askedMs;
      if (!TIMED_OUT.has(errorCode(error) ?? UNKNOWN_CODE) || tookMs < this.#timeoutMs + STOOD_MIN_MS) throw error;
      return this.#bounded(host);
    }
  }

  #bounded(host: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(this.#timeoutMs, () => {
        reject(new LookupError("ETIMEOUT", `no answer from the name servers within ${this.#timeoutMs} ms`));
      });
      this.#askAll(host).then(resolve, reject).finally(cancel);
    });
  }

  /**
   * Asks the preferred server first, another one as soon as those before it have failed or are slow. The first that knows the name, or knows
   * that there is none, is believed; what it says is judged address by address in any case.
   */
  #askAll(host: string): Promise<Answer> {
    const order = this.#servers.map((_server, i) => (this.#preferred + i) % this.#servers.length);
    const failed = new Set<number>();
    return new Promise((resolve, reject) => {
      let asked = 0;
      let cancelNext: () => void = () => undefined;
      let settled = false;
      const settle = (act: () => void): void => {
        if (settled) return;
        settled = true;
        cancelNext();
        act();
      };
      const ask = (): void => {
        cancelNext();
        const left = order.filter((server) => !failed.has(server));
        const index = left[asked % left.length];
        if (settled || index === undefined) return;
        const delayMs = ASK_AGAIN_AFTER_MS[asked];
        asked += 1;
        if (delayMs !== undefined) cancelNext = this.#clock.after(delayMs, ask);
        this.#query(this.#servers[index]!, host).then(
          (answer) => {
            this.#preferred = index;
            settle(() => resolve(answer));
          },
          (error: unknown) => {
            failed.add(index);
            const certain = NO_SUCH_NAME.has(errorCode(error) ?? UNKNOWN_CODE);
            if (certain) this.#preferred = index;
            if (certain || failed.size === order.length) settle(() => reject(error));
            else ask();
          },
        );
      };
      if (order.length === 0) reject(new LookupError("ECONNREFUSED", "no name server is configured"));
      else ask();
    });
  }

  /** Resolves when it is this question's turn to be put. */
  #turn(): Promise<void> | undefined {
    if (this.#askedThisTurn === 0) setImmediate(() => this.#nextTurn());
    if (this.#askedThisTurn < ASKED_PER_TURN_MAX) {
      this.#askedThisTurn += 1;
      return undefined;
    }
    return new Promise((resolve) => this.#waitingTurn.push(resolve));
  }

  #nextTurn(): void {
    const next = this.#waitingTurn.splice(0, ASKED_PER_TURN_MAX);
    this.#askedThisTurn = next.length;
    if (next.length > 0) setImmediate(() => this.#nextTurn());
    for (const go of next) go();
  }

  async #query(server: CaresResolver, host: string): Promise<Answer> {
    await this.#turn();
    const [v4, v6] = await this.#bothFamilies(server.resolve4(host, { ttl: true }), server.resolve6(host, { ttl: true }));
    const records = [...(v4.status === "fulfilled" ? v4.value : []), ...(v6.status === "fulfilled" ? v6.value : [])];
    if (records.length > 0) {
      return { addresses: records.map(({ address }) => address), ttlMs: Math.min(...records.map(({ ttl }) => ttl)) * 1_000 };
    }
    const errors = [v4, v6].map((result) => (result.status === "rejected" ? (errorCode(result.reason) ?? UNKNOWN_CODE) : "ENODATA"));
    // "No such record" says more than a failure only when both say so: a name server that failed may recover.
    const code = errors.find((error) => error !== "ENODATA") ?? "ENODATA";
    throw new LookupError(code, `no address found for ${host}`);
  }

  /** What became of both, or, once one has found something, of the other in a short time after. */
  #bothFamilies(v4: Promise<RecordWithTtl[]>, v6: Promise<RecordWithTtl[]>): Promise<[Settled, Settled]> {
    return new Promise((resolve) => {
      const settled: [Settled, Settled] = [UNANSWERED, UNANSWERED];
      let left = 2;
      let cancel: () => void = () => undefined;
      const end = (): void => {
        cancel();
        resolve(settled);
      };
      const note = (index: 0 | 1, result: Settled): void => {
        settled[index] = result;
        left -= 1;
        if (left === 0) end();
        else if (result.status === "fulfilled" && result.value.length > 0) cancel = this.#clock.after(OTHER_FAMILY_MS, end);
      };
      for (const [index, family] of [v4, v6].entries()) {
        family.then(
          (value) => note(index === 0 ? 0 : 1, { status: "fulfilled", value }),
          (reason: unknown) => note(index === 0 ? 0 : 1, { status: "rejected", reason }),
        );
      }
    });
  }
}

/** `localhost` and every name under it. */
export function isLocalhost(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost");
}
