import { tokenDigest } from "../core/access-token.ts";
import type { Clock } from "../lib/clock.ts";
import { ExpiringMap } from "../lib/expiring-map.ts";
import { type Place, QuestionPots } from "./question-pots.ts";
import { accessAttributes, accessWords, type ReviewedAccess, type ReviewedPath } from "./reviewed-access.ts";
import { tokenClaims } from "./token-claims.ts";
import type { LocalVerdict, TokenKeys } from "./token-keys.ts";
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

/** `unavailable`: nobody could be asked and no answer was young enough; never means yes. */
export type ReviewRefusal = "unauthenticated" | "forbidden" | "unavailable";
export type ReviewVerdict = "allowed" | ReviewRefusal;

/** Somebody who may. */
export interface ReviewedUser {
  /** As the API server calls them: `system:serviceaccount:NAMESPACE:NAME`. */
  readonly user: string;
}

export interface ReviewsOptions {
  /** Best one of its own: a flood of questions must not hold up what else is written to the API server. */
  readonly transport: Pick<KubeTransport, "request">;
  readonly clock: Clock;
  /** Tokens made for anybody else are refused, the API server's own included; undefined = only the API server's own are good. */
  readonly audience: string | undefined;
  /** Refuses what nobody signed before it becomes a question; without them every token that names our audience is asked about. */
  readonly keys?: Pick<TokenKeys, "judge" | "nowMs"> | undefined;
  /** Called when reviews stop working, with why, and with undefined when they work again. */
  readonly onTrouble: (message: string | undefined) => void;
}

interface Identity {
  readonly user: TokenUser;
  readonly refreshAtMs: number;
  readonly untilMs: number;
}

interface Allowed extends ReviewedUser {
  readonly refreshAtMs: number;
}

interface Question {
  readonly token: string;
  readonly digest: string;
  readonly key: string;
  readonly access: ReviewedAccess | ReviewedPath;
}

type Answer = Allowed | ReviewRefusal;

/**
 * Whether a token is signed (TokenKeys), who it is (TokenReview: our audience must come back) and whether they may (SubjectAccessReview). Answers are kept under the SHA-256
 * of the token, never the token, for ANSWER_FOR_MS from when the question was asked and not past the token's own end; one question
 * at a time for the same token and access. With the API server away the answers last as long as they would have; then `unavailable`.
 */
export class Reviews {
  readonly #options: ReviewsOptions;
  readonly #allowed = new ExpiringMap<Allowed>(ANSWERS_MAX);
  readonly #refused = new ExpiringMap<"unauthenticated" | "forbidden">(ANSWERS_MAX);
  readonly #identities = new ExpiringMap<Identity>(ANSWERS_MAX);
  readonly #answersUnderWay = new Map<string, Promise<Answer>>();
  readonly #identitiesUnderWay = new Map<string, Promise<Identity | "unauthenticated" | "unavailable">>();
  readonly #pots = new QuestionPots();
  #awayUntilMs = 0;
  #trouble = false;

  constructor(options: ReviewsOptions) {
    this.#options = options;
  }

  /** Whether the token's owner may. At once when the answer is known. Never rejects. */
  review(token: string, access: ReviewedAccess | ReviewedPath): ReviewVerdict | Promise<ReviewVerdict> {
    const answer = this.who(token, access);
    return answer instanceof Promise ? answer.then(verdictOf) : verdictOf(answer);
  }

