import { TOKEN_CHARS_MAX } from "../core/access-token.ts";
import type { Clock } from "../lib/clock.ts";
import { tokenClaims } from "./token-claims.ts";
import { readTokenKeys, signatureVerdict, type TokenKey } from "./token-signature.ts";
import { type ApiAnswer, type KubeTransport, statusMessage } from "./transport.ts";

/** Keys are read anew from this age on, ms, beside the requests that they still serve. */
export const KEYS_FOR_MS = 300_000;
/** After they were read, or could not be, they are not asked for again for this long, ms: nobody's invented key names become our questions. */
export const KEYS_PAUSE_MS = 5_000;
/** The same after the API server refused to show them, ms: a right must be given first. */
const REFUSED_PAUSE_MS = 60_000;
/** A key stays for this long after it left the set, ms: behind one address may be several API servers that do not know the same keys yet. */
const KEY_LEFT_MS = 600_000;
/** By so much the clocks of whoever made a token and of the API server may differ, ms. */
export const TOKEN_SKEW_MS = 60_000;

const KEYS_PATH = "/openid/v1/jwks";
const DISCOVERY_PATH = "/.well-known/openid-configuration";

/** `unverifiable`: there are no keys to check it by, or none as new as it may be. */
export type LocalVerdict = "good" | "bad" | "unverifiable";

export interface TokenKeysOptions {
  readonly transport: Pick<KubeTransport, "request">;
  readonly clock: Clock;
  /** Issuers that the API server accepts beside the one that it publishes. */
  readonly issuers: readonly string[];
  /** Called when keys cannot be read, with why, and with undefined when they were read again. */
  readonly onTrouble: (message: string | undefined) => void;
}

/**
 * The keys by which the API server signs ServiceAccounts' tokens (Kubernetes' ServiceAccount issuer discovery), so that a token that nobody signed
 * is refused without a question. It is no more than a sieve: who is behind a good signature, and whether still, the TokenReview says. A key's name, an
 * issuer or a time that does not fit makes all who have such wait for one look; the last keys stay in force while the API server is away.
 */
export class TokenKeys {
  readonly #options: TokenKeysOptions;
  readonly #keys = new Map<string, { readonly key: TokenKey; readonly seenAtMs: number }>();
  #list: readonly TokenKey[] = [];
  #issuer: string | undefined;
  /** The API server's clock, and our monotonic one at that moment. */
  #date: { readonly dateMs: number; readonly atMs: number } | undefined;
  #reading: Promise<void> | undefined;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #hasFailed = false;

  constructor(options: TokenKeysOptions) {
    this.#options = options;
  }

  /** The API server's clock, by which tokens begin and end; ours, until it has said what time it is. Ms since the epoch. */
  nowMs(): number {
    const { clock } = this.#options;
    return this.#date === undefined ? clock.trueMs() : this.#date.dateMs + clock.monotonicMs() - this.#date.atMs;
  }

  /** Judges by signature, issuer and time, at once where that can be said. Never rejects. */
  judge(token: string): LocalVerdict | Promise<LocalVerdict> {
    if (token.length > TOKEN_CHARS_MAX) return "bad";
    const nowMs = this.#options.clock.monotonicMs();
    const mayRead = nowMs >= this.#notBeforeMs;
    if (this.#list.length > 0) {
      const verdict = this.#look(token);
      if (verdict !== "stale") {
        if (nowMs - this.#readAtMs >= KEYS_FOR_MS && mayRead) void this.#read();
        return verdict;
      }
    }
    if (this.#reading === undefined && !mayRead) return this.#settled(token);
    return this.#read().then(() => this.#settled(token));
  }

  /** After a look at the keys there is nothing more to wait for. */
  #settled(token: string): LocalVerdict {
    if (this.#list.length === 0) return "unverifiable";
    const verdict = this.#look(token);
    if (verdict !== "stale") return verdict;
    // It may be signed by a key that is newer than our last good look.
    return this.#hasFailed ? "unverifiable" : "bad";
  }

  /** `stale`: newer keys, another issuer or the right time may make it good. */
  #look(token: string): "good" | "bad" | "stale" {
    const signature = signatureVerdict(token, this.#list);
    if (signature !== "good") return signature === "unknown-key" ? "stale" : "bad";
    const claims = tokenClaims(token);
    if (claims === undefined) return "bad";
    const { issuer, expiresAtMs, notBeforeMs } = claims;
    const isForeign = this.#issuer !== undefined && issuer !== this.#issuer && !this.#options.issuers.includes(issuer ?? "");
    const nowMs = this.nowMs();
    const isOver = expiresAtMs !== undefined && nowMs >= expiresAtMs + TOKEN_SKEW_MS;
    const isEarly = notBeforeMs !== undefined && nowMs < notBeforeMs - TOKEN_SKEW_MS;
    return isForeign || isOver || isEarly ? "stale" : "good";
  }

  /** One at a time, for all who want it. */
  #read(): Promise<void> {
    this.#reading ??= this.#readAnew().finally(() => (this.#reading = undefined));
    return this.#reading;
  }

  async #readAnew(): Promise<void> {
    const { clock } = this.#options;
    try {
      const [keys, discovery] = await Promise.all([this.#get(KEYS_PATH), this.#get(DISCOVERY_PATH).catch(() => undefined)]);
      const nowMs = clock.monotonicMs();
      const found = keys.status === 200 ? readTokenKeys(keys.body) : [];
      if (found.length === 0) {
        const why = keys.status === 200 ? "the API server publishes no usable key" : statusMessage(keys);
        this.#failed(why, keys.status === 403 || keys.status === 404 ? REFUSED_PAUSE_MS : KEYS_PAUSE_MS);
        return;
      }
      if (keys.dateMs !== undefined) this.#date = { dateMs: keys.dateMs, atMs: nowMs };
      this.#take(found, nowMs);
      this.#issuer = issuerOf(discovery) ?? this.#issuer;
      this.#readAtMs = nowMs;
      this.#notBeforeMs = nowMs + KEYS_PAUSE_MS;
      if (this.#hasFailed) this.#options.onTrouble(undefined);
      this.#hasFailed = false;
    } catch (error) {
      this.#failed(error instanceof Error ? error.message : String(error), KEYS_PAUSE_MS);
    }
  }

  #get(path: string): Promise<ApiAnswer> {
    // The API server knows these answers by media types of their own and refuses whoever takes JSON only.
    return this.#options.transport.request({ method: "GET", path, accept: "application/json, */*" });
  }

  #take(found: readonly TokenKey[], nowMs: number): void {
    for (const key of found)
      this.#keys.set(key.kid ?? key.key.export({ format: "pem", type: "spki" }).toString(), { key, seenAtMs: nowMs });
    for (const [id, { seenAtMs }] of this.#keys) if (nowMs - seenAtMs >= KEY_LEFT_MS) this.#keys.delete(id);
    this.#list = Array.from(this.#keys.values(), ({ key }) => key);
  }

  #failed(message: string, pauseMs: number): void {
    this.#notBeforeMs = this.#options.clock.monotonicMs() + pauseMs;
    if (!this.#hasFailed) this.#options.onTrouble(message);
    this.#hasFailed = true;
  }
}

function issuerOf(discovery: ApiAnswer | undefined): string | undefined {
  if (discovery?.status !== 200 || typeof discovery.body !== "object" || discovery.body === null) return undefined;
  const { issuer } = discovery.body as { readonly issuer?: unknown };
  return typeof issuer === "string" && issuer !== "" ? issuer : undefined;
}
