import type { OutcomeClass } from "../../core/outcome.ts";
import type { EgressPolicy } from "../../core/policy.ts";
import type { Credential, Target } from "../../core/subscription.ts";

/** What an attempt needs to have a token fetched for it. */
export interface TokenRequest {
  readonly credential: Credential;
  /** Of the subscription: tokens are never shared between namespaces. */
  readonly namespace: string;
  readonly egress: EgressPolicy;
  readonly proxy: Target["proxy"];
  readonly connectLimitMs: number;
  readonly timeoutMs: number;
}

/** Why there is no token. */
export interface TokenFailure {
  readonly ok: false;
  readonly class: Exclude<OutcomeClass, "success">;
  /** Stable: the failed connection's own code, or TOKEN_REFUSED, TOKEN_INVALID. */
  readonly code: string;
  /** Names who was asked and what it said; redacted. */
  readonly message: string;
  readonly retryAfterMs?: number | undefined;
}

export type TokenAnswer = { readonly ok: true; readonly token: string; readonly lifeMs: number } | TokenFailure;

/** Exchanges one kind of credential for a bearer token. Never rejects. */
export interface TokenIssuer {
  issue(request: TokenRequest): Promise<TokenAnswer>;
}

/** Tokens of ServiceAccounts, asked of the API server; with manifests from files there is none who could. */
export interface ServiceAccountTokens {
  /** Never rejects. Only for a ServiceAccount that may be used by subscriptions. */
  token(asked: {
    readonly namespace: string;
    readonly name: string;
    readonly audience: string;
    readonly expirationSeconds: number;
  }): Promise<
    | { readonly ok: true; readonly token: string; readonly lifeMs: number }
    | { readonly ok: false; readonly code: string; readonly message: string }
  >;
}