  /** Who may, or why nobody does. At once when the answer is known. Never rejects. */
  who(token: string, access: ReviewedAccess | ReviewedPath): ReviewedUser | ReviewRefusal | Promise<ReviewedUser | ReviewRefusal> {
    const nowMs = this.#options.clock.monotonicMs();
    const digest = tokenDigest(token).toString("latin1");
    const question = { token, digest, key: `${digest}${accessWords(access)}`, access };
    const allowed = this.#allowed.get(question.key, nowMs);
    if (allowed !== undefined) {
      if (nowMs >= allowed.refreshAtMs && nowMs >= this.#awayUntilMs) this.#refresh(question);
      return allowed;
    }
    const underWay = this.#answersUnderWay.get(question.key);
    if (underWay !== undefined) return underWay;
    const refused = this.#refused.get(question.key, nowMs);
    if (refused !== undefined) return refused;
    // The API server would say the same; not to ask keeps other people's tokens from it.
    const { audience } = this.#options;
    if (audience !== undefined && tokenClaims(token)?.audiences.includes(audience) !== true) return "unauthenticated";
    const local = this.#options.keys?.judge(token) ?? "unverifiable";
    return local instanceof Promise ? local.then((settled) => this.#askIf(question, settled)) : this.#askIf(question, local);
  }

  #askIf(question: Question, local: LocalVerdict): Answer | Promise<Answer> {
    const { clock } = this.#options;
    const nowMs = clock.monotonicMs();
    if (local === "bad") {
      this.#refused.set(question.key, "unauthenticated", nowMs + REFUSAL_FOR_MS);
      return "unauthenticated";
    }
    // While the keys were read somebody else may have asked the same.
    const underWay = this.#answersUnderWay.get(question.key);
    if (underWay !== undefined) return underWay;
    if (nowMs < this.#awayUntilMs) return "unavailable";
    const proven = this.#identities.get(question.digest, nowMs)?.user.username;
    const subject = proven ?? (local === "good" ? (tokenClaims(question.token)?.subject ?? "") : undefined);
    const account = subject === undefined ? undefined : accountNamespace(subject);
    const namespace = "namespace" in question.access ? question.access.namespace : "";
    const place = this.#pots.take({ account, namespace }, () => clock.monotonicMs());
    return place === undefined ? "unavailable" : this.#ask(question, place);
  }

  /** Needs no room: unknown tokens must not push known ones out. */
  #refresh(question: Question): void {
    if (!this.#answersUnderWay.has(question.key)) void this.#ask(question);
  }

  #ask(question: Question, place?: Place): Promise<Answer> {
    const asked = this.#decide(question).then((answer) => {
      this.#answersUnderWay.delete(question.key);
      place?.(answer === "unauthenticated" ? "miss" : answer === "unavailable" ? "none" : "good");
      return answer;
    });
    this.#answersUnderWay.set(question.key, asked);
    return asked;
  }

  async #decide({ token, digest, key, access }: Question): Promise<Answer> {
    const { clock } = this.#options;
    const identity = await this.#identify(token, digest);
    if (identity === "unavailable") return identity;
    const askedAtMs = clock.monotonicMs();
    const verdict = identity === "unauthenticated" ? identity : await this.#authorize(identity.user, access);
    if (verdict === "unavailable") return verdict;
    if (verdict !== "allowed" || identity === "unauthenticated") {
      const refusal = verdict === "forbidden" ? verdict : "unauthenticated";
      this.#allowed.delete(key);
      this.#refused.set(key, refusal, askedAtMs + REFUSAL_FOR_MS);
      return refusal;
    }
    this.#refused.delete(key);
    const refreshAtMs = Math.min(identity.refreshAtMs, askedAtMs + REFRESH_AFTER_MS);
    const allowed = { user: identity.user.username, refreshAtMs };
    this.#allowed.set(key, allowed, Math.min(identity.untilMs, askedAtMs + ANSWER_FOR_MS));
    return allowed;
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
      spec: audience === undefined ? { token } : { token, audiences: [audience] },
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
    const { keys, clock } = this.#options;
    const leftMs = expiresAtMs - (keys?.nowMs() ?? clock.trueMs());
    // The API server calls it good although our clock says that it has expired: the clocks differ, and its is the one that counts.
    return leftMs <= 0 ? REFUSAL_FOR_MS : Math.min(ANSWER_FOR_MS, leftMs);
  }

  async #authorize(user: TokenUser, access: ReviewedAccess | ReviewedPath): Promise<"allowed" | "forbidden" | "unavailable"> {
    const { username, ...rest } = user;
    const status = await this.#post("/apis/authorization.k8s.io/v1/subjectaccessreviews", {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SubjectAccessReview",
      spec: { ...accessAttributes(access), user: username, ...rest },
    });
    if (status === undefined) return "unavailable";
    return status["allowed"] === true && status["denied"] !== true ? "allowed" : "forbidden";
  }

  /** The review's status; undefined when there is none. */
  async #post(path: string, body: object): Promise<Readonly<Record<string, unknown>> | undefined> {
    const { transport, clock } = this.#options;
    const abort = new AbortController();
    // An answer that came in time is read first: after a moment in which we stood still it may lie in the socket.
    const cancel = clock.after(REVIEW_TIMEOUT_MS, () => clock.afterPoll(() => abort.abort()));
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

function verdictOf(answer: ReviewedUser | ReviewRefusal): ReviewVerdict {
  return typeof answer === "string" ? answer : "allowed";
}

/** The namespace of a ServiceAccount; of anybody else the whole name. */
function accountNamespace(subject: string): string {
  return /^system:serviceaccount:([^:]+):/.exec(subject)?.[1] ?? subject;
}

/** Of a TokenReview's status; goes into the SubjectAccessReview as it came. */
interface TokenUser {
  readonly username: string;
  readonly uid?: unknown;
  readonly groups?: unknown;
  readonly extra?: unknown;
}

/** Undefined unless the token was found good for our audience: a server that knows nothing of audiences leaves them out. */
function userOf(status: Readonly<Record<string, unknown>>, audience: string | undefined): TokenUser | undefined {
  const { authenticated, audiences, user } = status;
  if (authenticated !== true) return undefined;
  if (audience !== undefined && (!Array.isArray(audiences) || !audiences.includes(audience))) return undefined;
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
