import type { Outcome } from "../../core/outcome.ts";
import type { Subscription, Target } from "../../core/subscription.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Random } from "../../lib/random.ts";
import type { ServiceAccountTokens, TokenAnswer, TokenIssuer, TokenRequest } from "./token-issuer.ts";
import type { SideRequests } from "../http/side-request.ts";
import { credentialKey, TokenBook } from "./token-book.ts";
import type { HeldToken } from "./token-book.ts";
import { TokenEndpoint } from "./token-endpoint.ts";

const UNAUTHORIZED = 401;

/** A credential that has to be exchanged for a token before each attempt; worked out once per state of a subscription. */
export interface Exchangeable {
  readonly key: string;
  readonly request: TokenRequest;
  /** Who gives the token, for people. */
  readonly issuer: string;
}

export interface AuthorizerParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly requests: SideRequests;
  readonly userAgent: string;
  readonly serviceAccounts: ServiceAccountTokens | undefined;
}

/** Gives attempts the bearer tokens that their endpoints' credentials are exchanged for, and learns from what receivers say to them. */
export class Authorizer {
  readonly #tokens: TokenBook;

  constructor({ clock, random, requests, userAgent, serviceAccounts }: AuthorizerParts) {
    const issuers = { oauth2: new TokenEndpoint(requests, userAgent), serviceAccount: issuerOf(serviceAccounts) };
    this.#tokens = new TokenBook({ clock, random, issuers });
  }

  /** What the target's attempts need; undefined where nothing is exchanged. */
  exchangeable({ namespace, egress, policy }: Subscription, { credential, proxy }: Target): Exchangeable | undefined {
    if (credential === undefined) return undefined;
    const { timeoutMs, connectTimeoutMs } = policy;
    const issuer = credential.kind === "oauth2" ? new URL(credential.tokenUrl).host : "the API server";
    const request = { credential, namespace, egress, proxy, connectLimitMs: connectTimeoutMs, timeoutMs };
    return { key: credentialKey(namespace, credential), request, issuer };
  }

  /** At once while a token is held. Never rejects. */
  token({ key, request }: Exchangeable): HeldToken | Promise<HeldToken> {
    return this.#tokens.token(key, request);
  }

  /** What the receiver's answer says of the token: a first 401 drops it, and the outcome says that trying again makes sense. */
  judged({ key }: Exchangeable, token: string, outcome: Outcome): Outcome {
    if (outcome.class === "success") this.#tokens.proven(key, token);
    if (outcome.statusCode !== UNAUTHORIZED || !this.#tokens.refused(key, token)) return outcome;
    return { ...outcome, message: `${outcome.message}; a new token is fetched`, tokenDropped: true };
  }
}

function issuerOf(tokens: ServiceAccountTokens | undefined): TokenIssuer {
  return {
    issue: async ({ credential, namespace }): Promise<TokenAnswer> => {
      if (credential.kind !== "serviceAccount" || tokens === undefined) {
        return { ok: false, class: "client_error", code: "TOKEN_REFUSED", message: "no ServiceAccount token: there is no cluster" };
      }
      const { serviceAccountName: name, audience, expirationSeconds } = credential;
      const answer = await tokens.token({ namespace, name, audience, expirationSeconds });
      return answer.ok ? answer : { ...answer, class: "client_error" };
    },
  };
}
