import { unreachable } from "../../lib/assert.ts";
import { judgeMessage } from "./message-verification.ts";
import { ed25519Public, messageKey, rawKey, standardKey } from "./receiver-key.ts";
import type { ReceivedRequest } from "./received-request.ts";
import { detectSignings } from "./scheme-detection.ts";
import { judgeClaim } from "./signature-claim.ts";
import type { Judged } from "./signature-claim.ts";
import { TOKEN_STYLE } from "./signing-styles.ts";
import { standardClaim } from "./standard-verification.ts";
import { hmacClaim, tokenClaim } from "./style-verification.ts";
import type { SigningScheme, SigningSpec } from "../subscription.ts";
import type { Failure, Verification } from "./verdict.ts";
import { failed, TOLERANCE_SEC } from "./verdict.ts";

/** How requests are to be judged. Secrets are the Secrets' bytes, or public keys; one that matches is enough. */
export interface Verifier {
  /** Absent = told from the request. */
  readonly signing?: SigningSpec | undefined;
  readonly secrets: readonly Uint8Array[];
  /** How far off a signature's time may be, seconds; TOLERANCE_SEC where absent. */
  readonly toleranceSec?: number;
}

/** Whether a received request is genuine, and if not why, told for a person. Never throws for what the request holds. */
export function verifyRequest(
  { signing, secrets, toleranceSec = TOLERANCE_SEC }: Verifier,
  request: ReceivedRequest,
  nowMs: number,
): Verification {
  const judged: Judged = { secrets, body: request.body, nowMs, toleranceSec };
  return signing === undefined ? judgeUnnamed(request, judged) : judge(signing, request, judged);
}

/** What a receiver has to check of Standard Webhooks. `secret` is `whsec_…`, or `whpk_…` for Ed25519. */
export function verifyStandardWebhook(secret: string, request: ReceivedRequest, nowMs: number): Verification {
  const secrets = [Buffer.from(secret)];
  return judgeClaim(standardClaim(request, secrets), { secrets, body: request.body, nowMs, toleranceSec: TOLERANCE_SEC });
}

/** Why no request can be judged with this secret under the scheme, in words that hold none of it; undefined where it will do. */
export function secretFault(scheme: SigningScheme | undefined, secret: Uint8Array): string | undefined {
  const isPublic = ed25519Public(secret) !== undefined;
  const standard = (): boolean =>
    isPublic || (standardKey(secret) !== undefined && !/^\s*wh[ps]k_/.test(Buffer.from(secret).toString("latin1")));
  switch (scheme) {
    case "StandardWebhooks":
      return standard() ? undefined : "the secret is not whsec_ + base64 of 24 to 64 bytes";
    case "StandardWebhooksEd25519":
      return isPublic ? undefined : "the key is not whpk_ + base64 of 32 bytes (the sender's public key)";
    case "HMAC":
    case "TimestampToken":
      return rawKey(secret) === undefined ? `the secret has ${secret.length} bytes; a key has at least 16` : undefined;
    case "HTTPMessageSignatures":
      return messageKey(secret) === undefined
        ? "the secret is neither whsec_ or whpk_ + base64, nor a text of at least 16 bytes"
        : undefined;
    case "None":
      return undefined;
    case undefined:
      return standard() || rawKey(secret) !== undefined
        ? undefined
        : `Postrider does not sign with such a secret: use whsec_ + base64 of 24 to 64 bytes, whpk_ + base64 of 32 bytes, or a text of at least 16 bytes (it has ${secret.length})`;
    default:
      return unreachable(scheme);
  }
}

function judge(signing: SigningSpec, request: ReceivedRequest, judged: Judged): Verification {
  switch (signing.scheme) {
    case "StandardWebhooks":
    case "StandardWebhooksEd25519":
      return judgeClaim(standardClaim(request, judged.secrets), judged);
    case "HMAC":
      if (signing.hmac === undefined)
        return unnamed("scheme HMAC is ambiguous: it says neither which header nor how the signature is made");
      return judgeClaim(hmacClaim(signing.hmac, request), judged);
    case "TimestampToken":
      return judgeClaim(tokenClaim(signing.token ?? TOKEN_STYLE, request), judged);
    case "HTTPMessageSignatures":
      return judgeMessage(request, judged);
    case "None":
      return failed("NotSigned", "scheme None signs nothing: anyone may have sent this request");
    default:
      return unreachable(signing.scheme);
  }
}

/** What matches is genuine, however it was found; what does not is called so only where its scheme is beyond doubt. */
function judgeUnnamed(request: ReceivedRequest, judged: Judged): Verification {
  let doubtful: Failure | undefined;
  const detected = detectSignings(request);
  for (const { signing, isSure } of detected) {
    const verdict = judge(signing, request, judged);
    if (verdict.ok || isSure) return verdict;
    // It was read the right way if only the time is wrong, or if a slip that is undone makes it match.
    const isRead = judge(signing, request, { ...judged, toleranceSec: Number.MAX_SAFE_INTEGER }).ok;
    if (isRead || (verdict.reason === "SignatureMismatch" && verdict.hint !== undefined)) return verdict;
    doubtful ??= verdict;
  }
  if (detected.length === 0)
    return failed(
      "HeaderMissing",
      "nothing in this request looks like a signature: is it signed at all, or does a proxy drop headers?",
      "for a style of your own: -f subscription.yaml",
    );
  if (doubtful?.reason === "SecretMalformed") return doubtful;
  return unnamed("this request may be genuine: it is signed in a style that it does not reveal, or with another key");
}

function unnamed(what: string): Verification {
  return failed("SchemeUnknown", what, "give the scheme: --scheme github, shopify, stripe, slack or token, or -f subscription.yaml");
}
