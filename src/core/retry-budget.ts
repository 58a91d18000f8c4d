/** Retries in all: 10 a second, and 20 % of the first sends (promise 18). */
const PER_SECOND = 10;
const PER_FIRST_SEND = 0.2;
/** What was not used is saved up to this many, in all. */
const SAVED_MAX = 100;
/** Of what is saved so much is for those with a right to it: whoever wants more than their share cannot use it up. */
const KEPT_FOR_RIGHTS = 50;
/** A namespace saves so many rights at most, and begins with one. Few, so that those of many are still covered by what is kept for them. */
const RIGHTS_MAX = 5;
const RIGHTS_FIRST = 1;
/** Among those that retried within this time the 10 a second are dealt out. */
const SHARES_MS = 10_000;
/** A namespace that neither sent nor retried for so long is forgotten. */
const KEPT_MS = 60_000;
const TIDY_EVERY_MS = 1_000;
/** Whoever has to wait asks again after so long at the latest: first sends may have earned it a retry meanwhile. */
const ASK_AGAIN_MS = 1_000;
/** Share of the newest gap between first sends in their mean. */
const GAP_NEWEST = 0.1;
/** Fractions add up to a little less than one. */
const ONE = 1 - 1e-6;

interface Account {
  /** Retries it may make before anybody without a right. */
  rights: number;
  /** How far the dealing had come when its rights were last counted. */
  dealtTo: number;
  /** Its last retry made or refused; `NEVER` = it is not one of those that share. */
  usedAtMs: number;
  seenAtMs: number;
  /** Its last first send, and the mean time between two of them. */
  sentAtMs: number;
  gapMs: number;
}

/**
 * How many retries may go out, by namespace, so that a storm of retries in one leaves the others theirs.
 *   in all         a bucket: 10 a second and 0.2 for each first send come in, 100 can be saved; no retry without a token of it
 *   a right        each namespace has its equal part of the 10 a second (among those that retried within 10 s) and 0.2 for each of its own
 *                  first sends; a right is served as long as there is a token
 *   without right  only what is saved above 50: what the others leave, they may all use
 * Rights come in no faster than tokens do, so whoever keeps to its part waits for nobody. Engine time is an argument; it never jumps.
 * A crash begins with a full bucket and no rights saved: at most 100 retries more.
 */
export class RetryBudget {
  readonly #accounts = new Map<string, Account>();
  #tokens = SAVED_MAX;
  #atMs: number;
  /** Rights dealt out to each of those that share, since the beginning. */
  #dealt = 0;
  #sharers = 0;
  #tidiedAtMs: number;

  constructor(nowMs: number) {
    this.#atMs = nowMs;
    this.#tidiedAtMs = nowMs;
  }

  /** Namespaces that something is kept of: those that sent or retried within a minute. */
  get namespaces(): number {
    return this.#accounts.size;
  }

  /** When a retry of this namespace may go, or is worth asking for again; `nowMs` = now. */
  readyAtMs(namespace: string, nowMs: number): number {
    this.#advance(nowMs);
    const waitMs = this.#tokensInMs(1);
    if (waitMs > 0) return nowMs + waitMs;
    const account = this.#accounts.get(namespace);
    if (account === undefined || this.#rightsOf(account) >= ONE) return nowMs;
    const surplusInMs = this.#tokensInMs(KEPT_FOR_RIGHTS + 1);
    if (surplusInMs === 0) return nowMs;
    // It is refused for want of a right: it is one of those that share from now on.
    this.#use(account, nowMs);
    return nowMs + Math.min(surplusInMs, this.#rightInMs(account, nowMs));
  }

  /** One retry goes out; the caller has asked `readyAtMs` in the same moment. */
  take(namespace: string, nowMs: number): void {
    this.#advance(nowMs);
    const account = this.#account(namespace, nowMs);
    this.#use(account, nowMs);
    this.#tokens -= 1;
    if (this.#rightsOf(account) >= ONE) account.rights -= 1;
  }

  /** One first send goes out. */
  sent(namespace: string, nowMs: number): void {
    this.#advance(nowMs);
    this.#tokens = Math.min(SAVED_MAX, this.#tokens + PER_FIRST_SEND);
    const account = this.#account(namespace, nowMs);
    account.rights = Math.min(RIGHTS_MAX, this.#rightsOf(account) + PER_FIRST_SEND);
    const gapMs = Math.min(KEPT_MS, nowMs - account.sentAtMs);
    account.gapMs += (gapMs - account.gapMs) * GAP_NEWEST;
    account.sentAtMs = nowMs;
  }

  /** How long until it has a right, if it goes on sending as it did. */
  #rightInMs(account: Account, nowMs: number): number {
    const gapMs = Math.max(1e-3, account.gapMs, nowMs - account.sentAtMs);
    const perMs = PER_SECOND / 1_000 / Math.max(1, this.#sharers) + PER_FIRST_SEND / gapMs;
    return Math.min(ASK_AGAIN_MS, Math.max(1, Math.ceil((1 - account.rights) / perMs)));
  }

  #tokensInMs(wanted: number): number {
    const missing = wanted - this.#tokens;
    return missing <= 1 - ONE ? 0 : Math.max(1, Math.ceil((missing * 1_000) / PER_SECOND));
  }

  /** Its rights as of now; what it was dealt since the last time is added. */
  #rightsOf(account: Account): number {
    if (account.usedAtMs !== NEVER) account.rights = Math.min(RIGHTS_MAX, account.rights + this.#dealt - account.dealtTo);
    account.dealtTo = this.#dealt;
    return account.rights;
  }

  #use(account: Account, nowMs: number): void {
    if (account.usedAtMs === NEVER) {
      this.#sharers += 1;
      account.dealtTo = this.#dealt;
    }
    account.usedAtMs = nowMs;
    account.seenAtMs = nowMs;
  }

  #account(namespace: string, nowMs: number): Account {
    let account = this.#accounts.get(namespace);
    if (account === undefined) {
      account = { rights: RIGHTS_FIRST, dealtTo: this.#dealt, usedAtMs: NEVER, seenAtMs: nowMs, sentAtMs: NEVER, gapMs: KEPT_MS };
      this.#accounts.set(namespace, account);
    }
    account.seenAtMs = nowMs;
    return account;
  }

  #advance(nowMs: number): void {
    const passedMs = Math.max(0, nowMs - this.#atMs);
    this.#atMs = Math.max(this.#atMs, nowMs);
    const income = (passedMs * PER_SECOND) / 1_000;
    this.#tokens = Math.min(SAVED_MAX, this.#tokens + income);
    this.#dealt += income / Math.max(1, this.#sharers);
    if (this.#atMs - this.#tidiedAtMs >= TIDY_EVERY_MS) this.#tidy();
  }

  #tidy(): void {
    this.#tidiedAtMs = this.#atMs;
    for (const [namespace, account] of this.#accounts) {
      if (account.usedAtMs !== NEVER && this.#atMs - account.usedAtMs >= SHARES_MS) {
        // The rights it saved until now were dealt to it as one of those that share; it begins again with one at least.
        account.rights = Math.max(RIGHTS_FIRST, this.#rightsOf(account));
        account.usedAtMs = NEVER;
        this.#sharers -= 1;
      }
      if (account.usedAtMs === NEVER && this.#atMs - account.seenAtMs >= KEPT_MS) this.#accounts.delete(namespace);
    }
  }
}

const NEVER = Number.NEGATIVE_INFINITY;
