import { createHmac, createPublicKey, createSecretKey, timingSafeEqual, verify as verifySignature } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { keyId } from "./http-message-signature.ts";
import { announcedSignatures, componentsOf, digestMatches, isByAnother, signatureMatches, uncovered } from "./http-message-verification.ts";
import type { AnnouncedSignature } from "./http-message-verification.ts";

/** A request as a receiver got it; header names in any case. */
export interface ReceivedRequest {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Uint8Array;
  /** Absolute, as the sender knows it. HTTP Message Signatures cover it; the other schemes do not look at it. */
  readonly url?: string | undefined;
  /** Absent = POST. */
  readonly method?: string | undefined;
}

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
  | "SignatureMismatch";

export type Verification =
  | { readonly ok: true; readonly id: string; readonly timestampSec: number; readonly scheme: "v1" | "v1a" | "hmac-sha256" | "ed25519" }
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

/** The same for a request under either scheme that can be told by its headers: HTTP Message Signatures, else Standard Webhooks. */
export function verifyRequest(secret: string, request: ReceivedRequest, nowMs: number, toleranceSec = TOLERANCE_SEC): Verification {
  const isMessageSignature = lowerCased(request.headers)["signature-input"] !== undefined;
  return (isMessageSignature ? verifyHttpMessage : verifyStandardWebhook)(secret, request, nowMs, toleranceSec);
}

/**
 * What a receiver has to check of HTTP Message Signatures (RFC 9421, 3.2) as Postrider makes them. `secret` is `whsec_…` or the Secret's text
 * (HMAC), or `whpk_…` (Ed25519 public key).
 */
export function verifyHttpMessage(secret: string, request: ReceivedRequest, nowMs: number, toleranceSec = TOLERANCE_SEC): Verification {
  const headers = lowerCased(request.headers);
  for (const name of ["signature-input", "signature", "content-digest", "webhook-id"]) {
    if (headers[name] === undefined)
      return failed("HeaderMissing", `the header ${name} is missing: is this request really signed, and does a proxy drop headers?`);
  }
  const { url, method = "POST" } = request;
  if (url === undefined || !URL.canParse(url))
    return failed("UrlMissing", "HTTP Message Signatures cover the URL: say which absolute URL the request was sent to");
  const key = messageKey(secret.trim());
  if (key === undefined)
    return failed("SecretMalformed", "the secret is not whsec_ + base64, nor whpk_ + base64 of 32 bytes, nor 16 bytes of text");
  const announced = announcedSignatures(headers["signature-input"] ?? "", headers["signature"] ?? "");
  if (announced === undefined || announced.length === 0)
    return failed("SignatureMalformed", "signature-input and signature are not dictionaries of RFC 9421 with a label in common");
  const ours = announced.filter((signature) => !isByAnother(signature, key));
  if (ours.length === 0) {
    const made = announced.map(({ keyid = "none" }) => keyid.slice(0, 32)).join(", ");
    return failed("SignatureMismatch", `no signature was made with this key: their keyids are ${made}, this key's is ${keyId(key)}`);
  }
  if (digestMatches(headers["content-digest"] ?? "", request.body) !== true)
    return failed(
      "DigestMismatch",
      "content-digest is not the digest of this body: its bytes were changed on the way (parsed and printed anew, a line end added)",
    );
  let verdict: Verification | undefined;
  for (const signature of ours) {
    verdict = judgeSignature(signature, { key, headers, url, method }, nowMs, toleranceSec);
    if (verdict.ok) return verdict;
  }
  return verdict ?? failed("SignatureMismatch", "no signature matches");
}

interface SignedMessage {
  readonly key: KeyObject;
  readonly headers: Readonly<Record<string, string>>;
  readonly url: string;
  readonly method: string;
}

function judgeSignature(signature: AnnouncedSignature, message: SignedMessage, nowMs: number, toleranceSec: number): Verification {
  const open = uncovered(signature);
  if (open !== undefined)
    return failed("ComponentsMissing", `the signature ${signature.label} must cover ${open}: else it proves too little`);
  const stale = judgeTimestamp(String(signature.created ?? ""), nowMs, toleranceSec);
  if (stale !== undefined) return stale;
  const components = componentsOf(signature.covered, message);
  if (components === undefined)
    return failed("ComponentsMissing", `the signature ${signature.label} covers something that this request does not have`);
  if (!signatureMatches(signature, components, message.key))
    return failed(
      "SignatureMismatch",
      "the signature does not match: another secret, another URL than the one it was sent to, or a changed header",
    );
  const { headers, key } = message;
  return {
    ok: true,
    id: headers["webhook-id"] ?? "",
    timestampSec: signature.created ?? 0,
    scheme: key.type === "secret" ? "hmac-sha256" : "ed25519",
  };
}

function messageKey(secret: string): KeyObject | undefined {
  if (secret.startsWith("whpk_")) return publicKeyOf(secret);
  const raw = secret.startsWith("whsec_") ? Buffer.from(secret.slice(6), "base64") : Buffer.from(secret, "utf8");
  return raw.length < 16 ? undefined : createSecretKey(raw);
}

function publicKeyOf(secret: string): KeyObject | undefined {
  const raw = Buffer.from(secret.slice(5), "base64");
  if (raw.length !== 32) return undefined;
  return createPublicKey({ key: Buffer.concat([ED25519_SPKI_PREFIX, raw]), format: "der", type: "spki" });
}

function judgeTimestamp(timestamp: string, nowMs: number, toleranceSec: number): Verification | undefined {
  if (!/^\d{1,12}$/.test(timestamp))
    return failed("TimestampMalformed", `the time of the signature '${timestamp.slice(0, 20)}' is not a number of seconds`);
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
    const key = publicKeyOf(secret);
    if (key === undefined) return undefined;
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
