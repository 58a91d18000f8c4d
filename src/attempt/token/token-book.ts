import { hash } from "node:crypto";
import type { Credential } from "../../core/subscription.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Random } from "../../lib/random.ts";
import { RecentMap } from "../../lib/recent-map.ts";
import type { TokenAnswer, TokenFailure, TokenIssuer, TokenRequest } from "./token-issuer.ts";

/** Most tokens kept; the one unused for longest goes first. */
export const TOKENS_MAX = 10_000;
/** A token is fetched anew after this share of its life (less up to JITTER), while it still works. */
const REFRESH_SHARE = 0.8;
const JITTER = 0.1;
/** Not used any more this long before its end, or for the last tenth of a short life: it must be good when it arrives. */
const MARGIN_MS = 10_000;
const MARGIN_SHARE = 0.1;
/** A longer life is not believed. */
const LIFE_MAX_MS = 24 * 3_600_000;
/** A failure is the answer for this long, so that a full lane does not storm an authorization server that is down. */
const FAILURE_HOLD_MS = 1_000;
/** A token on trial that is refused is not dropped again before: a receiver that refuses everybody costs its authorization server two a minute. */
const TRIAL_MS = 30_000;

/** A token and what is known of it. */
interface Entry {
  token: string | undefined;
  refreshAtMs: number;
  endsAtMs: number;
  /** Came after one that a receiver refused: should it be refused too, the receiver means us, not the token, for a while at least. */
  onTrial: boolean;
  issuedAtMs: number;
  underWay: Promise<TokenAnswer> | undefined;
  failure: { readonly answer: TokenFailure; readonly untilMs: number } | undefined;
}

export type HeldToken = { readonly ok: true; readonly token: string } | TokenFailure;

export interface TokenBookParts {
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly random: Random;
  readonly issuers: Readonly<Record<Credential["kind"], TokenIssuer>>;
}

/**
 * Bearer tokens that were exchanged for credentials: kept in memory, one fetch at a time per credential, fetched anew before they end.
 * A token belongs to the namespace and credential it was fetched with, and is forgotten by a crash.
 */
export class TokenBook {
  readonly #parts: TokenBookParts;
  readonly #entries = new RecentMap<string, Entry>(TOKENS_MAX);

  constructor(parts: TokenBookParts) {
    this.#parts = parts;
  }

  /** The token to send now: at once while one is held, else when its fetch has ended. Never rejects. */
  token(key: string, request: TokenRequest): HeldToken | Promise<HeldToken> {
    const entry = this.#entry(key);
    const nowMs = this.#parts.clock.monotonicMs();
    if (entry.token !== undefined && nowMs < entry.endsAtMs) {
      if (nowMs >= entry.refreshAtMs && entry.underWay === undefined && recentFailure(entry, nowMs) === undefined)
        void this.#issue(entry, request);
      return { ok: true, token: entry.token };
    }
    return entry.underWay ?? recentFailure(entry, nowMs) ?? this.#issue(entry, request);
  }

  /**
   * A receiver answered 401 to this token: it is dropped, the one after it only after a while. Answers whether the next attempt will bring another token, so that trying
   * again makes sense.
   */
  refused(key: string, token: string): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.token !== token) return true;
    if (entry.onTrial && this.#parts.clock.monotonicMs() - entry.issuedAtMs < TRIAL_MS) return false;
    entry.token = undefined;
    entry.onTrial = true;
    return true;
  }

  /** A receiver took this token. */
  proven(key: string, token: string): void {
    const entry = this.#entries.get(key);
    if (entry?.token === token) entry.onTrial = false;
  }

  /** How many credentials are known now. */
  get size(): number {
    return this.#entries.size;
  }

  #entry(key: string): Entry {
    const known = this.#entries.get(key) ?? newEntry();
    // Set at each use, so that the one unused for longest goes first.
    this.#entries.set(key, known);
    return known;
  }

  #issue(entry: Entry, request: TokenRequest): Promise<TokenAnswer> {
    const issuing = this.#parts.issuers[request.credential.kind]
      .issue(request)
      .catch((): TokenAnswer => BROKEN)
      .then((answer) => {
        this.#note(entry, answer);
        return answer;
      });
    entry.underWay = issuing;
    return issuing;
  }

  #note(entry: Entry, answer: TokenAnswer): void {
    const nowMs = this.#parts.clock.monotonicMs();
    entry.underWay = undefined;
    if (!answer.ok) {
      entry.failure = { answer, untilMs: nowMs + FAILURE_HOLD_MS };
      return;
    }
    const lifeMs = Math.min(answer.lifeMs, LIFE_MAX_MS);
    entry.token = answer.token;
    entry.issuedAtMs = nowMs;
    entry.refreshAtMs = nowMs + lifeMs * (REFRESH_SHARE - JITTER * this.#parts.random.next());
    entry.endsAtMs = nowMs + lifeMs - Math.min(MARGIN_MS, lifeMs * MARGIN_SHARE);
    entry.failure = undefined;
  }
}

/** Issuers answer failures as values; should one throw, the credential must not fail for ever. */
const BROKEN: TokenAnswer = {
  ok: false,
  class: "connect_error",
  code: "INTERNAL",
  message: "fetching the token failed inside Postrider",
};

/** Names a credential without keeping it: two subscriptions of a namespace that say the same share a token. */
export function credentialKey(namespace: string, credential: Credential): string {
  return hash("sha256", JSON.stringify([namespace, credential]), "base64url");
}

function recentFailure({ failure }: Entry, nowMs: number): TokenFailure | undefined {
  return failure !== undefined && nowMs < failure.untilMs ? failure.answer : undefined;
}

function newEntry(): Entry {
  return { token: undefined, refreshAtMs: 0, endsAtMs: 0, onTrial: false, issuedAtMs: 0, underWay: undefined, failure: undefined };
}
