import { isAmong, TOKEN_CHARS_MAX, tokenDigest } from "../core/access-token.ts";

/** `unavailable`: whoever could say is away, and that never means yes. */
export type Verdict = "allowed" | "unauthenticated" | "forbidden" | "unavailable";

/** Who may publish. */
export interface Authenticator {
  /** `none` lets everybody in, so the server refuses it on any address but loopback. */
  readonly mode: "tokens" | "none";
  /** How to come by a token, for whoever has none. */
  readonly hint: string;
  /** Judges the token given for a namespace, at once where the answer is known. Never rejects. */
  authenticate(namespace: string, token: string): Verdict | Promise<Verdict>;
  /** Whether a token in a body can let anybody into the namespace: only static ones count there. `unknown`: nobody can tell yet. */
  bodyTokens(namespace: string): "some" | "none" | "unknown";
  /** Judges a token that came in a body, which is worth nobody's question. Never throws. */
  authenticateBody(namespace: string, token: string): "allowed" | "unauthenticated" | "unavailable";
}

/** Digests (SHA-256, 32 bytes) of the tokens valid for a namespace; the Secrets labelled `postrider.dev/ingest-token` fill it. */
export interface IngestTokens {
  /** False until the namespace's Secrets have been listed once: till then a token that is not known may be a good one. */
  isListed?(namespace: string): boolean;
  tokens(namespace: string): readonly Uint8Array[];
}

/** What publishing is in the words of RBAC: a verb of our own, so that reading subscriptions does not come with it. */
export interface PublishAccess {
  readonly namespace: string;
  readonly verb: "publish";
  readonly group: "postrider.dev";
  readonly resource: "webhooksubscriptions";
}

/** Asks the cluster who a token is and whether they may; answers stand for 60 s at most. Never rejects. */
export interface PublishReviewer {
  review(token: string, access: PublishAccess): Verdict | Promise<Verdict>;
}

const STATIC_HINT = "tokens are the values of the namespace's Secrets labelled postrider.dev/ingest-token=true";
const REVIEW_HINT = "make one with kubectl create token SERVICEACCOUNT --audience postrider-ingest";

/** Lets in whoever holds a static token of the namespace, or one that the cluster vouches for; what is left out is switched off. */
export class TokenAuthenticator implements Authenticator {
  readonly mode = "tokens";
  readonly hint: string;
  readonly #tokens: IngestTokens | undefined;
  readonly #reviewer: PublishReviewer | undefined;

  constructor(ways: { readonly tokens?: IngestTokens; readonly reviewer?: PublishReviewer }) {
    this.#tokens = ways.tokens;
    this.#reviewer = ways.reviewer;
    this.hint = [...(ways.reviewer === undefined ? [] : [REVIEW_HINT]), ...(ways.tokens === undefined ? [] : [STATIC_HINT])].join("; ");
  }

  bodyTokens(namespace: string): "some" | "none" | "unknown" {
    if (this.#tokens === undefined) return "none";
    if (this.#tokens.tokens(namespace).length > 0) return "some";
    return this.#tokens.isListed?.(namespace) === false ? "unknown" : "none";
  }

  authenticateBody(namespace: string, token: string): "allowed" | "unauthenticated" | "unavailable" {
    if (token.length > TOKEN_CHARS_MAX) return "unauthenticated";
    if (this.#isStatic(namespace, token)) return "allowed";
    return this.#tokens?.isListed?.(namespace) === false ? "unavailable" : "unauthenticated";
  }

  authenticate(namespace: string, token: string): Verdict | Promise<Verdict> {
    if (token.length > TOKEN_CHARS_MAX) return "unauthenticated";
    if (this.#isStatic(namespace, token)) return "allowed";
    const access = { namespace, verb: "publish", group: "postrider.dev", resource: "webhooksubscriptions" } as const;
    const verdict = this.#reviewer?.review(token, access) ?? "unauthenticated";
    if (this.#tokens?.isListed?.(namespace) !== false) return verdict;
    // After a restart routes come from the store, at once; Secrets come from the provider.
    return verdict instanceof Promise ? verdict.then(unlessUnknown) : unlessUnknown(verdict);
  }

  #isStatic(namespace: string, token: string): boolean {
    return this.#tokens !== undefined && isAmong(tokenDigest(token), this.#tokens.tokens(namespace));
  }
}

function unlessUnknown(verdict: Verdict): Verdict {
  return verdict === "unauthenticated" ? "unavailable" : verdict;
}

/** Everybody: for a loopback listener on a laptop or in a test. */
export const openToAll: Authenticator = {
  mode: "none",
  hint: "",
  authenticate: () => "allowed",
  bodyTokens: () => "none",
  authenticateBody: () => "allowed",
};
