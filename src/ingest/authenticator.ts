import { finalDenial, staticIndex, TOKEN_CHARS_MAX } from "../core/access-token.ts";
import type { Denial, StaticTokens } from "../core/access-token.ts";
import type { HookSettings } from "../core/hook-settings.ts";

/** Somebody who was let in. */
export interface Caller {
  /** Whose idempotency keys this caller uses; empty where nobody is told from anybody. */
  readonly producer: string;
  /** How this caller's hooks are read, where the Secret of its token says so. */
  readonly hooks?: HookSettings | undefined;
}

/** Who was let in, or why nobody was. */
export type Admission = Caller | Denial;

/** Who may publish. */
export interface Authenticator {
  /** `none` lets everybody in, so the server refuses it on any address but loopback. */
  readonly mode: "tokens" | "none";
  /** How to come by a token, for whoever has none. */
  readonly hint: string;
  /** Judges the token given for a namespace, at once where the answer is known. Never rejects. */
  authenticate(namespace: string, token: string): Admission | Promise<Admission>;
  /** Whether a token in a body can let anybody into the namespace: only static ones count there. `unknown`: nobody can tell yet. */
  bodyTokens(namespace: string): "some" | "none" | "unknown";
  /** Judges a token that came in the body of somebody who has shown no other, which is worth nobody's question. Never throws. */
  authenticateBody(namespace: string, token: string): Caller | "unauthenticated" | "unavailable";
  /** Headers (lower case, or `basic`) where hooks of the namespace may have a static token. */
  hookPlaces(namespace: string): ReadonlySet<string>;
  /** Judges a token that came in one of these places: it lets in where its own Secret names the place. Never throws. */
  authenticateHook(namespace: string, place: string, token: string): Caller | "unauthenticated";
  /** Whether whoever was let in by this token may also read what receivers answered. Never rejects. */
  maySeeAnswers(namespace: string, token: string | undefined): boolean | Promise<boolean>;
}

/** Static tokens and whose they are; the Secrets labelled `postrider.dev/ingest-token` fill it. */
export interface IngestTokens extends StaticTokens {
  /** Whose token it is that has this index in `tokens`. */
  producerAt(namespace: string, index: number): string;
  /** How hooks of its holder are read. */
  hooksAt?(namespace: string, index: number): HookSettings | undefined;
  /** The places of tokens that any Secret of the namespace names. */
  hookPlaces?(namespace: string): ReadonlySet<string>;
}

const SUBSCRIPTIONS = { group: "postrider.dev", resource: "webhooksubscriptions" } as const;
const ATTEMPTS = { group: "history.postrider.dev", resource: "attempts" } as const;

/** In the words of RBAC: publishing has a verb of its own, so that reading subscriptions does not come with it. */
export type IngestAccess = { readonly namespace: string } & (
  | ({ readonly verb: "publish" } & typeof SUBSCRIPTIONS)
  | ({ readonly verb: "get" } & typeof ATTEMPTS)
);

/** Asks the cluster who a token is and whether they may; answers stand for 60 s at most. Never rejects. */
export interface PublishReviewer {
  who(token: string, access: IngestAccess): { readonly user: string } | Denial | Promise<{ readonly user: string } | Denial>;
}

const STATIC_HINT = "tokens are the values of the namespace's Secrets labelled postrider.dev/ingest-token=true";
const REVIEW_HINT = "create one with kubectl create token SERVICEACCOUNT --audience postrider-ingest";

/** A producer that the API server knows by this name; a Secret may name itself one (app/secret-tokens.ts). */
export function userProducer(user: string): string {
  return `user:${user}`;
}

/** Lets in whoever holds a static token of the namespace, or one that the cluster vouches for; what is left out is switched off. */
export class IngestTokenAuthenticator implements Authenticator {
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

  authenticateBody(namespace: string, token: string): Caller | "unauthenticated" | "unavailable" {
    if (token.length > TOKEN_CHARS_MAX) return "unauthenticated";
    return this.#holderOf(namespace, token) ?? finalDenial("unauthenticated", this.#tokens, namespace);
  }

  hookPlaces(namespace: string): ReadonlySet<string> {
    return this.#tokens?.hookPlaces?.(namespace) ?? NO_PLACES;
  }

  authenticateHook(namespace: string, place: string, token: string): Caller | "unauthenticated" {
    const holder = token.length > TOKEN_CHARS_MAX ? undefined : this.#holderOf(namespace, token);
    return holder?.hooks?.token.includes(place) === true ? holder : "unauthenticated";
  }

  authenticate(namespace: string, token: string): Admission | Promise<Admission> {
    if (token.length > TOKEN_CHARS_MAX) return "unauthenticated";
    const holder = this.#holderOf(namespace, token);
    if (holder !== undefined) return holder;
    const reviewed = this.#reviewer?.who(token, { namespace, verb: "publish", ...SUBSCRIPTIONS }) ?? "unauthenticated";
    return reviewed instanceof Promise
      ? reviewed.then((settled) => this.#admission(namespace, settled))
      : this.#admission(namespace, reviewed);
  }

  maySeeAnswers(namespace: string, token: string | undefined): boolean | Promise<boolean> {
    // A static token lets events in from outside the cluster, and is no right to anything else.
    if (token === undefined || this.#reviewer === undefined || staticIndex(this.#tokens, namespace, token) !== -1) return false;
    const reviewed = this.#reviewer.who(token, { namespace, verb: "get", ...ATTEMPTS });
    return reviewed instanceof Promise ? reviewed.then(isUser) : isUser(reviewed);
  }

  /** Who holds this static token. */
  #holderOf(namespace: string, token: string): Caller | undefined {
    const index = staticIndex(this.#tokens, namespace, token);
    if (this.#tokens === undefined || index === -1) return undefined;
    return { producer: this.#tokens.producerAt(namespace, index), hooks: this.#tokens.hooksAt?.(namespace, index) };
  }

  #admission(namespace: string, reviewed: { readonly user: string } | Denial): Admission {
    return typeof reviewed === "string" ? finalDenial(reviewed, this.#tokens, namespace) : { producer: userProducer(reviewed.user) };
  }
}

function isUser(reviewed: { readonly user: string } | Denial): boolean {
  return typeof reviewed !== "string";
}

const NO_PLACES: ReadonlySet<string> = new Set();
const ANYBODY: Caller = { producer: "" };

/** Everybody: for a loopback listener on a laptop or in a test. */
export const ingestOpenToAll: Authenticator = {
  mode: "none",
  hint: "",
  authenticate: () => ANYBODY,
  bodyTokens: () => "none",
  authenticateBody: () => ANYBODY,
  hookPlaces: () => NO_PLACES,
  authenticateHook: () => ANYBODY,
  maySeeAnswers: () => true,
};
