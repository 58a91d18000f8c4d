import { ExpiringMap } from "../lib/expiring-map.ts";
import { Shares } from "../lib/shares.ts";

/** New questions under way at once about tokens whose signature is good. */
export const QUESTIONS_MAX = 256;
/** The same, without keys to check signatures by, about tokens for namespaces that have had a good one. */
const UNPROVEN_MAX = 64;
/** The same, for namespaces that have had none. */
const STRANGERS_MAX = 32;
/** In every pot each may have so many, however full it is. */
const FLOOR = 4;
/** Questions about tokens of which nothing is proven may come to nothing so often in MISSES_FOR_MS, for one namespace and for all that have had no good one. */
export const MISSES_MAX = 50;
const STRANGERS_MISSES_MAX = 250;
export const MISSES_FOR_MS = 5_000;
/** A namespace counts as one that has had a good token for this long, ms. */
const PROVEN_FOR_MS = 3_600_000;
/** Namespaces remembered; their names come from outside. */
const NAMESPACES_MAX = 10_000;

/** What stands for all namespaces that have had no good token; no namespace is called so. */
const STRANGERS = "";

/** For whom a question is asked. */
export interface Asker {
  /** The namespace of the ServiceAccount whose token it is, proven by its signature or by an earlier review; undefined where nothing is proven. */
  readonly account: string | undefined;
  /** The namespace that is asked for. */
  readonly namespace: string;
}

/** A place that was taken; tells how the question ended and gives it back. */
export type Place = (end: "good" | "miss" | "none") => void;

/**
 * Room for new questions to the API server. Whoever holds a signed token never waits behind those who do not, and one namespace's accounts never behind
 * another's. Where signatures cannot be checked, strangers can come between a namespace and its own new tokens, but not those of the others.
 */
export class QuestionPots {
  readonly #verified = new Shares(QUESTIONS_MAX, FLOOR);
  readonly #unproven = new Shares(UNPROVEN_MAX, FLOOR);
  readonly #strangers = new Shares(STRANGERS_MAX, FLOOR);
  readonly #provenNamespaces = new ExpiringMap<true>(NAMESPACES_MAX);
  readonly #misses = new ExpiringMap<{ count: number }>(NAMESPACES_MAX);

  /** Undefined = there is no room now. */
  take({ account, namespace }: Asker, nowMs: () => number): Place | undefined {
    if (account !== undefined) return placeIn(this.#verified, account);
    const startMs = nowMs();
    const isStranger = this.#provenNamespaces.get(namespace, startMs) === undefined;
    if (this.#missesOf(namespace, startMs) >= MISSES_MAX) return undefined;
    if (isStranger && this.#missesOf(STRANGERS, startMs) >= STRANGERS_MISSES_MAX) return undefined;
    const free = placeIn(isStranger ? this.#strangers : this.#unproven, namespace);
    if (free === undefined) return undefined;
    return (end) => {
      free(end);
      const endMs = nowMs();
      if (end === "good") this.#provenNamespaces.set(namespace, true, endMs + PROVEN_FOR_MS);
      if (end !== "miss") return;
      this.#missed(namespace, endMs);
      if (isStranger) this.#missed(STRANGERS, endMs);
    };
  }

  #missesOf(namespace: string, nowMs: number): number {
    return this.#misses.get(namespace, nowMs)?.count ?? 0;
  }

  #missed(namespace: string, nowMs: number): void {
    const misses = this.#misses.get(namespace, nowMs);
    if (misses === undefined) this.#misses.set(namespace, { count: 1 }, nowMs + MISSES_FOR_MS);
    else misses.count += 1;
  }
}

function placeIn(shares: Shares, who: string): Place | undefined {
  return shares.take(who, 1) ? () => shares.give(who, 1) : undefined;
}
