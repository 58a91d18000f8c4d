import type { SigningSpec } from "../subscription.ts";
import type { ReceivedRequest } from "./received-request.ts";
import { detectSignings } from "./scheme-detection.ts";
import { SCHEME_LIST, SCHEMES } from "./scheme-registry.ts";
import type { SigningScheme } from "./scheme-registry.ts";
import type { Judged } from "./signature-claim.ts";
import { namedSigning } from "./signing-styles.ts";
import { failed, schemeUnknown, TOLERANCE_SEC } from "./verdict.ts";
import type { Failure, Verification } from "./verdict.ts";

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
  return verifyRequest({ signing: namedSigning("standard"), secrets: [Buffer.from(secret)] }, request, nowMs);
}

/** Why no request can be judged with this secret under the scheme, in words that hold none of it; undefined where it will do. */
export function secretFault(scheme: SigningScheme | undefined, secret: Uint8Array): string | undefined {
  if (scheme !== undefined) return SCHEMES[scheme].secretFault(secret);
  return SCHEME_LIST.some(([, { needsKey, secretFault }]) => needsKey && secretFault(secret) === undefined)
    ? undefined
    : `Postrider does not sign with such a secret: use whsec_ + base64 of 24 to 64 bytes, whpk_ + base64 of 32 bytes, or a text of at least 16 bytes (it has ${secret.length})`;
}

/** Whether a genuine request with this `Genuine.scheme` proves no more than who sent it: the proof covers no body. */
export function provesOnlySender(verifiedAs: string): boolean {
  return SCHEME_LIST.some(([, scheme]) => scheme.proves === "sender" && scheme.verifiedAs.includes(verifiedAs));
}

function judge(signing: SigningSpec, request: ReceivedRequest, judged: Judged): Verification {
  return SCHEMES[signing.scheme].verify(signing, request, judged);
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
  return schemeUnknown("this request may be genuine: it is signed in a style that it does not reveal, or with another key");
}
