import type { Failure, Verification } from "./verdict.ts";
import { failed, judgeTimestamp } from "./verdict.ts";
import { mismatchHint } from "./verification-hints.ts";

/** What a request says of its signature, and how a key is held against it. */
export interface Claim {
  readonly ok: true;
  /** One of `Scheme.verifiedAs`. */
  readonly scheme: string;
  /** The event's id. */
  readonly id: string;
  /** As written; undefined where the style carries no time. */
  readonly timestamp: string | undefined;
  /** What a key of this scheme looks like, for the sentence "the secret is not …". */
  readonly keyForm: string;
  /** What is wrong when nothing matches. */
  readonly mismatch: string;
  /** Whether the key with this text signed these bytes; undefined where the text is no key of the scheme. */
  readonly matches: (secret: Uint8Array, body: Uint8Array) => boolean | undefined;
}

export interface Judged {
  readonly secrets: readonly Uint8Array[];
  readonly body: Uint8Array;
  readonly nowMs: number;
  readonly toleranceSec: number;
}

/** Holds a claim against the keys: one that matches is enough. Says which usual mistake would explain that none does. */
export function judgeClaim(claim: Claim | Failure, { secrets, body, nowMs, toleranceSec }: Judged): Verification {
  if (!claim.ok) return claim;
  const results = secrets.map((secret) => claim.matches(secret, body));
  const matches = results.includes(true);
  const stale = claim.timestamp === undefined ? undefined : judgeTimestamp(claim.timestamp, nowMs, toleranceSec, knownOf(results));
  if (stale !== undefined) return stale;
  if (matches) {
    const at = claim.timestamp === undefined ? {} : { timestampSec: Number(claim.timestamp) };
    return { ok: true, id: claim.id, ...at, scheme: claim.scheme };
  }
  const hint = mismatchHint(claim.matches, secrets, body);
  if (!results.includes(false)) return failed("SecretMalformed", `the secret is not ${claim.keyForm}: copy it whole, without quotes`, hint);
  return failed("SignatureMismatch", claim.mismatch, hint);
}

/** Undefined where no text was a key at all. */
function knownOf(results: readonly (boolean | undefined)[]): boolean | undefined {
  return results.includes(true) ? true : results.includes(false) ? false : undefined;
}
