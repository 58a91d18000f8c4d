import { tokenDigest } from "../core/access-token.ts";
import type { Clock } from "../lib/clock.ts";
import { ExpiringMap } from "../lib/expiring-map.ts";
import { tokenClaims } from "./token-claims.ts";
import { type ApiAnswer, type KubeTransport, statusMessage } from "./transport.ts";

/** An answer of ours is believed for this long, ms. The API server itself believes a token for 10 s more, which makes the 60 s that we promise. */
export const ANSWER_FOR_MS = 50_000;
/** An answer in use is asked for anew from this age on, beside the requests that it still serves: they never wait, and an API server away for 25 s is not felt. */
const REFRESH_AFTER_MS = 25_000;
/** A no is believed for this long, ms: whoever has just been given the right tries again. */
export const REFUSAL_FOR_MS = 5_000;
/** One review ends within this, ms; its caller waits meanwhile. */
const REVIEW_TIMEOUT_MS = 5_000;
/** After an answer that was none, new questions are not asked for this long, ms. */
const AWAY_MS = 1_000;
/** Answers remembered, each kind; a flood of wrong tokens drives out only wrong tokens. */
export const ANSWERS_MAX = 10_000;
/** New questions under way at once; what is being refreshed does not count, so that unknown tokens cannot push known ones out. */
export const QUESTIONS_MAX = 256;

/** `unavailable`: nobody could be asked and no answer was young enough; never means yes. */
export type ReviewVerdict = "allowed" | "unauthenticated" | "forbidden" | "unavailable";

/** What somebody wants to do, in the words of RBAC. */
export interface ReviewedAccess {
  readonly namespace: string;
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly name?: string;
}

export interface ReviewsOptions {
  /** Best one of its own: a flood of questions must not hold up what else is written to the API server. */
  readonly transport: Pick<KubeTransport, "request">;
  readonly clock: Clock;
  /** Tokens made for anybody else are refused, the API server's own included. */
  readonly audience: string;
  /** Called when reviews stop working, with why, and with undefined when they work again. */
  readonly onTrouble: (message: string | undefined) => void;
}

interface Identity {
  readonly user: TokenUser;
  readonly refreshAtMs: number;
  readonly untilMs: number;
}

interface Allowed {
  readonly refreshAtMs: number;
}

interface Question {
  readonly token: string;
  readonly digest: string;
  readonly key: string;
  readonly access: ReviewedAccess;
}

/**
 * Who a token is (TokenReview: our audience must come back) and whether they may (SubjectAccessReview). Answers are kept under the SHA-256
 * of the token, never the token, for ANSWER_FOR_MS from when the question was asked and not past the token's own end; one question
 * at a time for the same token and access. With the API server away the answers last as long as they would have; then `unavailable`.
 */
export class Reviews {
  readonly #options: ReviewsOptions;
  readonly #allowed = new ExpiringMap<Allowed>(ANSWERS_MAX);
  readonly #refused = new ExpiringMap<"unauthenticated" | "forbidden">(ANSWERS_MAX);
  readonly #identities = new ExpiringMap<Identity>(ANSWERS_MAX);
  readonly #verdictsUnderWay = new Map<string, Promise<ReviewVerdict>>();
  readonly #identitiesUnderWay = new Map<string, Promise<Identity | "unauthenticated" | "unavailable">>();
  #refreshing = 0;
  #awayUntilMs = 0;
  #trouble = false;

  constructor(options: ReviewsOptions) {
    this.#options = options;
  }

