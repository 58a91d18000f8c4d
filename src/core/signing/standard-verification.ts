import { createHmac, timingSafeEqual, verify } from "node:crypto";
import { ed25519Public, standardKey } from "./receiver-key.ts";
import { headersByName } from "./received-request.ts";
import type { ReceivedRequest } from "./received-request.ts";
import type { Claim } from "./signature-claim.ts";
import type { Failure } from "./verdict.ts";
import { failed, headerMissing } from "./verdict.ts";

const HEADERS = ["webhook-id", "webhook-timestamp", "webhook-signature"] as const;
const KEY_FORM = "whsec_ + base64 of 24 to 64 bytes, nor whpk_ + base64 of 32 bytes";
const MISMATCH =
  "no signature matches: a different secret was used, or the body's bytes were changed on the way (parsed and serialized again, a line end added, another charset)";

/** What a request says under Standard Webhooks ("Verifying webhooks"); `v1` is HMAC, `v1a` Ed25519: the key's kind decides. */
export function standardClaim(request: ReceivedRequest, secrets: readonly Uint8Array[]): Claim | Failure {
  const headers = headersByName(request.headers);
  for (const name of HEADERS) if (headers[name] === undefined) return headerMissing(name, headers);
  const [id = "", timestamp = "", signatures = ""] = HEADERS.map((name) => headers[name]);
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
