import { createHmac, createPublicKey, timingSafeEqual, verify as verifySignature } from "node:crypto";

/** A request as a receiver got it; header names in any case. */
export interface ReceivedRequest {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Uint8Array;
}

export type VerificationFailure =
  | "HeaderMissing"
  | "TimestampMalformed"
  | "TimestampTooOld"
  | "TimestampInFuture"
  | "SecretMalformed"
  | "SignatureMalformed"
  | "SignatureMismatch";

export type Verification =
  | { readonly ok: true; readonly id: string; readonly timestampSec: number; readonly scheme: "v1" | "v1a" }
  | { readonly ok: false; readonly reason: VerificationFailure; readonly message: string };

/** Standard Webhooks' usual tolerance for a timestamp, seconds. */
export const TOLERANCE_SEC = 300;

const HEADERS = ["webhook-id", "webhook-timestamp", "webhook-signature"] as const;
const ED25519_SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

/**
 * What a receiver has to check (Standard Webhooks, "Verifying webhooks"), told so that a person sees why it fails. `secret` is `whsec_…` (HMAC) or
 * `whpk_…` (Ed25519 public key).
 */
export function verifyStandardWebhook(secret: string, request: ReceivedRequest, nowMs: number, toleranceSec = TOLERANCE_SEC): Verification {
  const headers = lowerCased(request.headers);
  for (const name of HEADERS) {
    if (headers[name] === undefined)
      return failed("HeaderMissing", `the header ${name} is missing: is this request really signed, and does a proxy drop headers?`);
  }
  const [id = "", timestamp = "", signatures = ""] = HEADERS.map((name) => headers[name]);
  const stale = judgeTimestamp(timestamp, nowMs, toleranceSec);
  if (stale !== undefined) return stale;
  const signed = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), request.body]);
  const check = checker(secret.trim(), signed);
  if (check === undefined) {
    return failed(
      "SecretMalformed",
      "the secret is not whsec_ + base64 of 24 to 64 bytes, nor whpk_ + base64 of 32 bytes: copy it whole, without quotes",
    );
  }
  const candidates = signatures.split(" ").filter((entry) => entry.startsWith(`${check.scheme},`));
  if (candidates.length === 0) {
    return failed(
      "SignatureMalformed",
      `webhook-signature holds no ${check.scheme} signature (it is '${signatures.slice(0, 8)}…'): is the secret of the right kind?`,
    );
  }
  for (const entry of candidates) {
    if (check.matches(Buffer.from(entry.slice(check.scheme.length + 1), "base64")))
      return { ok: true, id, timestampSec: Number(timestamp), scheme: check.scheme };
  }
  return failed(
    "SignatureMismatch",
    "no signature matches: the secret is another one, or the body's bytes were changed on the way (parsed and printed anew, a line end added, another charset)",
  );
}

function judgeTimestamp(timestamp: string, nowMs: number, toleranceSec: number): Verification | undefined {
  if (!/^\d{1,12}$/.test(timestamp))
    return failed("TimestampMalformed", `webhook-timestamp '${timestamp.slice(0, 20)}' is not a number of seconds`);
  const ageSec = Math.floor(nowMs / 1_000) - Number(timestamp);
  if (ageSec > toleranceSec)
    return failed(
      "TimestampTooOld",
      `the request was signed ${ageSec} s ago, more than the ${toleranceSec} s allowed: a replay, or a slow clock here`,
    );
  if (ageSec < -toleranceSec)
    return failed(
      "TimestampInFuture",
      `the request is signed ${-ageSec} s in the future, more than the ${toleranceSec} s allowed: check the clocks`,
    );
  return undefined;
}

function checker(
  secret: string,
  signed: Buffer,
): { readonly scheme: "v1" | "v1a"; readonly matches: (signature: Buffer) => boolean } | undefined {
  if (secret.startsWith("whpk_")) {
    const raw = Buffer.from(secret.slice(5), "base64");
    if (raw.length !== 32) return undefined;
    const key = createPublicKey({ key: Buffer.concat([ED25519_SPKI_PREFIX, raw]), format: "der", type: "spki" });
    return { scheme: "v1a", matches: (signature) => verifySignature(null, signed, key, signature) };
  }
  const raw = Buffer.from(secret.startsWith("whsec_") ? secret.slice(6) : secret, "base64");
  if (raw.length < 24 || raw.length > 64) return undefined;
  const expected = createHmac("sha256", raw).update(signed).digest();
  return { scheme: "v1", matches: (signature) => signature.length === expected.length && timingSafeEqual(signature, expected) };
}

function lowerCased(headers: ReceivedRequest["headers"]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    const first = typeof value === "string" ? value : value?.[0];
    if (first !== undefined) found[name.toLowerCase()] = first;
  }
  return found;
}

function failed(reason: VerificationFailure, message: string): Verification {
  return { ok: false, reason, message };
}
