import { createHmac, sign, timingSafeEqual, verify } from "node:crypto";
import { headersByName } from "../received-request.ts";
import type { ReceivedRequest } from "../received-request.ts";
import { ed25519Public, standardKey } from "../receiver-key.ts";
import { NO_STYLE, noNames, nothing } from "../scheme.ts";
import type { Scheme, SignInput } from "../scheme.ts";
import { judgeClaim } from "../signature-claim.ts";
import type { Claim } from "../signature-claim.ts";
import { newWhsec, parseWhsec } from "../signing-key.ts";
import type { SigningKey } from "../style.ts";
import { failed, headerMissing } from "../verdict.ts";
import type { Failure } from "../verdict.ts";

const VERIFIED_HEADERS = ["webhook-id", "webhook-timestamp", "webhook-signature"] as const;
const KEY_FORM = "whsec_ + base64 of 24 to 64 bytes, nor whpk_ + base64 of 32 bytes";
const MISMATCH =
  "no signature matches: a different secret was used, or the body's bytes were changed on the way (parsed and serialized again, a line end added, another charset)";

/** Standard Webhooks with a shared key. All keys sign: the header holds a list. */
export const STANDARD_WEBHOOKS: Scheme = {
  needsKey: true,
  parseKey: parseWhsec,
  newSecret: newWhsec,
  sign: (_style, keys, input) => [
    ["webhook-timestamp", String(input.timestampSec)],
    ["webhook-signature", standardSignatures(keys, input)],
  ],
  ownHeaders: ["webhook-timestamp", "webhook-signature"],
  chosenHeaders: noNames,
  shownHeaders: new Set(["webhook-timestamp"]),
  unboundProof: nothing,
  bodyField: nothing,
  verify: (_style, request, judged) => judgeClaim(standardClaim(request, judged.secrets), judged),
  secretFault: (secret) => (isStandardSecret(secret) ? undefined : "the secret is not whsec_ + base64 of 24 to 64 bytes"),
  proves: "sender and body",
  verifiedAs: ["v1", "v1a"],
  named: new Map([["standard", NO_STYLE]]),
  otherNames: ["standard-webhooks"],
};

/** A shared key, or a public one, as those of the Ed25519 scheme are verified the same way. */
function isStandardSecret(secret: Uint8Array): boolean {
  const isPublic = ed25519Public(secret) !== undefined;
  return isPublic || (standardKey(secret) !== undefined && !/^\s*wh[ps]k_/.test(Buffer.from(secret).toString("latin1")));
}

/** Standard Webhooks: `v1,<base64 HMAC-SHA256>` or `v1a,<base64 Ed25519>` over `id.timestamp.body`. */
function standardSignatures(keys: readonly SigningKey[], input: SignInput): string {
  const prefix = `${input.id}.${input.timestampSec}.`;
  let list = "";
  for (const { kind, key } of keys) {
    const one =
      kind === "hmac"
        ? `v1,${createHmac("sha256", key).update(prefix).update(input.body).digest("base64")}`
        : `v1a,${sign(null, Buffer.concat([Buffer.from(prefix), input.body]), key).toString("base64")}`;
    list = list === "" ? one : `${list} ${one}`;
  }
  return list;
}

/** What a request says under Standard Webhooks ("Verifying webhooks"); `v1` is HMAC, `v1a` Ed25519: the key's kind decides. */
function standardClaim(request: ReceivedRequest, secrets: readonly Uint8Array[]): Claim | Failure {
  const headers = headersByName(request.headers);
  for (const name of VERIFIED_HEADERS) if (headers[name] === undefined) return headerMissing(name, headers);
  const [id = "", timestamp = "", signatures = ""] = VERIFIED_HEADERS.map((name) => headers[name]);
  const prefix = Buffer.from(`${id}.${timestamp}.`);
  // Several headers of one name are joined by a comma and a space.
  const candidates = signatures.split(/,? +/).map((entry) => /^(v1a?),(.*)$/.exec(entry));
  const of = (version: string): Buffer[] =>
    candidates.flatMap((one) => (one?.[1] === version ? [Buffer.from(one[2] ?? "", "base64")] : []));
  const isPublic = secrets.some((secret) => ed25519Public(secret) !== undefined);
  const scheme = isPublic && of("v1a").length > 0 ? "v1a" : secrets.every((secret) => ed25519Public(secret) !== undefined) ? "v1a" : "v1";
  if (of(scheme).length === 0 && secrets.some((secret) => isPublic || standardKey(secret) !== undefined)) return noneOf(scheme, signatures);
  const matches = (secret: Uint8Array, body: Uint8Array): boolean | undefined => {
    const publicKey = ed25519Public(secret);
    if (publicKey !== undefined) {
      const signed = Buffer.concat([prefix, body]);
      return of("v1a").some((signature) => verify(null, signed, publicKey, signature));
    }
    const key = /^\s*(whpk_|whsk_)/.test(Buffer.from(secret.subarray(0, 16)).toString("latin1")) ? undefined : standardKey(secret);
    if (key === undefined) return undefined;
    const expected = createHmac("sha256", key).update(prefix).update(body).digest();
    return of("v1").some((signature) => signature.length === expected.length && timingSafeEqual(signature, expected));
  };
  return { ok: true, scheme, id, timestamp, keyForm: KEY_FORM, mismatch: MISMATCH, matches };
}

function noneOf(scheme: "v1" | "v1a", signatures: string): Failure {
  const message = `webhook-signature contains no ${scheme} signature (it is '${signatures.slice(0, 8)}…'): is the secret of the right kind?`;
  const hint =
    scheme === "v1" && /\bv1a,/.test(signatures)
      ? "v1a is Ed25519: check it with the sender's public key, whpk_… (`postrider key public` prints it)"
      : scheme === "v1a" && /\bv1,/.test(signatures)
        ? "v1 is HMAC: check it with the shared secret, whsec_…"
        : undefined;
  return failed("SignatureMalformed", message, hint);
}