  /** At once when the answer is known. Never rejects. */
  review(token: string, access: ReviewedAccess): ReviewVerdict | Promise<ReviewVerdict> {
    const nowMs = this.#options.clock.monotonicMs();
    const digest = tokenDigest(token).toString("latin1");
    const { namespace, verb, group, resource, subresource = "", name = "" } = access;
    const key = `${digest}${namespace} ${verb} ${group} ${resource} ${subresource} ${name}`;
    const allowed = this.#allowed.get(key, nowMs);
    const question = { token, digest, key, access };
    if (allowed !== undefined) {
      if (nowMs >= allowed.refreshAtMs && nowMs >= this.#awayUntilMs) this.#refresh(question);
      return "allowed";
    }
    const underWay = this.#verdictsUnderWay.get(key);
    if (underWay !== undefined) return underWay;
    const refused = this.#refused.get(key, nowMs);
    if (refused !== undefined) return refused;
    // The API server would say the same; not to ask keeps other people's tokens from it.
    if (tokenClaims(token)?.audiences.includes(this.#options.audience) !== true) return "unauthenticated";
    if (nowMs < this.#awayUntilMs || this.#verdictsUnderWay.size - this.#refreshing >= QUESTIONS_MAX) return "unavailable";
    return this.#ask(question);
  }

  #refresh(question: Question): void {
    if (this.#verdictsUnderWay.has(question.key)) return;
    this.#refreshing++;
    void this.#ask(question).then(() => this.#refreshing--);
  }

  #ask(question: Question): Promise<ReviewVerdict> {
    const asked = this.#decide(question).finally(() => this.#verdictsUnderWay.delete(question.key));
    this.#verdictsUnderWay.set(question.key, asked);
    return asked;
  }

  async #decide({ token, digest, key, access }: Question): Promise<ReviewVerdict> {
    const { clock } = this.#options;
    const identity = await this.#identify(token, digest);
    if (identity === "unavailable") return "unavailable";
    const askedAtMs = clock.monotonicMs();
    const verdict = identity === "unauthenticated" ? identity : await this.#authorize(identity.user, access);
    if (verdict === "unavailable") return verdict;
    if (verdict !== "allowed" || identity === "unauthenticated") {
      this.#allowed.delete(key);
      this.#refused.set(key, verdict === "forbidden" ? verdict : "unauthenticated", askedAtMs + REFUSAL_FOR_MS);
      return verdict;
    }
    this.#refused.delete(key);
    const refreshAtMs = Math.min(identity.refreshAtMs, askedAtMs + REFRESH_AFTER_MS);
    this.#allowed.set(key, { refreshAtMs }, Math.min(identity.untilMs, askedAtMs + ANSWER_FOR_MS));
    return "allowed";
  }

  /** One token may publish into many namespaces: who it is, is asked once. */
  #identify(token: string, digest: string): Identity | Promise<Identity | "unauthenticated" | "unavailable"> {
    const nowMs = this.#options.clock.monotonicMs();
    const known = this.#identities.get(digest, nowMs);
    if (known !== undefined && nowMs < known.refreshAtMs) return known;
    const underWay = this.#identitiesUnderWay.get(digest);
    if (underWay !== undefined) return underWay;
    const asked = this.#identifyAnew(token, digest).finally(() => this.#identitiesUnderWay.delete(digest));
    this.#identitiesUnderWay.set(digest, asked);
    return asked;
  }

  async #identifyAnew(token: string, digest: string): Promise<Identity | "unauthenticated" | "unavailable"> {
    const { clock, audience } = this.#options;
    const askedAtMs = clock.monotonicMs();
    const status = await this.#post("/apis/authentication.k8s.io/v1/tokenreviews", {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenReview",
      spec: { token, audiences: [audience] },
    });
    if (status === undefined) return "unavailable";
    const user = userOf(status, audience);
    if (user === undefined) {
      this.#identities.delete(digest);
      return "unauthenticated";
    }
    const lifeMs = this.#lifeMs(token);
    const identity = { user, refreshAtMs: askedAtMs + lifeMs / 2, untilMs: askedAtMs + lifeMs };
    this.#identities.set(digest, identity, identity.untilMs);
    return identity;
  }

  /** How long an answer about a token may stand, ms. */
  #lifeMs(token: string): number {
    const expiresAtMs = tokenClaims(token)?.expiresAtMs;
    if (expiresAtMs === undefined) return ANSWER_FOR_MS;
    const leftMs = expiresAtMs - this.#options.clock.trueMs();
    // The API server calls it good although our clock says that it has expired: the clocks differ, and its is the one that counts.
    return leftMs <= 0 ? REFUSAL_FOR_MS : Math.min(ANSWER_FOR_MS, leftMs);
  }

  async #authorize(user: TokenUser, access: ReviewedAccess): Promise<"allowed" | "forbidden" | "unavailable"> {
    const { username, ...rest } = user;
    const status = await this.#post("/apis/authorization.k8s.io/v1/subjectaccessreviews", {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SubjectAccessReview",
      spec: { resourceAttributes: access, user: username, ...rest },
    });
    if (status === undefined) return "unavailable";
    return status["allowed"] === true && status["denied"] !== true ? "allowed" : "forbidden";
  }

  /** The review's status; undefined when there is none. */
  async #post(path: string, body: object): Promise<Readonly<Record<string, unknown>> | undefined> {
    const { transport, clock } = this.#options;
    const abort = new AbortController();
    const cancel = clock.after(REVIEW_TIMEOUT_MS, () => abort.abort());
    try {
      const answer = await transport.request({ method: "POST", path, body, signal: abort.signal });
      const status = statusOf(answer);
      if (status === undefined) this.#failed(statusMessage(answer), isAboutAll(answer));
      else this.#mended();
      return status;
    } catch (error) {
      const late = `the API server did not answer within ${REVIEW_TIMEOUT_MS} ms`;
      this.#failed(abort.signal.aborted ? late : error instanceof Error ? error.message : String(error), true);
      return undefined;
    } finally {
      cancel();
    }
  }

  #failed(message: string, all: boolean): void {
    if (all) this.#awayUntilMs = this.#options.clock.monotonicMs() + AWAY_MS;
    if (this.#trouble) return;
    this.#trouble = true;
    this.#options.onTrouble(message);
  }

  #mended(): void {
    this.#awayUntilMs = 0;
    if (!this.#trouble) return;
    this.#trouble = false;
    this.#options.onTrouble(undefined);
  }
}

/** Of a TokenReview's status; goes into the SubjectAccessReview as it came. */
interface TokenUser {
  readonly username: string;
  readonly uid?: unknown;
  readonly groups?: unknown;
  readonly extra?: unknown;
}

/** Undefined unless the token was found good for our audience: a server that knows nothing of audiences leaves them out. */
function userOf(status: Readonly<Record<string, unknown>>, audience: string): TokenUser | undefined {
  const { authenticated, audiences, user } = status;
  if (authenticated !== true || !Array.isArray(audiences) || !audiences.includes(audience)) return undefined;
  if (typeof user !== "object" || user === null) return undefined;
  const { username, uid, groups, extra } = user as TokenUser;
  return typeof username === "string" && username !== "" ? { username, uid, groups, extra } : undefined;
}

function statusOf({ status, body }: ApiAnswer): Readonly<Record<string, unknown>> | undefined {
  if (status !== 200 && status !== 201) return undefined;
  const found = typeof body === "object" && body !== null && "status" in body ? body.status : undefined;
  return typeof found === "object" && found !== null ? (found as Record<string, unknown>) : undefined;
}

/** Whether the answer would be the same for every question: too busy, broken, or the operator may not ask. */
function isAboutAll({ status }: ApiAnswer): boolean {
  return status >= 500 || status === 429 || status === 401 || status === 403 || status === 404;
}
