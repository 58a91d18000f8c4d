import type { RateLimit } from "../core/policy.ts";
import { TokenBucket } from "../core/rate-limit.ts";
import type { Clock } from "../lib/clock.ts";
import { ExpiringMap } from "../lib/expiring-map.ts";
import { Shares } from "../lib/shares.ts";
import type { ApiProblem } from "./api-problem.ts";

/** Tests under way at once, of one namespace. */
export const TESTS_OF_NAMESPACE_MAX = 2;
/** Tests under way at once, of all: each namespace has its own two, until so many namespaces use them. */
const TESTS_MAX = 64;
const SUBSCRIPTION_RATE: RateLimit = { requests: 1, perMs: 1_000, burst: 5 };
const NAMESPACE_RATE: RateLimit = { requests: 5, perMs: 1_000, burst: 20 };
/** Buckets that have not been used for so long are full, and forgotten. */
const FULL_AFTER_MS = 10_000;
const BUCKETS_MAX = 20_000;
const BUSY_RETRY_AFTER_SECONDS = 5;

export type TestEntry = { readonly ok: true; readonly leave: () => void } | { readonly ok: false; readonly problem: ApiProblem };

/** How many tests may run, and how fast: a pot for each namespace, so that one whose receivers hang stands in nobody's way. */
export class TestPots {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #underWay = new Shares(TESTS_MAX, TESTS_OF_NAMESPACE_MAX);
  readonly #buckets = new ExpiringMap<TokenBucket>(BUCKETS_MAX);

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  /** Lets one test in, which leaves once; or says why there is no room now. */
  enter({ namespace, uid }: { readonly namespace: string; readonly uid: string }): TestEntry {
    if (this.#underWay.held(namespace) >= TESTS_OF_NAMESPACE_MAX) {
      return busy(`${TESTS_OF_NAMESPACE_MAX} tests of namespace ${namespace} are running, which is the limit.`);
    }
    const nowMs = this.#clock.monotonicMs();
    const buckets = [this.#bucket(uid, SUBSCRIPTION_RATE, nowMs), this.#bucket(`${namespace}/`, NAMESPACE_RATE, nowMs)];
    const atMs = Math.max(...buckets.map((bucket) => bucket.readyAtMs(nowMs)));
    if (atMs > nowMs) return { ok: false, problem: tooFast(atMs - nowMs) };
    if (!this.#underWay.take(namespace, 1))
      return busy(`${this.#underWay.total} tests of all namespaces are in progress, the most allowed at once.`);
    for (const bucket of buckets) bucket.take(nowMs);
    return { ok: true, leave: () => this.#underWay.give(namespace, 1) };
  }

  #bucket(key: string, limit: RateLimit, nowMs: number): TokenBucket {
    const bucket = this.#buckets.get(key, nowMs) ?? new TokenBucket(limit, nowMs);
    this.#buckets.set(key, bucket, nowMs + FULL_AFTER_MS);
    return bucket;
  }
}

function busy(what: string): TestEntry {
  const detail = `${what} Wait for one to end; a test takes at most 30 s.`;
  return { ok: false, problem: { code: "tests_busy", detail, retryAfterSeconds: BUSY_RETRY_AFTER_SECONDS } };
}

function tooFast(waitMs: number): ApiProblem {
  const detail =
    `A subscription takes ${SUBSCRIPTION_RATE.requests} test a second after the first ${SUBSCRIPTION_RATE.burst}, ` +
    `and a namespace ${NAMESPACE_RATE.requests} a second after the first ${NAMESPACE_RATE.burst}: try again after Retry-After.`;
  return { code: "tests_too_fast", detail, retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1_000)) };
}
