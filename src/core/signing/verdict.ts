export type VerificationFailure =
  | "HeaderMissing"
  | "TimestampMalformed"
  | "TimestampTooOld"
  | "TimestampInFuture"
  | "SecretMalformed"
  | "UrlMissing"
  | "DigestMismatch"
  | "ComponentsMissing"
  | "SignatureMalformed"
  | "SignatureMismatch"
  | "SchemeUnknown"
  | "NotSigned";

export interface Failure {
  readonly ok: false;
  readonly reason: VerificationFailure;
  readonly message: string;
  /** With which usual mistake it would be genuine, and what to do; absent where none was found. */
  readonly hint?: string;
}

export interface Genuine {
  readonly ok: true;
  readonly id: string;
  /** Seconds since the epoch; absent where the style carries no time. */
  readonly timestampSec?: number;
  /** How it was signed: one of `Scheme.verifiedAs`. */
  readonly scheme: string;
}

export type Verification = Genuine | Failure;

/** Standard Webhooks' usual tolerance for a timestamp, seconds. */
export const TOLERANCE_SEC = 300;

export function failed(reason: VerificationFailure, message: string, hint?: string): Failure {
  return { ok: false, reason, message, ...(hint === undefined ? {} : { hint }) };
}

/** It is not known how the request is signed. */
export function schemeUnknown(what: string): Failure {
  return failed("SchemeUnknown", what, "give the scheme: --scheme github, shopify, stripe, slack or token, or -f subscription.yaml");
}

/** Nothing was found against the request: what would have to be known to judge it is not known. */
export function isUndecided(verdict: Verification): boolean {
  return !verdict.ok && (verdict.reason === "SchemeUnknown" || verdict.reason === "NotSigned");
}

/** A header that the scheme needs is not there; `headers` are those that are. */
export function headerMissing(name: string, headers: Readonly<Record<string, string>>): Failure {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
  const wanted = plain(name);
  // CGI, WSGI and PHP hand headers on as HTTP_X_NAME.
  const other = Object.keys(headers).find((one) => plain(one) === wanted || plain(one) === `http${wanted}`);
  const hint =
    other === undefined
      ? undefined
      : `'${other}' was given: use the header's original name, ${name}, because frameworks rewrite names with underscores`;
  return failed("HeaderMissing", `the header ${name} is missing: is this request signed at all, or does a proxy drop headers?`, hint);
}

/** Why a time is none, or further off than the tolerance. `matches`: the signature itself is right. */
export function judgeTimestamp(timestamp: string, nowMs: number, toleranceSec: number, matches?: boolean): Failure | undefined {
  if (!/^\d{1,12}$/.test(timestamp)) {
    const hint = /^\d{13}$/.test(timestamp) ? "13 digits are milliseconds: signatures use seconds" : undefined;
    return failed("TimestampMalformed", `the time of the signature '${timestamp.slice(0, 20)}' is not a number of seconds`, hint);
  }
  const nowSec = Math.floor(nowMs / 1_000);
  const ageSec = nowSec - Number(timestamp);
  if (Math.abs(ageSec) <= toleranceSec) return undefined;
  const rest = matches === undefined ? "" : matches ? ", the signature itself matches" : ", and the signature does not match either";
  const hint = clockHint(Number(timestamp), nowSec, matches);
  return ageSec > 0
    ? failed(
        "TimestampTooOld",
        `the request was signed ${ageSec} s ago, more than the ${toleranceSec} s allowed: a replay, or a fast clock here${rest}`,
        hint,
      )
    : failed(
        "TimestampInFuture",
        `the request was signed ${-ageSec} s in the future, more than the ${toleranceSec} s allowed: check the clocks${rest}`,
        hint,
      );
}

const HALF_HOUR_SEC = 1_800;
/** An offset from UTC has at most 14 hours. */
const OFFSET_SEC_MAX = 14 * 3_600;
const NEAR_SEC = 60;

function clockHint(signedSec: number, nowSec: number, matches: boolean | undefined): string {
  const times = `signed at ${instant(signedSec)}, this machine's clock says ${instant(nowSec)}`;
  const offBy = Math.abs(nowSec - signedSec);
  const fromHalfHour = Math.abs(offBy - Math.round(offBy / HALF_HOUR_SEC) * HALF_HOUR_SEC);
  if (offBy <= OFFSET_SEC_MAX && offBy >= HALF_HOUR_SEC - NEAR_SEC && fromHalfHour <= NEAR_SEC)
    return `${times}: they differ by a multiple of half an hour, so one of the clocks may show local time as UTC`;
  return matches === false ? times : `${times}: correct the wrong clock; for a request from a log, ignore the age (--tolerance 0)`;
}

function instant(sec: number): string {
  const date = new Date(sec * 1_000);
  return Number.isNaN(date.getTime()) ? `second ${sec}` : date.toISOString().replace(".000Z", "Z");
}
