import { bearerToken, finalDenial, staticIndex, TOKEN_CHARS_MAX } from "../core/access-token.ts";
import type { Denial, StaticTokens } from "../core/access-token.ts";
import { unreachable } from "../lib/assert.ts";

/** The API group of what was delivered and what came of it; bodies are customers' data, so `view` on subscriptions is not enough. */
export const HISTORY_GROUP = "history.postrider.dev";

/** What a call wants to do, in Kubernetes' words, so that one RBAC rule speaks for the API, the console and kubectl. */
export interface ApiAccess {
  readonly namespace: string;
  readonly verb: "get" | "list" | "create" | "patch";
  /** HISTORY_GROUP, or `postrider.dev` for the subscriptions themselves. */
  readonly group: typeof HISTORY_GROUP | "postrider.dev";
  readonly resource: "deliveries" | "attempts" | "events" | "deliverytests" | "webhooksubscriptions";
  readonly subresource?: "resend";
  /** Of the one object asked for; absent for lists. */
  readonly name?: string;
}

/** `granted`, or the problem to answer with: 401 nobody we know, 403 somebody who may not, 503 nobody to ask (never open). */
export type ApiVerdict =
  | { readonly granted: true }
  | {
      readonly granted: false;
      readonly status: 401 | 403 | 503;
      readonly code: "unauthenticated" | "forbidden" | "reviews_unavailable";
      /** What is missing and the command that helps; never holds the token. */
      readonly detail: string;
      /** Seconds; to be sent as Retry-After. */
      readonly retryAfterSeconds?: number;
    };

/** Who may read history and act on it. Never rejects. */
export interface ApiAuthenticator {
  /** `authorization`: the value of every Authorization header of the request, in order; two of them let nobody in. */
  authorize(authorization: readonly string[], access: ApiAccess): Promise<ApiVerdict>;
}

type ReviewVerdict = "allowed" | Denial;

/** Asks the cluster who a token is and whether they may; answers stand for 60 s at most. Never rejects. */
export interface ApiReviewer {
  review(token: string, access: ApiAccess): ReviewVerdict | Promise<ReviewVerdict>;
}

/** Seconds until somebody may be there to ask again. */
const RETRY_AFTER_SECONDS = 5;

/** Everybody: for a loopback listener on a laptop or in a test; settings refuse it anywhere else. */
export const apiOpenToAll: ApiAuthenticator = { authorize: async () => ({ granted: true }) };

/** Lets in whoever holds a static token of the namespace (Secrets labelled `postrider.dev/api-token`), or one that the cluster vouches for; what is left out is switched off. */
export class ApiTokenAuthenticator implements ApiAuthenticator {
  readonly #tokens: StaticTokens | undefined;
  readonly #reviewer: ApiReviewer | undefined;

  constructor(ways: { readonly tokens?: StaticTokens; readonly reviewer?: ApiReviewer }) {
    this.#tokens = ways.tokens;
    this.#reviewer = ways.reviewer;
  }

  async authorize(authorization: readonly string[], access: ApiAccess): Promise<ApiVerdict> {
    const [header] = authorization;
    const token = header === undefined || authorization.length !== 1 ? undefined : bearerToken(header);
    if (token === undefined || token.length > TOKEN_CHARS_MAX) return unauthenticated(this.#reviewer !== undefined);
    if (staticIndex(this.#tokens, access.namespace, token) !== -1) return { granted: true };
    const reviewed = (await this.#reviewer?.review(token, access)) ?? "unauthenticated";
    if (reviewed === "allowed") return { granted: true };
    const denial = finalDenial(reviewed, this.#tokens, access.namespace);
    switch (denial) {
      case "unauthenticated":
        return unauthenticated(this.#reviewer !== undefined);
      case "forbidden":
        return forbidden(access);
      case "unavailable":
        return {
          granted: false,
          status: 503,
          code: "reviews_unavailable",
          detail: "The API server cannot verify tokens right now: try again shortly.",
          retryAfterSeconds: RETRY_AFTER_SECONDS,
        };
      default:
        return unreachable(denial);
    }
  }
}

function unauthenticated(kubernetes: boolean): ApiVerdict {
  const how = kubernetes
    ? "create one with kubectl create token SERVICEACCOUNT --audience postrider-api"
    : "tokens are the values of the namespace's Secrets labelled postrider.dev/api-token=true";
  return { granted: false, status: 401, code: "unauthenticated", detail: `Send one 'Authorization: Bearer …' with a valid token: ${how}.` };
}

function forbidden({ namespace, verb, group, resource, subresource }: ApiAccess): ApiVerdict {
  const what = `${resource}.${group}`;
  const part = subresource === undefined ? "" : ` --subresource=${subresource}`;
  const detail = `The token is valid, but lacks the permission to ${verb} ${subresource === undefined ? what : `${what}/${subresource}`} in namespace ${namespace}. Check with: kubectl -n ${namespace} auth can-i ${verb} ${what}${part}`;
  return { granted: false, status: 403, code: "forbidden", detail };
}
