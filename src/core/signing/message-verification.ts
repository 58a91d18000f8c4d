import type { KeyObject } from "node:crypto";
import { keyId } from "./http-message-signature.ts";
import { announcedSignatures, componentsOf, digestMatches, isByAnother, signatureMatches, uncovered } from "./http-message-verification.ts";
import type { AnnouncedSignature } from "./http-message-verification.ts";
import { messageKey } from "./receiver-key.ts";
import { headersByName } from "./received-request.ts";
import type { HeadersByName, ReceivedRequest } from "./received-request.ts";
import type { Judged } from "./signature-claim.ts";
import type { Failure, Verification } from "./verdict.ts";
import { failed, headerMissing, judgeTimestamp } from "./verdict.ts";
import { bodyHint, mismatchHint } from "./verification-hints.ts";

const HEADERS = ["signature-input", "signature", "content-digest", "webhook-id"];

/**
 * What a receiver has to check of HTTP Message Signatures (RFC 9421, 3.2) as Postrider makes them. A secret is `whsec_…` or the Secret's text
 * (HMAC), or `whpk_…` (Ed25519 public key).
 */
export function judgeMessage(request: ReceivedRequest, judged: Judged): Verification {
  const headers = headersByName(request.headers);
  for (const name of HEADERS) if (headers[name] === undefined) return headerMissing(name, headers);
  const { url, method = "POST" } = request;
  if (url === undefined || !URL.canParse(url))
    return failed("UrlMissing", "HTTP Message Signatures cover the URL: give the absolute URL that the request was sent to (--url)");
  const keys = judged.secrets.map(messageKey).filter((key) => key !== undefined);
  if (keys.length === 0)
    return failed("SecretMalformed", "the secret is not whsec_ + base64, nor whpk_ + base64 of 32 bytes, nor 16 bytes of text");
  const announced = announcedSignatures(headers["signature-input"] ?? "", headers["signature"] ?? "");
  if (announced === undefined || announced.length === 0)
    return failed("SignatureMalformed", "signature-input and signature are not dictionaries of RFC 9421 with a label in common");
  const pairs = keys.flatMap((key) => announced.filter((one) => !isByAnother(one, key)).map((signature) => ({ key, signature })));
  if (pairs.length === 0) return otherKey(announced, keys, judged);
  const isDigest = (body: Uint8Array): boolean => digestMatches(headers["content-digest"] ?? "", body) === true;
  if (!isDigest(request.body))
    return failed(
      "DigestMismatch",
      "content-digest is not the digest of this body: its bytes were changed on the way (parsed and serialized again, a line end added)",
      bodyHint(isDigest, request.body),
    );
  let verdict: Verification | undefined;
  for (const { key, signature } of pairs) {
    verdict = judgeSignature(signature, { key, headers, url, method }, judged);
    if (verdict.ok) return verdict;
  }
  return verdict ?? failed("SignatureMismatch", "no signature matches");
}

function otherKey(announced: readonly AnnouncedSignature[], keys: readonly KeyObject[], { secrets }: Judged): Failure {
  const made = announced.map(({ keyid = "none" }) => keyid.slice(0, 32)).join(", ");
  const ids = keys.map(keyId).join(", ");
  // The keyid is made from the key alone, so that another way of writing the key can be found by it.
  const isNamed = (secret: Uint8Array): boolean => {
    const key = messageKey(secret);
    return key !== undefined && announced.some(({ keyid }) => keyid === keyId(key));
  };
  const hint = mismatchHint(isNamed, secrets, new Uint8Array())?.replace("the signature matches", "the keyid fits");
  const isEd25519 = announced.some(({ alg }) => alg === "ed25519") && keys.every(({ type }) => type === "secret");
  const publicHint = isEd25519
    ? "the signature is Ed25519: check it with the sender's public key, whpk_… (`postrider key public` prints it)"
    : undefined;
  return failed(
    "SignatureMismatch",
    `no signature was made with this key: the keyids are ${made}, this key's is ${ids}`,
    hint ?? publicHint,
  );
}

interface SignedMessage {
  readonly key: KeyObject;
  readonly headers: HeadersByName;
  readonly url: string;
  readonly method: string;
}

function judgeSignature(signature: AnnouncedSignature, message: SignedMessage, { nowMs, toleranceSec }: Judged): Verification {
  const open = uncovered(signature);
  if (open !== undefined)
    return failed("ComponentsMissing", `the signature ${signature.label} must cover ${open}: otherwise it proves too little`);
  const { headers, key } = message;
  const isGenuine = matchesFor(signature, message);
  const stale = judgeTimestamp(String(signature.created ?? ""), nowMs, toleranceSec, isGenuine);
  if (stale !== undefined) return stale;
  if (isGenuine === undefined)
    return failed("ComponentsMissing", `the signature ${signature.label} covers a component that this request does not have`);
  if (!isGenuine)
    return failed(
      "SignatureMismatch",
      "the signature does not match: the secret or the URL is a different one, or a header was changed",
      urlHint(signature, message),
    );
  return {
    ok: true,
    id: headers["webhook-id"] ?? "",
    timestampSec: signature.created ?? 0,
    scheme: key.type === "secret" ? "hmac-sha256" : "ed25519",
  };
}

/** Undefined where the request lacks something that is covered. */
function matchesFor(signature: AnnouncedSignature, message: SignedMessage): boolean | undefined {
  const components = componentsOf(signature.covered, message);
  return components && signatureMatches(signature, components, message.key);
}

/** The URL as it may have been when it was sent: the host as the request names it, with and without a slash at its end. */
function urlHint(signature: AnnouncedSignature, message: SignedMessage): string | undefined {
  const { pathname, search, protocol, host } = new URL(message.url);
  const hosts = [host, message.headers["x-forwarded-host"], message.headers["host"]].filter((one) => one !== undefined);
  const paths = [pathname, pathname.endsWith("/") ? pathname.slice(0, -1) : `${pathname}/`];
  const places = hosts.flatMap((one) => paths.map((path) => `${protocol}//${one}${path}`));
  for (const [place, query] of places.flatMap((one) => [[one, search] as const, [one, ""] as const])) {
    const url = place + query;
    if (url !== message.url && URL.canParse(url) && matchesFor(signature, { ...message, url }) === true)
      return `the signature matches the URL ${place}${query === "" ? "" : "?…"}: give the URL it was sent to`;
  }
  for (const method of ["POST", "PUT", "GET"])
    if (method !== message.method && matchesFor(signature, { ...message, method }) === true)
      return `the signature matches the method ${method}: give the method it was sent with (--method)`;
  return undefined;
}
